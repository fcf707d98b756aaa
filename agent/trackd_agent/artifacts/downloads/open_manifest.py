"""The manifest of a version, read from its server."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio

from trackd_agent.artifacts.downloads.addresses import Addresses
from trackd_agent.artifacts.downloads.manifest import Manifest
from trackd_agent.artifacts.downloads.manifest_json import ManifestReader
from trackd_agent.upstream import ask

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from trackd_agent.artifacts.downloads.entries import Entry, Filter
    from trackd_agent.artifacts.downloads.progress import Version
    from trackd_agent.artifacts.downloads.tools import Tools

T = TypeVar("T")

#: Longest time for one question, and for a manifest: the largest have some hundred MB; in seconds.
QUESTION_S = 120.0
_MANIFEST_S = 3600.0
_PIECE_BYTES = 1024 * 1024


class OpenManifest:
    """The manifest of a version, as far as it is wanted; one question at a time."""

    def __init__(self, tools: Tools, manifest: Manifest) -> None:
        self.manifest = manifest
        self._tools = tools
        self._lock = anyio.Lock()

    @classmethod
    async def fetch(cls, tools: Tools, version: Version, wanted: Filter) -> OpenManifest:
        """Read the manifest of a version from its server; whoever gets it closes it.

        Raises:
            UnknownArtifact: the server has none.
            InvalidManifest: it cannot be used.
            AgentError: the server does not answer, or refuses.
        """
        upstream, manner = version.upstream, version.manner
        addresses = Addresses(upstream, manner, version.artifact_id, version.listing, QUESTION_S)

        async def attempt() -> OpenManifest:
            manifest = await tools.in_thread(Manifest, tools.folder)
            reader = ManifestReader(manifest, wanted)
            try:
                async with upstream.fetch(await addresses.manifest(), {}, manner) as response:
                    async for piece in response.aiter_bytes(_PIECE_BYTES):
                        await tools.in_thread(reader.feed, piece)
                await tools.in_thread(reader.finish)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await tools.in_thread(manifest.close)
                raise
            return cls(tools, manifest)

        return await ask(upstream, manner, _MANIFEST_S, attempt)

    async def ask(self, function: Callable[..., T], *args: object) -> T:
        """Ask the manifest something, in a worker thread."""
        async with self._lock:
            return await self._tools.in_thread(function, *args)

    async def batches(self, kind: str, limit: int) -> AsyncGenerator[list[Entry]]:
        """Yield the entries of a kind in order of path."""
        after = ""
        while batch := await self.ask(self.manifest.entries, after, limit, kind):
            yield batch
            after = batch[-1].path

    async def close(self) -> None:
        """Let go of it."""
        with anyio.CancelScope(shield=True):
            await self.ask(self.manifest.close)
