"""TensorBoard files of one writer: read in turns, and what was read journalled with its place.

Rows and position are one record of the agent's journal, so an agent that was killed goes on
exactly where the journal ends. Which folders there are is noted beside the journal before the
record that names them is taken, and so known to the next agent.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
import structlog

from trackd_agent.core.errors import JournalFull
from trackd_agent.runs.state.updates import Notice
from trackd_agent.tensorboard import Follower, Position
from trackd_proto.frames import MAX_FRAME_PAYLOAD_BYTES, Scanner, may_hold
from trackd_proto.records import Followed, Kind, TensorboardLogs, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackd_agent.runs.writer import Writer
    from trackd_proto.frames import Frame

log = structlog.get_logger()

_MAX_RECORD_BYTES = MAX_FRAME_PAYLOAD_BYTES
_MAX_ROW_BYTES = MAX_FRAME_PAYLOAD_BYTES // 8
#: Folders that are followed for one writer.
_MAX_FOLDERS = 1000
#: Longest time that one writer keeps the others waiting, in seconds.
_TURN_S = 0.5


def folders_in(frames: bytes | memoryview, producer: int) -> list[TensorboardLogs]:
    """Return the folders that a blob of frames names."""
    if not may_hold(frames, Kind.TENSORBOARD):
        return []
    return folders_of(Scanner(frames, producer=producer))


def folders_of(frames: Iterable[Frame]) -> list[TensorboardLogs]:
    """Return the folders that some frames name; what cannot be read names none."""
    found: list[TensorboardLogs] = []
    for frame in frames:
        if frame.kind == Kind.TENSORBOARD:
            try:
                record = decode(frame.kind, frame.payload)
            except ValueError:
                continue  # the state counts it
            if isinstance(record, TensorboardLogs):
                found.append(record)
    return found


class EventFiles:
    """The event files of one writer.

    Args:
        writer: whose facts name the folders, and whose journal takes what is read.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._follower: Follower | None = None
        self._reading = anyio.Lock()

    @property
    def is_active(self) -> bool:
        """Whether there is any folder to follow."""
        return bool(self._writer.facts.tensorboard)

    def note(self, folders: list[TensorboardLogs]) -> None:
        """Follow some folders from now on, by this agent and the next one.

        Raises:
            JournalFull: that cannot be noted; nothing changed.
        """
        known = self._writer.facts.tensorboard
        room = _MAX_FOLDERS - len(known)
        if new := [logs for logs in folders if logs not in known][:room]:
            known += new
            try:
                self._writer.facts.store(self._writer.folder)
            except JournalFull:
                del known[-len(new) :]
                raise

    async def turn(self) -> None:
        """Journal what is new, for a while.

        Raises:
            JournalFull: no space; the next turn goes on.
        """
        await self._read(_TURN_S, final=False)

    async def finish(self, limit_s: float = _TURN_S) -> bool:
        """Journal what is left, now that nothing more will be written.

        Args:
            limit_s: return after about so long.

        Returns:
            Whether nothing is left.

        Raises:
            JournalFull: no space; the next call goes on.
        """
        return not self.is_active or await self._read(limit_s, final=True)

    async def _read(self, limit_s: float, *, final: bool) -> bool:
        ends_at = time.monotonic() + limit_s
        async with self._reading:
            follower = self._follower = self._follower or await self._open()
            for logs in self._writer.facts.tensorboard:
                follower.follow(logs)
            while found := await self._read_once(follower, final=final):
                for followed in found:
                    self._journal(followed)
                    follower.accept(followed)
                if time.monotonic() >= ends_at:
                    return False
        return True

    async def _read_once(self, follower: Follower, *, final: bool) -> list[Followed]:
        def read() -> list[Followed]:
            return follower.read(time.monotonic(), final=final)

        try:
            found = await anyio.to_thread.run_sync(read)
        except OSError as error:  # an image found no room
            raise JournalFull(
                "FILES_UNWRITABLE",
                f"files of the run cannot be written: {error}",
                retry_after_s=1.0,
            ) from error
        for problem in follower.problems:
            self._tell(problem)
        follower.problems.clear()
        return found

    def _journal(self, followed: Followed) -> None:
        placed = msgspec.structs.replace(followed, after_seq=self._writer.journal.last_seq)
        if len(encode(placed)) > _MAX_RECORD_BYTES:  # one of the rows is a huge text
            rows = [row for row in placed.rows if len(encode(row)) <= _MAX_ROW_BYTES]
            lost = len(placed.rows) - len(rows)
            self._tell(f"TensorBoard: {lost} rows of {placed.file} are too large and left out")
            placed = msgspec.structs.replace(placed, rows=rows)
        if len(encode(placed)) > _MAX_RECORD_BYTES:
            self._tell(f"TensorBoard: hyperparameters of {placed.file} are too large and left out")
            placed = msgspec.structs.replace(placed, config=[])
        self._writer.record(Kind.FOLLOWED, placed)

    def _tell(self, problem: str) -> None:
        log.warning("event_file_problem", label=self._writer.label, problem=problem)
        self._writer.notices.append(Notice("warning", problem))

    async def _open(self) -> Follower:
        """Return a follower that goes on where the journal ends."""
        writer = self._writer
        remembered = writer.pumps.remembered()
        state, agent_seq = (remembered[0], remembered[2]) if remembered else (None, 0)
        positions = {file: Position(*at) for file, at in state.followed.items()} if state else {}
        reader = writer.agent_journal.reader(agent_seq)
        try:
            while frames := reader.read():
                for frame in frames:
                    if frame.kind == Kind.FOLLOWED:
                        positions.update(_position_in(frame))
                await anyio.lowlevel.checkpoint()
        finally:
            reader.close()
        started_s = writer.start.time_s if writer.start else writer.facts.attached_s
        files_dir = Path(writer.facts.run_dir) / "files"
        return Follower(files_dir, started_s, positions, time.monotonic())


def _position_in(frame: Frame) -> dict[str, Position]:
    try:
        record = decode(frame.kind, frame.payload)
    except ValueError:  # damaged on the disk: rows may come twice, but none is lost
        return {}
    if not isinstance(record, Followed):
        return {}
    return {record.file: Position(record.offset, record.namespace)}
