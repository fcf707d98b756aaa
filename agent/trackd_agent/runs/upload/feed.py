"""The reading end of a pump: a writer's two journals become its state, a slice at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio.lowlevel
import structlog

from trackd_agent.runs import spool
from trackd_agent.runs.noted.tandem import Tandem
from trackd_agent.runs.state.writer_state import WriterState
from trackd_proto.frames import FRAME_HEADER_BYTES

if TYPE_CHECKING:
    from trackd_agent.journal import JournalReader
    from trackd_agent.runs.context import RunsContext
    from trackd_agent.runs.writer import Writer
    from trackd_agent.upstream import Wake
    from trackd_proto.frames import Frame

log = structlog.get_logger()

_FRAMES_PER_LOOK = 32
#: A first record that nobody announces is looked for this often; one of a spool, say.
_START_POLL_S = 1.0


class Feed:
    """Follows the journals of one writer: the rank's own and what the agent adds.

    Args:
        writer: whose journals.
        context: settings and neighbours.
        state: the state at the positions; None: not known, the journal starts with it.
        rank_seq: number in the rank's journal behind which to go on.
        agent_seq: the same for the agent's journal.
    """

    def __init__(
        self,
        writer: Writer,
        context: RunsContext,
        state: WriterState | None,
        rank_seq: int,
        agent_seq: int,
    ) -> None:
        self.state = state
        #: About how much was journalled and not read.
        self.unread_bytes = max(1, writer.journal.size_bytes)
        #: How much was read since `take_read_bytes`.
        self.read_bytes = 0
        #: Records that turned out unreadable since somebody looked.
        self.lost = 0
        self._writer = writer
        self._context = context
        self._rank = writer.journal.reader(rank_seq)
        self._agent = writer.agent_journal.reader(agent_seq)
        self._both = Tandem(self._rank, self._agent)

    @property
    def positions(self) -> tuple[int, int]:
        """Last numbers read of the rank's and of the agent's journal."""
        return self._both.positions

    def close(self) -> None:
        """Close the journals' files."""
        self._rank.close()
        self._agent.close()

    async def wait_for_start(self, wake: Wake) -> WriterState | None:
        """Return the state that the first record makes; None: the writer ended without any.

        Where the first record is damaged, what is known of the writer stands in for it.
        """
        writer = self._writer
        while self.state is None:
            if writer.start is None and (frames := self._rank.read()):
                start = spool.decode_start(frames[0])
                if start is None:
                    log.error("first_record_damaged", folder=str(writer.folder))
                writer.begin(start or writer.facts.substitute_start())
                self._rank.close()
                self._rank = writer.journal.reader(0)
                self._both = Tandem(self._rank, self._agent)
            if writer.start is not None:
                self.state = WriterState(writer.start)
            elif not writer.is_alive:
                return None
            else:
                await wake.wait(_START_POLL_S)
        return self.state

    async def decode(self, state: WriterState, full_bytes: int) -> None:
        """Apply what is journalled until so many bytes of lines wait, or nothing is left.

        `Tandem` tells in which order: the same when it is read again after a crash.
        """
        while state.pending_bytes < full_bytes:
            bound_seq = self._writer.guests.bound_seq
            frames = self._both.read(self._context.config.read_bytes, bound_seq)
            if not frames:
                break
            at = 0
            while at < len(frames):
                async with self._context.decoding:
                    at = self._decode_slice(state, frames, at)
                await anyio.lowlevel.checkpoint()
        for reader in (self._rank, self._agent):
            self._count_damage(reader)
        if self.positions == (self._writer.journal.last_seq, self._writer.agent_journal.last_seq):
            self.unread_bytes = 0

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
        self.read_bytes += read_bytes
        self.unread_bytes = max(0, self.unread_bytes - read_bytes)
        return at

    def _count_damage(self, reader: JournalReader) -> None:
        self.lost += sum(last - first + 1 for first, last in reader.missing)
        reader.missing.clear()
        reader.damages.clear()
