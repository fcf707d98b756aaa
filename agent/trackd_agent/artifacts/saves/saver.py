"""The calls that make one version, in order; begun anew after any death, they go on."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from trackd_agent.artifacts.saves.calls import ArtifactCalls, ManifestKind, ManifestPlace
from trackd_agent.artifacts.saves.chunk_sender import ChunkSender
from trackd_agent.artifacts.saves.digests import in_accepted_algorithm
from trackd_agent.artifacts.saves.file_sender import FileSender
from trackd_agent.artifacts.saves.manifest_file import ManifestFile
from trackd_agent.artifacts.saves.order import blocks_of_order, is_file
from trackd_agent.artifacts.saves.progress import SaveState
from trackd_agent.artifacts.saves.references import ReferenceNames
from trackd_proto.chunks import FEATURE

if TYPE_CHECKING:
    from trackd_agent.artifacts.saves.destination import Destination
    from trackd_agent.artifacts.saves.order import SaveOrder
    from trackd_agent.artifacts.saves.saves import Save, Saves
    from trackd_proto.records import ArtifactEntry


class Saver:
    """Carries out one save from its first call.

    Nothing is remembered between attempts: the server answers the same client id with the same
    version, tells which files it has, and a commit that went through is found committed.

    Args:
        save: where to say how far it is.
        order: what to save.
        destination: where to.
        saves: what all saves share.
    """

    def __init__(
        self, save: Save, order: SaveOrder, destination: Destination, saves: Saves
    ) -> None:
        self._save = save
        self._order = order
        self._saves = saves
        self._destination = destination
        self._calls = ArtifactCalls(destination, save, saves.config)

    async def run(self) -> None:
        """Make the version.

        Raises:
            SaveFailed: it cannot be made.
        """
        save, calls = self._save, self._calls
        order = await in_accepted_algorithm(self._order, calls, self._saves)
        save.state = SaveState.SENDING
        created = await calls.create(order.record)
        save.artifact_id = created.id
        save.is_unchanged = created.state == "COMMITTED"
        if save.is_unchanged:
            await save.decide()
        else:
            await self._fill(order, created.base_id)
        if order.record.use_after_commit:
            await calls.use(created.id)

    async def _fill(self, order: SaveOrder, latest_id: str | None) -> None:
        save, calls, record = self._save, self._calls, order.record
        base_id = record.base_id or latest_id
        place = ManifestPlace(calls, save.artifact_id, base_id, ManifestKind.of(record))
        sender = await self._sender(order, place)
        names = ReferenceNames(calls, self._saves, record.client_id)
        async with ManifestFile(self._saves.work_dir, record.storage_region) as manifest:
            async with aclosing(blocks_of_order(order)) as blocks:
                async for block in blocks:
                    self._count(block)
                    births = await sender.send([entry for entry in block if is_file(entry)])
                    await manifest.add(await names.resolve(block), births)
            await manifest.finish()
            save.state = SaveState.COMMITTING
            await calls.bring_manifest(manifest, place)
        if record.finalize:
            await save.decide()
            await calls.commit(save.artifact_id)

    async def _sender(self, order: SaveOrder, place: ManifestPlace) -> ChunkSender | FileSender:
        files = FileSender(order, self._calls, self._save, self._saves, place)
        if FEATURE not in await self._calls.features():
            await place.announced_id()  # as others do it, also where no file needs it
            return files
        return ChunkSender(order, self._calls, self._save, self._saves, files)

    def _count(self, block: list[ArtifactEntry]) -> None:
        tally = self._save.tally
        for entry in block:
            if is_file(entry):
                tally.files_total += 1
                tally.bytes_total += entry.size or 0
