"""Processes that record into the run of another one: forked children, and who was given the run.

Such a guest writes a spool of its own. Its records are copied from there into the agent's journal
of its host, each with the host's record behind which it stands, so that whoever reads the host's
records numbers the rows of all of them in one sequence. Runtimes tell the order: all of them
count on one clock. Records and position are one record, so no death loses or doubles any.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import anyio.to_thread
import structlog

from trackd_agent.core.errors import JournalFull
from trackd_agent.runs import spool
from trackd_agent.runs.noted.guest import Guest, HostClock, Notes
from trackd_agent.runs.noted.moments import made_s, origin_of
from trackd_proto.layout import producer_name, safe_name, spool_root
from trackd_proto.records import GuestRecords, Kind, decode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackd_agent.runs.writer import Writer
    from trackd_proto.frames import Frame

log = structlog.get_logger()

_FRAMES_PER_LOOK = 64
#: Longest time that one call copies, in seconds: guests may record faster than they are copied.
_TURN_S = 0.5
#: A folder that changed so recently may have changed again since somebody looked, in nanoseconds.
_TICK_NS = 1_000_000_000
#: Longest wait for records of the host that are still on their way, in seconds.
_PATIENCE_S = 10.0


class Guests:
    """The guests of one writer, their host.

    Args:
        host: whose journals take what the guests recorded.
        data_dir: the data directory, where their spools lie.
        bound_seq: number of the host's record that was perhaps read already: nothing may be put
            before or between these any more.

    Attributes:
        bound_seq: the last of the host's own records that may be read by now.
    """

    def __init__(self, host: Writer, data_dir: Path, bound_seq: int) -> None:
        self.bound_seq = bound_seq
        self._host = host
        self._root = spool_root(data_dir)
        self._prefix = f"{safe_name(host.facts.run_id)}-"
        self._guests: dict[int, Guest] = {}
        #: How far each that ever was here is copied; None: not looked yet.
        self._positions: dict[int, int] | None = None
        #: Other spools of runs with this id: the process from which each comes.
        self._strangers: dict[int, int] = {}
        self._seen_ns = 0
        self._is_closed = False
        self._is_stuck = False
        self._held_since_s = 0.0
        self._gathering = anyio.Lock()

    @property
    def are_open(self) -> bool:
        """Whether more may come from one of them."""
        return any(not guest.is_done for guest in self._guests.values())

    @property
    def spool_dirs(self) -> list[str]:
        """The spools that are followed."""
        return [str(guest.folder) for guest in self._guests.values()]

    def close(self) -> None:
        """Take no new ones from now on: the host's stream is closed at a server."""
        self._is_closed = True

    async def belongs(self, producer: int, parent_producer: int) -> bool:
        """Whether the records of a process belong into this sequence."""
        if (self._host.folder.parent / producer_name(producer)).exists():
            return False  # an agent found it when its host was gone, and carries it for itself
        copied = await self._known()
        family = {self._host.producer, *copied, *self._guests}
        return producer in family or (parent_producer in family and not self._is_closed)

    async def gather(self) -> bool:
        """Copy what guests recorded, and let the host's records be read up to now.

        A backlog takes several calls; the host's records are then let go as far as it is copied.

        Returns:
            Whether that worked; where there is no space, the host's `problem` says so.
        """
        async with self._gathering:
            if self._host.start is None:
                return True
            through_seq = self._host.journal.last_seq
            try:
                await self._look()
                is_whole = not self.are_open or await self._copy()
            except JournalFull as error:
                self._host.problem, self._is_stuck = error.message, True
                return False
            if self._is_stuck:
                self._host.problem, self._is_stuck = "", False
            if is_whole:
                self.bound_seq = max(self.bound_seq, through_seq)
            await self._remove_done()
            return True

    async def clear(self) -> bool:
        """Delete the spools of guests that are done; return whether none is left.

        Raises:
            JournalFull: the journal cannot reach the disk.
        """
        async with self._gathering:
            if self._guests and self._host.agent_journal.is_dirty:
                await anyio.to_thread.run_sync(self._host.agent_journal.sync)
            await self._remove_done()
            return not self._guests

    # -- who is there ----------------------------------------------------------------------

    async def _look(self) -> None:
        """Find guests that are new."""
        try:
            changed_ns = self._root.stat().st_mtime_ns
        except OSError:
            return
        if changed_ns == self._seen_ns:
            return
        is_settled = self._list_spools() and time.time_ns() - changed_ns > _TICK_NS
        self._seen_ns = changed_ns if is_settled else 0
        while True:
            parents = {producer for producer, parent in self._strangers.items() if parent}
            new = [p for p in parents if await self.belongs(p, self._strangers[p])]
            for producer in new:
                await self._welcome(producer)
            if not new:
                return

    def _list_spools(self) -> bool:
        """Note the spools of this run's processes; return whether all could be read."""
        is_whole = True
        seen: dict[int, int] = {}
        with os.scandir(self._root) as entries:
            names = [e.name for e in entries if e.name.startswith(self._prefix)]
        for name in names:
            with suppress(ValueError):
                producer = int(name.removeprefix(self._prefix), 16)
                if producer == self._host.producer or producer in self._guests:
                    continue
                parent = self._strangers.get(producer)
                if parent is None and (found := spool.read_start(self._root / name, producer)):
                    parent = found[1].parent_producer
                if parent is None:
                    is_whole = False
                else:
                    seen[producer] = parent
        self._strangers = seen
        return is_whole

    async def _welcome(self, producer: int) -> None:
        copied = await self._known()
        folder = self._root / f"{self._prefix}{producer_name(producer)}"
        guest = Guest(folder, producer, copied.get(producer, 0), origin_of(self._host.start))
        guest.journalled_seq = self._host.agent_journal.last_seq
        self._guests[producer] = guest
        del self._strangers[producer]
        log.info("guest_found", run_id=self._host.facts.run_id, label=self._host.label)

    async def _known(self) -> dict[int, int]:
        """Return how far each guest is copied, as the state and the journal behind it say."""
        if self._positions is None:
            remembered = self._host.pumps.remembered()
            state, agent_seq = (remembered[0], remembered[2]) if remembered else (None, 0)
            positions = dict(state.guests) if state else {}
            reader = self._host.agent_journal.reader(agent_seq)
            try:
                while frames := reader.read():
                    positions.update(copied_in(frames))
                    await anyio.lowlevel.checkpoint()
            finally:
                reader.close()
            self._positions = positions
        return self._positions

    async def _remove_done(self) -> None:
        """Delete the spools whose records are on the disk elsewhere."""
        synced_seq = self._host.agent_journal.synced_seq
        for producer, guest in list(self._guests.items()):
            if not (guest.is_done and guest.journalled_seq <= synced_seq):
                continue
            if await spool.remove(guest.folder):
                del self._guests[producer]

    # -- copying ---------------------------------------------------------------------------

    async def _copy(self) -> bool:
        """Copy for a while; return whether nothing older than what the host has now is left."""
        guests = [guest for guest in self._guests.values() if not guest.is_done]
        for guest in guests:
            guest.look()
        held_s = self._held_s() if any(guest.next_s is not None for guest in guests) else None
        clock = HostClock(self._host.journal.reader(self.bound_seq), origin_of(self._host.start))
        notes = Notes(self._host)
        count = 0
        ends_at = time.monotonic() + _TURN_S
        try:
            while (guest := _earliest(guests, held_s)) and time.monotonic() < ends_at:
                assert guest.next_s is not None
                notes.add(guest, clock.seq_at(guest.next_s))
                self.bound_seq = max(self.bound_seq, notes.journalled_after_seq)
                count += 1
                if not count % _FRAMES_PER_LOOK:
                    await anyio.lowlevel.checkpoint()
            notes.flush()
            self.bound_seq = max(self.bound_seq, notes.journalled_after_seq)
            return guest is None
        finally:
            clock.close()
            assert self._positions is not None
            for guest in guests:
                guest.settle()
                self._positions[guest.producer] = guest.seq

    def _held_s(self) -> float | None:
        """Return when the host made what is still on its way from its spool; None: nothing is.

        What guests made after that has to wait for it, but not for ever: the host may hang.
        """
        pending_s = self._pending_s()
        now_s = time.monotonic()
        if pending_s is None:
            self._held_since_s = 0.0
            return None
        self._held_since_s = self._held_since_s or now_s
        return pending_s if now_s - self._held_since_s < _PATIENCE_S else None

    def _pending_s(self) -> float | None:
        host = self._host
        if not (host.is_alive and host.facts.spool_dir):
            return None
        folder = Path(host.facts.spool_dir)
        origin_s = origin_of(host.start)
        for frame in spool.frames_behind(folder, host.producer, host.journal.last_seq):
            if (found_s := made_s(frame, origin_s)) is not None:
                return found_s
        return None


def copied_in(frames: Iterable[Frame]) -> dict[int, int]:
    """Return how far guests are copied by some frames of an agent's journal."""
    found: dict[int, int] = {}
    for frame in frames:
        if frame.kind == Kind.GUEST:
            with suppress(ValueError):  # damaged on the disk: rows may come twice, but none is lost
                record = decode(frame.kind, frame.payload)
                if isinstance(record, GuestRecords):
                    found[record.producer] = record.seq
    return found


def _earliest(guests: list[Guest], held_s: float | None) -> Guest | None:
    """Return the guest whose next record was made first; None: nothing may be copied now."""
    ready = [guest for guest in guests if guest.next_s is not None]
    first = min(ready, key=lambda guest: guest.next_s or 0.0, default=None)
    if first is None or (held_s is not None and (first.next_s or 0.0) > held_s):
        return None
    return first
