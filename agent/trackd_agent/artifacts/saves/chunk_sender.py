"""Files on their way to a server that takes chunks: only what it does not have travels."""

from __future__ import annotations

import base64
import binascii
from contextlib import aclosing
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote

import anyio
import anyio.to_thread
import msgspec
import structlog

from trackd_agent.artifacts.saves.adopting import Adopter
from trackd_agent.artifacts.saves.failures import SaveFailed
from trackd_agent.artifacts.saves.order import algorithm_of
from trackd_agent.artifacts.saves.reading import CutFile, read_whole
from trackd_agent.artifacts.workers import work_through
from trackd_agent.upstream import RequestFailed, RetryClass
from trackd_proto.chunks import (
    MAX_FILES_AT_ONCE,
    WHOLE_BYTES,
    Chunk,
    Cut,
    PackEntry,
    chunk_name,
    pack_header,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Sequence

    from trackd_agent.artifacts.saves.calls import ArtifactCalls
    from trackd_agent.artifacts.saves.file_sender import FileSender
    from trackd_agent.artifacts.saves.order import SaveOrder
    from trackd_agent.artifacts.saves.saves import Save, Saves
    from trackd_proto.records import ArtifactEntry

T = TypeVar("T")
log = structlog.get_logger()

#: A file beyond this goes whole: the list of its chunks would be too long for one request.
_MAX_CUT_BYTES = 64 * 1024**3
#: Files of one save that are read at the same time.
_PARALLEL_FILES = 2
#: How often a file is sent again whose chunks went away meanwhile.
_TRIES = 3
#: So few small files are sent without asking whether the server has them.
_FEW_FILES = 8
#: Bytes of a file about whose chunks one request asks.
_ASKED_BYTES = 32 * 1024 * 1024
#: Bytes of chunks that are written to the connection at once, about.
_WRITE_BYTES = 512 * 1024


class _Stored(msgspec.Struct):
    stored: list[bool]
    #: Where a server on this machine takes files over.
    inbox: str | None = None


class _Missing(msgspec.Struct):
    missing: list[int]


class _MissingNames(msgspec.Struct):
    missing: list[bytes]


class _Small(NamedTuple):
    """Small files that travel together."""

    entries: list[ArtifactEntry]
    names: list[bytes]
    #: Each content once.
    chunks: list[Chunk]


class ChunkSender:
    """Sends the files of one save as chunks.

    Args:
        order: of which the files are.
        calls: of the save.
        save: where to say how far it is.
        saves: what all saves share.
        files: takes what is too large to be cut.
    """

    def __init__(
        self,
        order: SaveOrder,
        calls: ArtifactCalls,
        save: Save,
        saves: Saves,
        files: FileSender,
    ) -> None:
        self._order = order
        self._calls = calls
        self._save = save
        self._saves = saves
        self._lanes = saves.lanes_to(calls.courier.upstream)
        self._files = files
        self._inbox: str | None = None
        self._base = f"/api/v1/artifacts/{quote(save.artifact_id, safe='')}"

    async def send(self, entries: list[ArtifactEntry]) -> dict[str, str]:
        """Bring files to the server; it notes itself which version first had them.

        Raises:
            SaveFailed: a file is gone or changed, or the server does not take it.
        """
        size_bytes = sum(entry.size or 0 for entry in entries)
        is_little = size_bytes <= WHOLE_BYTES and len(entries) <= _FEW_FILES
        # Of a file in place the server may have what was added, though it changed since.
        are_copies = all(map(self._order.is_staged, entries))
        wanted = entries if is_little and are_copies else await self._unknown(entries)
        wanted = await self._offer(wanted)
        giant = [entry for entry in wanted if (entry.size or 0) > _MAX_CUT_BYTES]
        small = [entry for entry in wanted if (entry.size or 0) <= WHOLE_BYTES]
        large = [e for e in wanted if WHOLE_BYTES < (e.size or 0) <= _MAX_CUT_BYTES]
        await work_through(self._batches(small), self._send_small, _PARALLEL_FILES)
        await work_through(large, self._send_large, _PARALLEL_FILES)
        return await self._files.send(giant) if giant else {}

    async def _unknown(self, entries: list[ArtifactEntry]) -> list[ArtifactEntry]:
        """Return the files that the server does not have; it holds the others from now on."""
        unknown: list[ArtifactEntry] = []
        for at in range(0, len(entries), MAX_FILES_AT_ONCE):
            batch = entries[at : at + MAX_FILES_AT_ONCE]
            files = [self._named(entry) for entry in batch]
            answer = await self._call("POST", "known", {"files": files}, _Stored)
            self._inbox = answer.inbox
            for entry, is_stored in zip(batch, answer.stored, strict=False):
                if is_stored:
                    self._save.tally.note_file(entry.path, entry.size or 0)
                else:
                    unknown.append(entry)
        return unknown

    async def _offer(self, entries: list[ArtifactEntry]) -> list[ArtifactEntry]:
        """Let a server on this machine take files over; return those that have to be sent."""
        if self._inbox is None:
            return entries
        adopter = Adopter(self._order, self._call, self._named, self._saves.threads)
        try:
            adopted = await adopter.offer(entries, Path(self._inbox))
        except SaveFailed as refusal:  # of a proxy, say: another way is left
            log.info("files_not_adopted", name=self._save.name, problem=refusal.message)
            return entries
        for entry in adopted:
            self._save.tally.note_file(entry.path, entry.size or 0)
        paths = {entry.path for entry in adopted}
        return [entry for entry in entries if entry.path not in paths]

    def _named(self, entry: ArtifactEntry) -> list[Any]:
        try:
            digest = base64.b64decode(entry.digest, validate=True)
        except binascii.Error:
            raise self._calls.failed(
                "BAD_DIGEST", f"entry {entry.path!r}: digest {entry.digest!r} is no base64"
            ) from None
        return [entry.path, algorithm_of(entry), digest, entry.size or 0]

    # -- small files -----------------------------------------------------------------------

    def _batches(self, entries: list[ArtifactEntry]) -> Iterator[list[ArtifactEntry]]:
        """Yield files that travel together."""
        batch: list[ArtifactEntry] = []
        size_bytes = 0
        for entry in entries:
            batch.append(entry)
            size_bytes += entry.size or 0
            if size_bytes >= self._saves.config.window_bytes:
                yield batch
                batch, size_bytes = [], 0
        if batch:
            yield batch

    async def _send_small(self, entries: list[ArtifactEntry]) -> None:
        async with self._lanes.windows:
            small = await anyio.to_thread.run_sync(
                self._read_small, entries, limiter=self._saves.threads
            )
            for _ in range(_TRIES):
                if small.chunks:
                    listed = [PackEntry(chunk.name, len(chunk.data)) for chunk in small.chunks]
                    await self._send_pack(listed, partial(_blocks, small.chunks))
                if not await self._assemble(list(zip(small.entries, small.names, strict=True))):
                    return
        raise self._calls.failed("CHUNKS_LOST", "the server lost what it was sent; log it again")

    def _read_small(self, entries: list[ArtifactEntry]) -> _Small:
        names: list[bytes] = []
        chunks: dict[bytes, Chunk] = {}
        for entry in entries:
            data = read_whole(self._order, entry)
            name = chunk_name(data) if data else b""  # an empty file has no chunks
            names.append(name)
            if data:
                chunks.setdefault(name, Chunk(name, memoryview(data)))
        return _Small(entries, names, list(chunks.values()))

    # -- large files -----------------------------------------------------------------------

    async def _send_large(self, entry: ArtifactEntry) -> None:
        for _ in range(_TRIES):
            names = await self._send_cuts(entry)
            if not await self._assemble([(entry, b"".join(names))]):
                return
        raise self._calls.failed("CHUNKS_LOST", "the server lost what it was sent; log it again")

    async def _send_cuts(self, entry: ArtifactEntry) -> list[bytes]:
        """Cut a file and send what is missing of it; return the names of its chunks."""
        names: list[bytes] = []
        self._save.tally.forget_parts(entry.path)
        file = CutFile(self._order, entry, checks_digest=not self._order.is_staged(entry))

        async def windows() -> AsyncGenerator[list[Cut]]:
            """Yield parts of the file; whoever has sent one gives its place back."""
            while True:
                await self._lanes.windows.acquire()
                try:
                    cuts = await anyio.to_thread.run_sync(
                        file.cut, _ASKED_BYTES, limiter=self._saves.threads
                    )
                except BaseException:
                    self._lanes.windows.release()
                    raise
                if not cuts:
                    self._lanes.windows.release()
                    return
                names.extend(cut.name for cut in cuts)
                yield cuts

        try:
            await self._send_while_cutting(windows(), file, entry.path)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(file.close)
        return names

    async def _send_while_cutting(
        self, windows: AsyncGenerator[list[Cut]], file: CutFile, path: str
    ) -> None:
        """Send what is missing of a part of a file while the next ones are cut."""
        failure: Exception | None = None

        async def send(cuts: list[Cut], tasks: anyio.abc.TaskGroup) -> None:
            nonlocal failure
            try:
                await self._send_missing(cuts, file, path)
            except Exception as error:  # noqa: BLE001 - raised below, without a group around it
                failure = failure or error
                tasks.cancel_scope.cancel()
            finally:
                self._lanes.windows.release()

        async with anyio.create_task_group() as tasks, aclosing(windows):
            try:
                async for cuts in windows:
                    tasks.start_soon(send, cuts, tasks)
            except Exception as error:  # noqa: BLE001 - the same
                failure = failure or error
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _send_missing(self, cuts: Sequence[Cut], file: CutFile, path: str) -> None:
        """Send those of some chunks that the server does not have."""
        own = list({cut.name: cut for cut in cuts}.values())
        names = b"".join(cut.name for cut in own)
        answer = await self._call("POST", "missing", {"chunks": names}, _Missing)
        missing = [own[index] for index in answer.missing if 0 <= index < len(own)]
        missing_bytes = sum(cut.length for cut in missing)
        note = self._save.tally.note_part
        note(path, sum(cut.length for cut in cuts) - missing_bytes)
        for some in _groups(missing, self._saves.config.window_bytes):
            entries = [PackEntry(cut.name, cut.length) for cut in some]
            await self._send_pack(entries, partial(self._read, file, some))
            note(path, sum(cut.length for cut in some))

    async def _read(self, file: CutFile, cuts: Sequence[Cut]) -> AsyncGenerator[bytes]:
        for some in _groups(cuts, _WRITE_BYTES):
            yield await anyio.to_thread.run_sync(file.read, some, limiter=self._saves.threads)

    # -- requests --------------------------------------------------------------------------

    async def _send_pack(
        self, entries: Sequence[PackEntry], read: Callable[[], AsyncGenerator[bytes]]
    ) -> None:
        head = pack_header(entries)
        size_bytes = len(head) + sum(entry.length for entry in entries)
        upstream, manner = self._calls.courier.upstream, self._calls.courier.manner

        async def body() -> AsyncGenerator[bytes]:
            yield head
            async with aclosing(read()) as blocks:
                async for block in blocks:
                    yield block

        async def attempt() -> bytes:
            return await upstream.call("PUT", f"{self._base}/packs", body(), size_bytes, manner)

        await self._calls.deliver("packs", attempt, was_sound=True)
        self._save.tally.bytes_sent += size_bytes

    async def _assemble(self, files: list[tuple[ArtifactEntry, bytes]]) -> bool:
        """Make files out of chunks that were sent; return whether some of them are missing."""
        for at in range(0, len(files), MAX_FILES_AT_ONCE):
            batch = files[at : at + MAX_FILES_AT_ONCE]
            wanted = [[*self._named(entry), names] for entry, names in batch]
            answer = await self._call("POST", "contents", {"files": wanted}, _MissingNames)
            if answer.missing:
                return True
        for entry, _ in files:
            self._save.tally.note_file(entry.path, entry.size or 0)
        return False

    async def _call(self, method: str, what: str, body: dict[str, Any], shape: type[T]) -> T:
        upstream, manner = self._calls.courier.upstream, self._calls.courier.manner
        data = msgspec.msgpack.encode(body)
        path = f"{self._base}/{what}"

        async def attempt() -> T:
            answer = await upstream.call(method, path, data, len(data), manner)
            try:
                return msgspec.msgpack.decode(answer, type=shape)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                # Somebody on the way answered: a few more attempts may reach the server.
                problem = f"{what}: an answer that is none: {error}"
                raise RequestFailed(RetryClass.TRANSIENT, problem, status=HTTPStatus.OK) from error

        return await self._calls.deliver(what, attempt, was_sound=True)


async def _blocks(chunks: Sequence[Chunk]) -> AsyncGenerator[bytes]:
    """Yield the bytes of chunks, in pieces that neither cost a write each nor copy all of them."""
    pieces: list[memoryview] = []
    size_bytes = 0
    for chunk in chunks:
        pieces.append(chunk.data)
        size_bytes += len(chunk.data)
        if size_bytes >= _WRITE_BYTES:
            yield b"".join(pieces)
            pieces, size_bytes = [], 0
    if pieces:
        yield b"".join(pieces)


def _groups(cuts: Sequence[Cut], most_bytes: int) -> Iterator[list[Cut]]:
    """Yield chunks in groups of about so many bytes, never much more."""
    some: list[Cut] = []
    size_bytes = 0
    for cut in cuts:
        some.append(cut)
        size_bytes += cut.length
        if size_bytes >= most_bytes:
            yield some
            some, size_bytes = [], 0
    if some:
        yield some
