"""Carries one writer to one server: journal in, acknowledged requests out, checkpoints between.

Nothing is decoded before its turn, so a backlog lies on disk and not in memory. What a frame
becomes depends on the frames alone: after a crash the pump goes on from its checkpoint and
gives the same lines the same numbers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import structlog

from trackd_agent.filestream import FileStream, Offsets, Outgoing, late_file_name, shared_headers
from trackd_agent.runs.console import ConsoleFiles, LogPosition
from trackd_agent.runs.state.updates import Notice
from trackd_agent.runs.state.writer_state import WriterState
from trackd_agent.runs.upload import ending
from trackd_agent.runs.upload.feed import Feed
from trackd_agent.runs.upload.memory import Memory, PumpCheckpoint
from trackd_agent.runs.upload.run_settings import manners_of, positive, stream_limits
from trackd_agent.upstream import Courier, Wake

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd_agent.runs.context import RunsContext
    from trackd_agent.runs.state.updates import Updates
    from trackd_agent.runs.upload.uplink import Uplink
    from trackd_agent.runs.writer import Writer

log = structlog.get_logger()

#: Wait before what a full disk refused is tried again, in seconds.
_DISK_RETRY_S = 1.0


class Pump:
    """The pump of one writer and one server."""

    def __init__(self, writer: Writer, uplink: Uplink, context: RunsContext) -> None:
        self.writer = writer
        self.stream: FileStream | None = None
        self.over = anyio.Event()
        #: Numbers of both journals: acknowledged by the server, and never read again.
        self.acked_seqs = (0, 0)
        self.stored_seqs = (0, 0)
        #: Lines of the console so far.
        self.console_lines = 0
        self.courier = Courier(uplink.upstream)
        self._uplink = uplink
        self._context = context
        self._wake = Wake()
        self._memory = Memory(
            writer.folder, uplink.upstream.name, context.config.checkpoint_interval_s
        )
        self._saves = uplink.saves_of(writer, self._memory.name)
        self._feed: Feed | None = None
        self._files: dict[str, str] = {}
        self._dropped: dict[str, int] = {}
        self._log = LogPosition()
        self._console: ConsoleFiles | None = None
        self._full_bytes = context.config.request_bytes
        self._sent_at = float("-inf")
        #: The next turn does not wait for the interval.
        self._is_hurried = False
        self._heartbeat_s = context.rooms.filestream.heartbeat_s

    # -- what the writer says --------------------------------------------------------------

    def grew(self, size_bytes: int, *, is_awaited: bool = False) -> None:
        """More was journalled; what is awaited is sent without waiting for the interval."""
        self._is_hurried = self._is_hurried or is_awaited
        feed = self._feed
        if feed is None:
            self._wake.set()
            return
        before = feed.unread_bytes
        feed.unread_bytes = before + size_bytes
        is_first = not before or feed.state is None  # the first record is waited for
        if is_awaited or is_first or feed.unread_bytes >= self._full_bytes:
            self._wake.set()

    def hurry(self) -> None:
        """Send what there is without waiting for the interval."""
        self._is_hurried = True
        self._wake.set()
        self.courier.hurry.set()

    # -- what others ask -------------------------------------------------------------------

    @property
    def state(self) -> WriterState | None:
        """The writer's state as far as it was read; None: nothing was."""
        return self._feed.state if self._feed else None

    @property
    def acked_seq(self) -> int:
        """Last number of the rank's records that the server acknowledged."""
        return self.acked_seqs[0]

    @property
    def is_behind(self) -> bool:
        """Whether the journals hold something that was not acknowledged.

        So they do while nobody has looked which artifacts an earlier agent left.
        """
        rank_seq, agent_seq = self.acked_seqs
        writer = self.writer
        if not self._saves.is_resumed and not self.over.is_set():
            return writer.journal.last_seq > 0
        return rank_seq < writer.journal.last_seq or agent_seq < writer.agent_journal.last_seq

    @property
    def backlog_bytes(self) -> int:
        """About how much of the journals was not acknowledged."""
        if not self.is_behind:
            return 0
        feed = self._feed
        return feed.unread_bytes + feed.read_bytes if feed else self.writer.journal.size_bytes

    @property
    def unread_bytes(self) -> int:
        """About how much of the journals was not decoded."""
        return self._feed.unread_bytes if self._feed else self.writer.journal.size_bytes

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
        for reason, count in [*self._uplink.dropped_files(self).items(), *self._saves.lost]:
            counts[reason] = counts.get(reason, 0) + count
        return counts

    # -- life ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry everything to the server; return when the writer has ended and all is there."""
        saved = self._memory.load()
        state = self._recall(saved) if saved else None
        feed = self._feed = Feed(self.writer, self._context, state, *self.acked_seqs)
        try:
            state = await feed.wait_for_start(self._wake)
            if state is None:
                self.over.set()  # the writer ended before it said anything
                return
            stream = await self._open_stream(state, saved)
            while not self.over.is_set():
                await self._wait_for_turn(feed, stream)
                await self._take_turn(feed, state, stream)
                await self._end_when_over(state)
        finally:
            feed.close()

    def _recall(self, saved: PumpCheckpoint) -> WriterState:
        self.acked_seqs = self.stored_seqs = saved.rank_seq, saved.agent_seq
        self.console_lines = saved.console_lines
        self._files = saved.files
        self._dropped = saved.dropped
        self._log = saved.log
        return WriterState.restore(saved.state)

    async def _open_stream(self, state: WriterState, saved: PumpCheckpoint | None) -> FileStream:
        writer, uplink = self.writer, self._uplink
        if writer.start is None:
            writer.begin(state.start)
        assert writer.start is not None
        self._console = ConsoleFiles(uplink.files_dir.parent, writer.start, self._log)
        uplink.joined(self)
        await uplink.upsert.ready.wait()
        writer.url = writer.url or uplink.upsert.url
        writer.name = writer.name or uplink.upsert.name
        for name, policy in self._files.items():
            uplink.uploader.add(name, policy)
        if saved:
            offsets = Offsets(saved.history, saved.events, saved.console_base)
        else:
            offsets = await uplink.first_offsets(self)
        settings = state.start.settings
        self.courier.manner = manners_of(settings).rows
        path, limits = uplink.upsert.path, stream_limits(self._context.rooms.filestream, settings)
        self._heartbeat_s = limits.heartbeat_s
        stream = FileStream(self.courier, path, self._stream_headers(), offsets, limits)
        stream.late_file = late_file_name(writer.facts.writer_id)
        stream.late = saved.late if saved else {}
        self.stream = stream
        await self._saves.resume()
        if saved is None:
            while not await self._store():  # before the first line: where the stream began must
                self.courier.problem = "the first checkpoint cannot be stored: is the disk full?"
                await self.courier.hurry.wait(_DISK_RETRY_S)  # be known after a crash
            self.courier.problem = ""
        elif saved.is_over:
            writer.guests.close()
            self._finish_files()
            self._saves.let_go()
            self.over.set()
        return stream

    def _stream_headers(self) -> dict[str, str]:
        writer = self.writer
        if writer.facts.is_plain:
            return {}
        return shared_headers(writer.facts.writer_id, writer.label)

    def remembered(self) -> tuple[WriterState, int, int] | None:
        """Return the state of the last checkpoint and its positions."""
        saved = self._memory.load()
        return (
            (WriterState.restore(saved.state), saved.rank_seq, saved.agent_seq) if saved else None
        )

    # -- one turn --------------------------------------------------------------------------

    async def _wait_for_turn(self, feed: Feed, stream: FileStream) -> None:
        """Wait until there is something to send and the interval is over, or a request is full."""
        heartbeat_s = self._heartbeat_s
        while feed.unread_bytes < self._full_bytes and self.writer.may_grow:
            now = time.monotonic()
            if feed.unread_bytes or self._uplink.uploader.has_uploaded:
                wait_s = self._sent_at + self._interval_s() - now
                if self._is_hurried or wait_s <= 0:
                    return
                await self._wake.wait(wait_s)
            elif self._is_hurried or now >= self._sent_at + heartbeat_s:
                self._is_hurried = False
                await stream.heartbeat()
                self._sent_at = time.monotonic()
            else:
                await self._wake.wait(self._sent_at + heartbeat_s - now)

    def _interval_s(self) -> float:
        start = self.writer.start
        own = start.settings.get("x_file_stream_transmit_interval") if start else None
        return positive(own) or self._uplink.upstream.interval_s

    async def _take_turn(self, feed: Feed, state: WriterState, stream: FileStream) -> None:
        """Decode until a request is full or the journals are read, send, remember."""
        self._is_hurried = False  # what comes from here on may need one more turn
        if not await self.writer.guests.gather():
            await self._wake.wait(_DISK_RETRY_S)
        await feed.decode(state, self._full_bytes)
        self._note_lost(feed)
        positions = feed.positions
        updates = state.take()
        await self._pass_on(updates)
        outgoing = Outgoing(
            late=updates.late,
            history=updates.history,
            events=updates.events,
            console=updates.console,
            summary=updates.summary,
            uploaded=self._uplink.uploader.take_uploaded(),
            preempting=updates.preempting,
        )
        if stream.late or not outgoing.is_empty:
            await stream.send(outgoing)
        self._sent_at = time.monotonic()
        self.acked_seqs = positions
        feed.read_bytes = 0
        if self._memory.is_due:
            await self._store()

    def _note_lost(self, feed: Feed) -> None:
        if lost := feed.lost:
            feed.lost = 0
            self._dropped["damaged"] = self._dropped.get("damaged", 0) + lost
            if self._uplink.is_first:
                self.writer.notices.append(
                    Notice("error", f"{lost} records were damaged and are lost")
                )

    async def _pass_on(self, updates: Updates) -> None:
        """Hand what is no line to whom it concerns."""
        if updates.config_changed or updates.facts_changed:
            self._uplink.upsert.mark()
        if updates.environment_changed:
            await self._uplink.metadata.bring()
        if updates.console:
            self.console_lines = max(self.console_lines, max(updates.console) + 1)
        for saved in updates.files:
            self._files[saved.path] = saved.policy
            self._uplink.uploader.add(saved.path, saved.policy)
        for logged in updates.artifacts:
            self._saves.add(logged)
        for alert in updates.alerts:
            self._uplink.alerts.add(alert)
        if self._uplink.is_first:
            for notice in updates.notices:
                self.writer.notices.append(notice)
            if updates.console or updates.console_raw:
                await self._write_console(updates)

    async def _write_console(self, updates: Updates) -> None:
        assert self._console is not None
        edits = updates.console
        try:
            closed = await anyio.to_thread.run_sync(self._console.write, edits, updates.console_raw)
        except OSError as error:
            self._dropped["console_file"] = self._dropped.get("console_file", 0) + len(edits)
            log.warning("console_file_not_written", problem=str(error))
            return
        for name in closed:
            self._upload_now(name)

    def _upload_now(self, name: str) -> None:
        self._files[name] = "now"
        self._uplink.uploader.add(name, "now")

    # -- the end ---------------------------------------------------------------------------

    async def _end_when_over(self, state: WriterState) -> None:
        """Find out whether the writer is over and everything of it is acknowledged."""
        writer = self.writer
        if writer.may_grow or self.is_behind:
            return
        if not await writer.guests.gather() or writer.may_grow or self.is_behind:
            return  # the last words of a guest
        if state.exit is not None and not state.exit.crashed:
            writer.state = "exited"  # its exit was in the spool
        elif state.exit is None and writer.state == "crashed" and not writer.is_guest:
            if not ending.record_crash(writer, state.start.time_s):
                await self._wake.wait(1.0)
            return
        writer.guests.close()
        if self.stream is not None and self.stream.late:
            await self.stream.send(Outgoing())  # a last time: perhaps the server takes them now
        if self._uplink.is_first and self._console is not None:
            for name in self._console.finish():
                self._upload_now(name)
        self._finish_files()
        while not await self._store(is_over=True) and self._saves.unwritten:
            await self._wake.wait(_DISK_RETRY_S)  # nobody else would remember them
        self._saves.let_go()
        self.over.set()

    def _finish_files(self) -> None:
        for name in self._files:
            self._uplink.uploader.finish(name)

    async def _store(self, *, is_over: bool = False) -> bool:
        """Remember what was acknowledged, and let go of the journals up to there."""
        state, stream = self.state, self.stream
        assert state is not None
        assert stream is not None
        if not await self._saves.keep():
            return False
        began = time.thread_time()
        positions = self.acked_seqs
        self._files = {
            n: p for n, p in self._files.items() if not self._uplink.uploader.is_settled(n)
        }
        checkpoint = PumpCheckpoint(
            rank_seq=positions[0],
            agent_seq=positions[1],
            history=stream.offsets.history,
            events=stream.offsets.events,
            console_base=stream.offsets.console_base,
            console_lines=self.console_lines,
            state=state.snapshot(),
            log=self._log,
            files=self._files,
            dropped=self._dropped,
            is_over=is_over,
            late=stream.late,
        )
        if not await self._memory.store(checkpoint, time.thread_time() - began):
            return False
        self.stored_seqs = positions
        await self._saves.forget()
        if self.writer.facts.mode != "offline":  # a sync leaves the journals in their run folder
            rank_seq, agent_seq = self.writer.pumps.stored_seqs
            self.writer.journal.release(rank_seq)
            self.writer.agent_journal.release(agent_seq)
        return True
