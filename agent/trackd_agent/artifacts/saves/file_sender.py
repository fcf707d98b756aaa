"""Files on their way to any server of the W&B protocol: one request each, large ones in parts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from trackd_agent.artifacts.contents import MD5
from trackd_agent.artifacts.saves import part_notes
from trackd_agent.artifacts.saves.calls import EXPIRED, headers_of
from trackd_agent.artifacts.saves.failures import SaveFailed
from trackd_agent.artifacts.saves.order import algorithm_of
from trackd_agent.artifacts.saves.reading import (
    FilePart,
    base64_of_hex,
    part_digests,
    read_whole,
    stream,
)
from trackd_agent.artifacts.workers import work_through
from trackd_agent.upstream import RequestFailed

if TYPE_CHECKING:
    from trackd_agent.artifacts.saves.answers import FileAddress, PartAddress
    from trackd_agent.artifacts.saves.calls import ArtifactCalls, ManifestPlace
    from trackd_agent.artifacts.saves.order import SaveOrder
    from trackd_agent.artifacts.saves.part_notes import PartNotes
    from trackd_agent.artifacts.saves.saves import Save, Saves
    from trackd_proto.records import ArtifactEntry

#: Files up to this size are read at once.
_WHOLE_BYTES = 1024 * 1024
#: More parts than this no store takes.
_MAX_PARTS = 10_000
#: Parts are larger rather than more than so many, up to a size: a server makes an address for each
#: of them within one request.
_FEW_PARTS = 1000
_LARGE_PART_BYTES = 100 * 1024**2
_PART_STEP_BYTES = 4096
#: Large files of one save that travel at the same time.
_PARALLEL_LARGE = 2
#: How often a file in parts is begun anew because its addresses expired.
_MAX_BEGINNINGS = 5


class FileSender:
    """Sends the files of one save.

    Args:
        order: of which the files are.
        calls: of the save.
        save: where to say how far it is.
        saves: what all saves share.
        place: of the version's manifest.
    """

    def __init__(
        self,
        order: SaveOrder,
        calls: ArtifactCalls,
        save: Save,
        saves: Saves,
        place: ManifestPlace,
    ) -> None:
        self._order = order
        self._calls = calls
        self._save = save
        self._saves = saves
        self._lanes = saves.lanes_to(calls.courier.upstream)
        self._place = place
        #: Parts of all its files that travel.
        self._parts = anyio.Semaphore(saves.config.parallel_parts)

    async def send(self, entries: list[ArtifactEntry]) -> dict[str, str]:
        """Bring files to the server; return which version first had each, by path.

        Raises:
            SaveFailed: a file is gone or changed, or the server does not take it.
        """
        births: dict[str, str] = {}
        config = self._saves.config
        plain = [e for e in entries if (e.size or 0) < config.multipart_bytes]
        for at in range(0, len(plain), config.address_batch):
            batch = plain[at : at + config.address_batch]
            addresses = await self._addresses(batch)
            births |= {e.path: a.artifact.id for e, a in zip(batch, addresses, strict=True)}
            await work_through(
                zip(batch, addresses, strict=True), self._send_plain, config.parallel_files
            )

        async def send_large(entry: ArtifactEntry) -> None:
            births[entry.path] = await self._send_large(entry)

        large = [e for e in entries if (e.size or 0) >= config.multipart_bytes]
        await work_through(large, send_large, _PARALLEL_LARGE)
        return births

    async def _addresses(
        self, entries: list[ArtifactEntry], parts: list[dict[str, Any]] | None = None
    ) -> list[FileAddress]:
        manifest_id = await self._place.announced_id()
        files = [
            {
                "artifactID": self._save.artifact_id,
                "artifactManifestID": manifest_id,
                "name": entry.path,
                "digest": entry.digest,
                "md5": entry.digest if algorithm_of(entry) == MD5 else None,
                "mimetype": None,
                "uploadPartsInput": parts,
            }
            for entry in entries
        ]
        return await self._calls.addresses(files, self._order.record.digest_algorithm)

    # -- one request -----------------------------------------------------------------------

    async def _send_plain(self, item: tuple[ArtifactEntry, FileAddress]) -> None:
        entry, address = item
        if address.upload_url:
            await self._calls.put(
                f"upload of {entry.path!r}",
                address,
                lambda: self._renewed(entry),
                lambda current: self._put(entry, current),
            )
        self._save.tally.note_file(entry.path, entry.size or 0)

    async def _renewed(self, entry: ArtifactEntry) -> FileAddress:
        return (await self._addresses([entry]))[0]

    async def _put(self, entry: ArtifactEntry, address: FileAddress) -> None:
        if not address.upload_url:
            return  # it arrived meanwhile
        size_bytes = entry.size or 0
        upstream, manner = self._calls.courier.upstream, self._calls.courier.manner
        headers = headers_of(address.upload_headers)
        tally = self._save.tally
        tally.forget_parts(entry.path)
        async with self._lanes.transfers:
            if size_bytes <= _WHOLE_BYTES:
                data = await anyio.to_thread.run_sync(
                    read_whole, self._order, entry, limiter=self._saves.threads
                )
                await upstream.put(address.upload_url, headers, size_bytes, data, manner)
            else:
                part = FilePart(self._order, entry, 0, size_bytes)
                note = partial(tally.note_part, entry.path)
                pieces = stream(part, self._saves.threads, note)
                await upstream.put(address.upload_url, headers, size_bytes, pieces, manner)
        tally.bytes_sent += size_bytes

    # -- parts -----------------------------------------------------------------------------

    async def _send_large(self, entry: ArtifactEntry) -> str:
        """Send a large file in parts, where the server wants that; return who first had it.

        An upload that an earlier agent began goes on.
        """
        each_bytes = part_bytes(entry.size or 0, self._saves.config.part_bytes)
        digests = await anyio.to_thread.run_sync(
            part_digests, self._order, entry, each_bytes, limiter=self._saves.threads
        )
        save, folder = self._save, self._saves.uploads_dir
        whose = self._calls.courier.upstream.base_url, save.client_id
        path = part_notes.path_of(folder, whose, save.artifact_id, entry.path)
        notes = await anyio.to_thread.run_sync(part_notes.found, path, digests)
        if notes is not None and (birth := await self._go_on(entry, notes, digests)):
            return birth
        asked = [{"partNumber": n, "hexMD5": md5} for n, md5 in enumerate(digests, 1)]
        for _ in range(_MAX_BEGINNINGS):
            (address,) = await self._addresses([entry], asked)
            if not address.upload_multipart_urls or not address.upload_url:
                await self._send_plain((entry, address))
                return address.artifact.id
            notes = await anyio.to_thread.run_sync(part_notes.begun, path, digests, address)
            try:
                await self._send_parts(entry, notes, digests)
            except _AddressExpired:
                continue
            return address.artifact.id
        raise self._calls.failed(
            "REFUSED", f"entry {entry.path!r}: the server refused its own addresses"
        )

    async def _go_on(self, entry: ArtifactEntry, notes: PartNotes, digests: list[str]) -> str:
        """Go on with an upload; return who first had the file, or nothing: it begins anew."""
        (address,) = await self._addresses([entry])
        try:
            if address.upload_url:
                await self._send_parts(entry, notes, digests)
                return notes.address.artifact.id
        except (_AddressExpired, SaveFailed):  # the server gave the upload up meanwhile
            return ""
        await self._end_parts(entry, notes)  # it was complete, but nobody heard of it
        return address.artifact.id

    async def _send_parts(self, entry: ArtifactEntry, notes: PartNotes, digests: list[str]) -> None:
        """Send the parts that did not arrive yet, and say that all did."""
        multipart = notes.address.upload_multipart_urls
        assert multipart is not None
        if {at.part_number for at in multipart.parts} != set(range(1, len(digests) + 1)):
            raise self._calls.failed(
                "UNEXPECTED_ANSWER",
                f"entry {entry.path!r}: {len(multipart.parts)} addresses, not those of parts 1 to "
                f"{len(digests)}: set `artifacts.multipart_bytes` to more than its {entry.size} "
                "bytes, so that it is sent whole",
            )
        size_bytes, tally = entry.size or 0, self._save.tally
        each_bytes = part_bytes(size_bytes, self._saves.config.part_bytes)
        tally.forget_parts(entry.path)

        async def send(at: PartAddress) -> None:
            start = (at.part_number - 1) * each_bytes
            part = FilePart(self._order, entry, start, min(each_bytes, size_bytes - start))
            if at.part_number not in notes.tags:
                md5 = base64_of_hex(digests[at.part_number - 1])
                tag = await self._calls.deliver(
                    f"upload of {entry.path!r}",
                    lambda: self._put_part(part, at.upload_url, md5),
                    was_sound=True,
                )
                await anyio.to_thread.run_sync(notes.note, at.part_number, tag)
            tally.note_part(entry.path, part.size_bytes)

        await work_through(multipart.parts, send, self._saves.config.parallel_parts)
        done = [{"partNumber": n, "hexMD5": notes.tags[n]} for n in sorted(notes.tags)]
        await self._calls.complete_multipart(notes.address, done)
        await self._end_parts(entry, notes)

    async def _end_parts(self, entry: ArtifactEntry, notes: PartNotes) -> None:
        await anyio.to_thread.run_sync(notes.forget)
        self._save.tally.note_file(entry.path, entry.size or 0)

    async def _put_part(self, part: FilePart, url: str, md5: str) -> str:
        upstream, manner = self._calls.courier.upstream, self._calls.courier.manner
        headers = {"Content-MD5": md5, "Content-Type": "application/octet-stream"}
        try:
            async with self._parts, self._lanes.transfers:
                pieces = stream(part, self._saves.threads)
                tag = await upstream.put(url, headers, part.size_bytes, pieces, manner)
        except RequestFailed as failure:
            if failure.status in EXPIRED:
                raise _AddressExpired from failure
            raise
        self._save.tally.bytes_sent += part.size_bytes
        return tag.strip('"')


def part_bytes(size_bytes: int, least_bytes: int) -> int:
    """Return how large the parts of a file are, in bytes.

    Args:
        size_bytes: of the file.
        least_bytes: each has, but the last one.
    """
    few_bytes = min(-(-size_bytes // _FEW_PARTS), _LARGE_PART_BYTES)
    needed_bytes = max(few_bytes, -(-size_bytes // _MAX_PARTS))
    return max(least_bytes, -(-needed_bytes // _PART_STEP_BYTES) * _PART_STEP_BYTES)


class _AddressExpired(Exception):
    """An address of a part does not hold any more; the file begins anew."""
