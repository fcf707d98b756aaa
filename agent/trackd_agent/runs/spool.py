"""Takes over what ranks wrote into their spool folders and could not send."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.lowlevel
import anyio.to_thread
import msgspec

from trackd_agent.journal import read_folder
from trackd_agent.runs import liveness
from trackd_agent.runs.noted.event_files import folders_of
from trackd_proto import frames, records
from trackd_proto.layout import SEGMENT_SUFFIX, SPOOL_LOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trackd_agent.journal import Journal
    from trackd_agent.runs.writer import Writer
    from trackd_proto.frames import Frame, SegmentHeader

_SPOOL_NAME = re.compile(r"-[0-9a-f]{16}\Z")


def is_held(folder: Path) -> bool:
    """Return whether a spool is in reach and somebody holds the lock in it."""
    return liveness.lock_is_free(folder) is False


def read_start(folder: Path, producer: int | None = None) -> tuple[int, records.Start] | None:
    """Return the producer and the first record of a spool or journal folder, if it is there."""
    reader = read_folder(folder, producer, live=True)
    try:
        first = reader.read(frames.MAX_FRAME_PAYLOAD_BYTES)[:1]
    except OSError:
        return None
    if not first or reader.producer is None:
        return None
    start = decode_start(first[0])
    return (reader.producer, start) if start else None


def header_of(folder: Path) -> SegmentHeader | None:
    """Return the first readable header of the segments in a folder."""
    for path in sorted(folder.glob("*" + SEGMENT_SUFFIX)):
        with path.open("rb") as file:
            header = frames.decode_segment_header(file.read(frames.SEGMENT_HEADER_BYTES))
        if header is not None:
            return header
    return None


def start_in(blob: bytes | memoryview, producer: int) -> records.Start | None:
    """Return the first record of a blob of frames, if that is a START frame."""
    _, _, _, length, _, _ = frames.HEAD.unpack_from(blob)
    view = memoryview(blob)[: frames.frame_size(length)]
    first = next(iter(frames.Scanner(view, producer=producer)), None)
    return decode_start(first) if first else None


def decode_start(frame: Frame) -> records.Start | None:
    """Return the record in a START frame; None for any other frame, or a damaged one."""
    if frame.kind != records.Kind.START:
        return None
    try:
        start = records.decode(frame.kind, frame.payload)
    except (ValueError, msgspec.MsgspecError):
        return None
    return start if isinstance(start, records.Start) else None


def holds_artifact(blob: bytes | memoryview) -> bool:
    """Tell whether an artifact may be among frames; see `frames.may_hold`."""
    return frames.may_hold(blob, records.Kind.ARTIFACT)


def is_empty(folder: Path) -> bool:
    """Return whether a spool folder holds no good frame at all."""
    reader = read_folder(folder, live=True)
    try:
        return not reader.read()
    finally:
        reader.close()


async def ingest(
    folder: Path,
    journal: Journal,
    note_folders: Callable[[list[records.TensorboardLogs]], None],
    *,
    live: bool,
) -> int:
    """Append what the journal lacks from a spool folder; return how many records came.

    Before that `note_folders` hears of the folders of TensorBoard files that the records name.
    Records that exist nowhere any more leave a gap in the numbers; readers report it.

    Raises:
        JournalFull: no space; what is missing comes with the next call.
    """
    reader = read_folder(folder, journal.producer, journal.last_seq, live=live)
    count = 0
    try:
        while batch := reader.read():
            note_folders(folders_of(batch))
            for first_seq, blob, size in _blobs(batch, journal.producer):
                journal.receive(first_seq, size, blob, None, accept_gap=True)
                count += size
            await anyio.lowlevel.checkpoint()
    finally:
        reader.close()
    return count


def frames_behind(folder: Path, producer: int, seq: int) -> list[Frame]:
    """Return the first frames behind a number in the spool of a rank that lives."""
    reader = read_folder(folder, producer, seq, live=True)
    try:
        return reader.read()
    except FileNotFoundError:  # no spool that this node sees
        return []
    finally:
        reader.close()


def _blobs(batch: list[Frame], producer: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield the runs of consecutive frames: first number, bytes, count."""
    parts: list[bytes] = []
    first_seq = batch[0].seq
    for frame in batch:
        if frame.seq != first_seq + len(parts):
            yield first_seq, b"".join(parts), len(parts)
            parts, first_seq = [], frame.seq
        parts.append(
            frames.encode_frame(frame.kind, producer, frame.seq, bytes(frame.payload), frame.flags)
        )
    yield first_seq, b"".join(parts), len(parts)


async def take_over(writer: Writer, folder: Path, *, live: bool) -> None:
    """Bring what a rank could not send from its spool into its journal.

    Raises:
        JournalFull: no space; what is missing comes with the next call.
    """
    try:
        count = await ingest(folder, writer.journal, writer.event_files.note, live=live)
    except FileNotFoundError:  # no spool that this node sees, or it is gone already
        return
    writer.problem = ""
    if not count:
        return
    if writer.start is None and (found := read_start(writer.folder, writer.producer)):
        writer.begin(found[1])
    writer.pumps.grew(1)


async def has_exit(folder: Path) -> bool:
    """Return whether the last record in a journal folder is the writer's own exit."""

    def look() -> bool:
        last = None
        for segment in sorted(folder.glob("*.seg"))[-1:]:
            for frame in frames.Scanner(segment.read_bytes(), frames.SEGMENT_HEADER_BYTES):
                last = frame.kind
        return last == records.Kind.EXIT

    return await anyio.to_thread.run_sync(look)


async def remove_when_free(writer: Writer) -> bool:
    """Delete the spool folder of a writer that has ended; return whether it is gone.

    It stays while its rank holds it, and until what it holds is on the disk elsewhere.

    Raises:
        JournalFull: the journal cannot reach the disk.
    """
    folder = Path(writer.facts.spool_dir)
    if liveness.lock_is_free(folder) is False:
        return False
    if writer.journal.synced_seq < writer.journal.last_seq:  # also while another sync is under way
        await anyio.to_thread.run_sync(writer.journal.sync)
    return await remove(folder)


async def remove(folder: Path) -> bool:
    """Delete a spool folder whose content is in the journal; return whether it is gone.

    Ranks name the folder, so nothing is deleted that is no spool. The first segment tells whose
    it is and goes last, and the lock that tells that nobody lives behind it.
    """

    def delete() -> bool:
        if _SPOOL_NAME.search(folder.name) is None:
            return True
        with suppress(OSError):
            files = [path for path in folder.iterdir() if not path.is_dir()]
            files.sort(key=lambda path: (path.name != SPOOL_LOCK, path.name), reverse=True)
            for path in files:
                path.unlink(missing_ok=True)
            folder.rmdir()
        return not any(folder.glob("*" + SEGMENT_SUFFIX))

    return await anyio.to_thread.run_sync(delete)
