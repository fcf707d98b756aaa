"""Carries one writer to one server: journal in, acknowledged requests out, checkpoints between.

Nothing is decoded before its turn, so a backlog lies on disk and not in memory. What a frame
becomes depends on the frames alone: after a crash the pump goes on from its checkpoint and
gives the same lines the same numbers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
import structlog

from trackd_agent.core.errors import AgentError
from trackd_agent.filestream import FileStream, Offsets, Outgoing
from trackd_agent.journal import Checkpoints
from trackd_agent.runs import spool
from trackd_agent.runs.files import ConsoleFile, LogPosition, console_file_name
from trackd_agent.runs.state import WriterState
from trackd_agent.runs.updates import Notice
from trackd_agent.upstream import Wake
from trackd_proto.frames import FRAME_HEADER_BYTES
from trackd_proto.layout import producer_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd_agent.journal import JournalReader
    from trackd_agent.runs.context import RunsContext
    from trackd_agent.runs.updates import Updates
    from trackd_agent.runs.uplink import Uplink
    from trackd_agent.runs.writer import Writer
    from trackd_proto.frames import Frame

log = structlog.get_logger()

_FRAMES_PER_LOOK = 32
#: A checkpoint may cost at most this share of the time.
_CHECKPOINT_SHARE = 0.02


class PumpCheckpoint(msgspec.Struct, array_like=True):
    """All that a pump has to remember."""

    rank_seq: int
    agent_seq: int
    history: int
    events: int
    console_base: int
    state: bytes
    log: LogPosition
    files: dict[str, str]
    console_lines: int = 0
    is_over: bool = False
    dropped: dict[str, int] = msgspec.field(default_factory=dict[str, int])


class Pump:
    """The pump of one writer and one server."""

    def __init__(self, writer: Writer, uplink: Uplink, context: RunsContext) -> None:
        self.writer = writer
        self.state: WriterState | None = None
        self.stream: FileStream | None = None
        self.over = anyio.Event()
        self.acked_seq = 0
        #: Numbers of both journals up to which this pump never reads again.
        self.stored_seqs = (0, 0)
        #: Lines of the console so far.
        self.console_lines = 0
        self._acked_agent_seq = 0
        self._uplink = uplink
        self._context = context
        self._wake = Wake()
        self._rank_reader: JournalReader
        self._agent_reader: JournalReader
        self._checkpoints = Checkpoints(writer.folder, uplink.checkpoint_name)
        self._files: dict[str, str] = {}
        self._dropped: dict[str, int] = {}
        self._console = ConsoleFile(uplink.files_dir / console_file_name(writer.label))
        self._unread_bytes = writer.journal.size_bytes
        self._read_bytes = 0
        self._full_bytes = context.config.request_bytes
        self._sent_at = float("-inf")
        self._stored_at = float("-inf")
        self._store_cost_s = 0.0

    # -- what the writer says --------------------------------------------------------------

    def grew(self, size_bytes: int) -> None:
        """More was journalled."""
        before = self._unread_bytes
        self._unread_bytes = before + size_bytes
        if not before or self._unread_bytes >= self._full_bytes:
            self._wake.set()

    def hurry(self) -> None:
        """Send what there is without waiting for the interval."""
        self._sent_at = float("-inf")
        self._wake.set()

    # -- what others ask -------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        """Whether the journals hold something that was not acknowledged."""
        writer = self.writer
        return (
            self.acked_seq < writer.journal.last_seq
            or self._acked_agent_seq < writer.agent_journal.last_seq
        )

    @property
    def backlog_bytes(self) -> int:
        """About how much of the journals was not acknowledged."""
        return self._unread_bytes + self._read_bytes if self.is_behind else 0

    @property
    def stop_requested(self) -> bool:
        """Whether the server asks the run to stop."""
        return self.stream is not None and self.stream.stop_requested

    @property
    def exit_code(self) -> int | None:
        """Exit code of the writer, once its record was read."""
        return self.state.exit.exit_code if self.state and self.state.exit else None

    @property
    def dropped(self) -> Mapping[str, int]:
        """Records lost, by reason."""
        counts = dict(self._dropped)
        if self.state:
            for reason, count in self.state.dropped.items():
                counts[reason] = counts.get(reason, 0) + count
        if self.stream and self.stream.dropped:
            counts["line_refused"] = counts.get("line_refused", 0) + self.stream.dropped
        return counts

    # -- life ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry everything to the server; return when the writer has ended and all is there."""
        try:
            await self._begin()
            stream = self.stream
            while stream and not self.over.is_set():
                await self._wait_for_turn(stream)
                await self._take_turn(stream)
                await self._settle_end()
        finally:
            self._close_readers()

    def _close_readers(self) -> None:
        for reader in (self._rank_reader, self._agent_reader):
            reader.close()

    async def _begin(self) -> None:
        writer = self.writer
        saved = self._load()
        self._rank_reader = writer.journal.reader(self.acked_seq)
        self._agent_reader = writer.agent_journal.reader(self._acked_agent_seq)
        if self.state is None:
            await self._wait_for_start()
        if self.state is None:
            self.over.set()  # it ended before it said anything
            return
        if writer.start is None:
            writer.begin(self.state.start)
        self._uplink.joined(self)
        await self._uplink.upsert.ready.wait()
        for name, policy in self._files.items():
            self._uplink.uploader.add(name, policy)
        writer.url = writer.url or self._uplink.upsert.url
        offsets = (
            Offsets(saved.history, saved.events, saved.console_base)
            if saved
            else await self._uplink.first_offsets(self)
        )
        self.stream = FileStream(
            self._uplink.courier,
            self._uplink.upsert.path,
            self._stream_headers(),
            offsets,
            self._context.rooms.filestream,
        )
        if saved is None:
            await self._store()  # before the first line: where the stream began must be known
        elif saved.is_over:
            self._finish_files()
            self.over.set()

    def _load(self) -> PumpCheckpoint | None:
        raw = self._checkpoints.load()
        if raw is None:
            return None
        saved = msgspec.msgpack.decode(raw, type=PumpCheckpoint)
        self.state = WriterState.restore(saved.state)
        self.acked_seq, self._acked_agent_seq = saved.rank_seq, saved.agent_seq
        self.stored_seqs = saved.rank_seq, saved.agent_seq
        self.console_lines = saved.console_lines
        self._files = saved.files
        self._dropped = saved.dropped
        self._console.position = saved.log
        return saved

    async def _wait_for_start(self) -> None:
        """Wait for the first record; without it nothing about the writer is known."""
        writer = self.writer
        while writer.start is None:
            self._unread_bytes = 0
            for frame in self._rank_reader.read()[:1]:
                if start := spool.decode_start(frame):
                    writer.begin(start)
            if writer.start is None:
                if (
                    not writer.is_alive
                    and writer.journal.last_seq <= self._rank_reader.position_seq
                ):
                    return
                await self._wake.wait(1.0)
        self._rank_reader.close()
        self._rank_reader = writer.journal.reader(0)
        self._unread_bytes = max(1, writer.journal.size_bytes)
        self.state = WriterState(writer.start)

    def _stream_headers(self) -> dict[str, str]:
        writer = self.writer
        if writer.is_plain:
            return {}
        headers = {
            "X-WANDB-ASYNC-CLIENT-ID": producer_name(writer.producer),
            "X-WANDB-USE-ASYNC-FILESTREAM": "true",
        }
        if writer.label:
            headers["X-Trackd-Label"] = writer.label.encode("ascii", "replace").decode()
        return headers

    def remembered(self) -> tuple[WriterState, int, int] | None:
        """Return the state of the last checkpoint and its positions."""
        raw = self._checkpoints.load()
        if raw is None:
            return None
        saved = msgspec.msgpack.decode(raw, type=PumpCheckpoint)
        return WriterState.restore(saved.state), saved.rank_seq, saved.agent_seq

    # -- one turn --------------------------------------------------------------------------

    async def _wait_for_turn(self, stream: FileStream) -> None:
        """Wait until there is something to send and the interval is over, or a request is full."""
        while True:
            full = self._unread_bytes >= self._full_bytes
            if full or not self.writer.is_alive:
                return
            now = time.monotonic()
            due = self._sent_at + self._interval_s()
            if self._unread_bytes or self._uplink.uploader.has_uploaded:
                if now >= due:
                    return
                await self._wake.wait(due - now)
            else:
                heartbeat_s = self._context.rooms.filestream.heartbeat_s
                woken = await self._wake.wait(max(0.0, self._sent_at + heartbeat_s - now))
                if not woken and time.monotonic() >= self._sent_at + heartbeat_s:
                    await stream.heartbeat()
                    self._sent_at = time.monotonic()

    def _interval_s(self) -> float:
        assert self.state is not None
        own = self.state.start.settings.get("x_file_stream_transmit_interval")
        if isinstance(own, int | float) and own > 0:
            return float(own)
        return self._uplink.courier.upstream.interval_s

    async def _take_turn(self, stream: FileStream) -> None:
        """Decode until a request is full or the journals are read, send, remember."""
        state = self.state
        assert state is not None
        await self._decode(state)
        updates = state.take()
        await self._pass_on(updates)
        outgoing = Outgoing(
            history=updates.history,
            events=updates.events,
            console=updates.console,
            summary=updates.summary,
            uploaded=self._uplink.uploader.take_uploaded(),
            preempting=updates.preempting,
        )
        positions = self._rank_reader.position_seq, self._agent_reader.position_seq
        if not outgoing.is_empty:
            await stream.send(outgoing)
        self._sent_at = time.monotonic()
        self.acked_seq, self._acked_agent_seq = positions
        self._read_bytes = 0
        await self._store_when_due()

    async def _decode(self, state: WriterState) -> None:
        config = self._context.config
        for reader in (self._agent_reader, self._rank_reader):
            while state.pending_bytes < self._full_bytes:
                frames = reader.read(config.read_bytes)
                if not frames:
                    break
                at = 0
                while at < len(frames):
                    async with self._context.decoding:
                        at = self._decode_slice(state, frames, at)
                    await anyio.lowlevel.checkpoint()
            self._count_damage(reader)
        if self._rank_reader.position_seq >= self.writer.journal.last_seq:
            self._unread_bytes = 0

    def _decode_slice(self, state: WriterState, frames: list[Frame], at: int) -> int:
        """Apply frames for one slice of time; return where to go on."""
        end_at = time.monotonic() + self._context.config.slice_s
        apply = state.apply
        read_bytes = 0
        while at < len(frames):
            for frame in frames[at : at + _FRAMES_PER_LOOK]:
                apply(frame)
                read_bytes += len(frame.payload) + FRAME_HEADER_BYTES
            at += _FRAMES_PER_LOOK
            if time.monotonic() >= end_at:
                break
        self._read_bytes += read_bytes
        self._unread_bytes = max(0, self._unread_bytes - read_bytes)
        return at

    def _count_damage(self, reader: JournalReader) -> None:
        if reader.missing:
            lost = sum(last - first + 1 for first, last in reader.missing)
            reader.missing.clear()
            self._dropped["damaged"] = self._dropped.get("damaged", 0) + lost
            if self._uplink.is_first:
                self.writer.tell(Notice("error", f"{lost} records were damaged and are lost"))
        reader.damages.clear()

    async def _pass_on(self, updates: Updates) -> None:
        """Hand what is no line to whom it concerns."""
        if updates.config_changed or updates.facts_changed:
            self._uplink.upsert.mark()
        if updates.console:
            self.console_lines = max(self.console_lines, max(updates.console) + 1)
        for saved in updates.files:
            self._files[saved.path] = saved.policy
            self._uplink.uploader.add(saved.path, saved.policy)
        for alert in updates.alerts:
            self._uplink.alert(alert)
        if self._uplink.is_first:
            for notice in updates.notices:
                self.writer.tell(notice)
            if updates.console:
                await self._write_console(updates.console)

    async def _write_console(self, edits: dict[int, str]) -> None:
        try:
            await anyio.to_thread.run_sync(self._console.update, edits)
        except OSError as error:
            self._dropped["console_file"] = self._dropped.get("console_file", 0) + len(edits)
            log.warning("console_file_not_written", problem=str(error))

    # -- the end ---------------------------------------------------------------------------

    async def _settle_end(self) -> None:
        """Find out whether the writer is over and everything of it is acknowledged."""
        writer = self.writer
        if writer.is_alive or self.is_behind or self.over.is_set():
            return
        state = self.state
        assert state is not None
        if state.exit is not None and not state.exit.crashed:
            writer.state = "exited"  # its exit was in the spool
        if state.exit is None and writer.state == "crashed" and not writer.is_child:
            try:
                writer.record_crash()
            except AgentError as error:
                log.warning("exit_not_journalled", problem=error.message)
                await self._wake.wait(1.0)
            return
        if self._uplink.is_first and not self._console.is_empty:
            name = self._console.path.name
            self._files[name] = "now"
            self._uplink.uploader.add(name, "now")
        self._finish_files()
        await self._store(is_over=True)
        self.over.set()

    def _finish_files(self) -> None:
        for name in self._files:
            self._uplink.uploader.finish(name)

    # -- checkpoints -----------------------------------------------------------------------

    async def _store_when_due(self) -> None:
        rest_s = max(
            self._context.config.checkpoint_interval_s, self._store_cost_s / _CHECKPOINT_SHARE
        )
        if time.monotonic() - self._stored_at >= rest_s:
            await self._store()

    async def _store(self, *, is_over: bool = False) -> None:
        """Remember what was acknowledged, and let go of the journal up to there."""
        state, stream = self.state, self.stream
        assert state is not None
        assert stream is not None
        began = time.monotonic()
        positions = self.acked_seq, self._acked_agent_seq
        self._files = {
            n: p for n, p in self._files.items() if not self._uplink.uploader.is_settled(n)
        }
        checkpoint = PumpCheckpoint(
            rank_seq=self.acked_seq,
            agent_seq=self._acked_agent_seq,
            history=stream.offsets.history,
            events=stream.offsets.events,
            console_base=stream.offsets.console_base,
            state=state.snapshot(),
            log=self._console.position,
            files=self._files,
            console_lines=self.console_lines,
            is_over=is_over,
            dropped=self._dropped,
        )
        data = msgspec.msgpack.encode(checkpoint)
        self._store_cost_s = time.monotonic() - began
        try:
            await anyio.to_thread.run_sync(self._checkpoints.store, data)
        except AgentError as error:  # behind is harmless: the next one will do
            log.warning("checkpoint_not_stored", problem=error.message)
            return
        self._stored_at = time.monotonic()
        self.stored_seqs = positions
        self.writer.release()
