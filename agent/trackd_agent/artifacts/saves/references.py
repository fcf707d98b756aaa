"""References to artifacts that had no id when they were made."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

import anyio
import msgspec

if TYPE_CHECKING:
    from trackd_agent.artifacts.saves.calls import ArtifactCalls
    from trackd_agent.artifacts.saves.saves import Save, Saves
    from trackd_proto.records import ArtifactEntry

_BY_CLIENT_ID = "wandb-client-artifact://"


class ReferenceNames:
    """Replaces client ids in references by the ids that the server gave.

    Args:
        calls: of the save.
        saves: of the agent; one of them may be on its way to that id.
        client_id: of the artifact that holds the references.
    """

    def __init__(self, calls: ArtifactCalls, saves: Saves, client_id: str) -> None:
        self._calls = calls
        self._saves = saves
        self._client_id = client_id
        self._known: dict[str, str] = {}

    async def resolve(self, entries: list[ArtifactEntry]) -> list[ArtifactEntry]:
        """Return entries whose references anybody can follow.

        Raises:
            SaveFailed: the server does not know an artifact that is referred to.
        """
        return [
            await self._resolved(entry) if (entry.ref or "").startswith(_BY_CLIENT_ID) else entry
            for entry in entries
        ]

    async def _resolved(self, entry: ArtifactEntry) -> ArtifactEntry:
        client_id, _, path = (entry.ref or "").removeprefix(_BY_CLIENT_ID).partition("/")
        if client_id not in self._known:
            self._known[client_id] = await self._hex_id_of(client_id)
        ref = f"wandb-artifact://{self._known[client_id]}/{path}"
        return msgspec.structs.replace(entry, ref=ref)

    async def _hex_id_of(self, client_id: str) -> str:
        save = self._saves.earlier(client_id, self._client_id)
        if save is not None:
            await self._wait_for(save)
        server_id = await self._calls.server_id_of(client_id)
        try:
            return base64.b64decode(server_id, validate=True).hex()
        except binascii.Error:
            raise self._calls.failed(
                "UNEXPECTED_ANSWER", f"clientIDMapping: {server_id!r} is no base64"
            ) from None

    async def _wait_for(self, save: Save) -> None:
        """Wait for another save, without a slot of the saves: it may need that one."""
        slots = self._saves.lanes_to(self._calls.courier.upstream).saves
        slots.release()
        try:
            await save.ended.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await slots.acquire()
