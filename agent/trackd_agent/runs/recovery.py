"""Finds what earlier agents and dead ranks left behind: journals and spools without a writer."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
import structlog

from trackd_agent.core.errors import JournalFull
from trackd_agent.journal import remove_remnant
from trackd_agent.runs import liveness, spool
from trackd_agent.runs.upload.offline import OfflineReader
from trackd_agent.runs.writer import AGENT_SUFFIX
from trackd_agent.runs.writer_facts import WriterFacts
from trackd_proto.layout import (
    journal_root,
    producer_name,
    run_hash,
    run_key,
    spool_folder,
    spool_root,
    staging_folder,
)
from trackd_proto.process_folders import remove_abandoned

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from trackd_agent.runs.context import RunsContext
    from trackd_agent.runs.run import Run
    from trackd_agent.runs.writer import Writer
    from trackd_proto.records import Start

log = structlog.get_logger()


class Recovery:
    """Adopts journals at start, and spools at start and ever after.

    Args:
        context: settings and neighbours.
        run_for: returns the run that a writer belongs to, made if it is new.
        known_runs: the runs that are there, always up to date.
    """

    def __init__(
        self,
        context: RunsContext,
        run_for: Callable[[WriterFacts], Run],
        known_runs: Collection[Run],
    ) -> None:
        self._context = context
        self._known_runs = known_runs
        self._run_for = run_for
        self._unattributed: set[str] = set()
        self._given_up: set[Path] = set()
        self._refused: set[int] = set()
        #: Whether every journal that has an owner is open.
        self.is_complete = True

    async def adopt_journals(self) -> None:
        """Open every journal of an unfinished online run that is not open yet.

        One that cannot be opened (a full disk) hinders no other; the next call tries it again.
        """
        found: list[WriterFacts] = []
        for folder in sorted(journal_root(self._context.data_dir).glob("*/*/")):
            if folder.name.endswith(AGENT_SUFFIX) or folder in self._given_up:
                continue
            facts = WriterFacts.load(folder) or self._facts_by_start(folder)
            if facts is None and remove_remnant(folder):
                with contextlib.suppress(OSError):
                    folder.parent.rmdir()  # unless the run has other writers
                continue
            if facts is None:
                self._given_up.add(folder)
                log.warning("journal_without_owner", folder=str(folder))
                continue
            found.append(facts)
        self.is_complete = True
        for facts in sorted(found, key=lambda facts: facts.attached_s):
            try:
                await self._adopt_journal(facts)
            except Exception:
                self.is_complete = False
                if facts.producer not in self._refused:
                    self._refused.add(facts.producer)
                    log.exception("journal_not_opened", run_id=facts.run_id)

    async def _adopt_journal(self, facts: WriterFacts) -> None:
        run = self._run_for(facts)
        if run.writer_of(facts.producer) is not None:
            return
        writer = run.add(facts)
        if facts.left:
            if facts.spool_dir:  # a power cut may have taken from the journal what is here
                await spool.take_over(writer, Path(facts.spool_dir), live=False)
            writer.end("exited")
        log.info("writer_recovered", run_id=run.run_id, label=facts.label)

    def _facts_by_start(self, folder: Path) -> WriterFacts | None:
        """Return what the journal itself says: the agent died before it could note more."""
        found = spool.read_start(folder)
        return facts_of_start(*found, spool_dir=None) if found else None

    async def adopt_spools(self, known: set[str]) -> list[Run]:
        """Make writers for spools of dead ranks and of forked children; return their runs."""
        runs: list[Run] = []
        try:
            folders = list(spool_root(self._context.data_dir).iterdir())
        except FileNotFoundError:
            return runs
        for folder in folders:
            if str(folder) in known or not self._is_ripe(folder):
                continue
            try:
                if run := await self._adopt_spool(folder):
                    runs.append(run)
            except Exception:
                log.exception("spool_not_adopted", folder=str(folder))
        return runs

    async def _adopt_spool(self, folder: Path) -> Run | None:
        found = spool.read_start(folder) or self._start_by_name(folder)
        if found is None:
            await self._sweep(folder)
            return None
        producer, start = found
        is_child = start.parent_producer != 0
        if is_child:
            if await self._find_host(producer, start) or self._host_may_come(start):
                return None  # who is or will be here takes the records itself
            if reopened := await self._reopen_host(producer, start):
                return reopened
        if not is_child and liveness.lock_is_free(folder) is not True:
            return None  # its rank lives and will attach
        facts = facts_of_start(producer, start, spool_dir=folder)
        run = self._run_for(facts)
        writer = run.writer_of(producer)
        if writer is None:
            writer = run.add(facts)
            writer.begin(start)
        else:
            writer.facts.spool_dir = str(folder)
        log.info("spool_adopted", run_id=run.run_id, label=facts.label, child=is_child)
        return run

    async def _find_host(self, producer: int, start: Start) -> Run | None:
        """Return the run in which a child records into the sequence of a writer that is open."""
        for run in list(self._known_runs):
            if (run.run_id, run.project) == (start.run_id, start.project):
                for writer in run.writers:
                    if await writer.guests.belongs(producer, start.parent_producer):
                        return run
        return None

    def _host_may_come(self, start: Start) -> bool:
        """Whether something is left of the writer into whose sequence a child records."""
        data, parent = self._context.data_dir, start.parent_producer
        key = run_key(start.entity, start.project, start.run_id)
        journal = journal_root(data) / key / producer_name(parent)
        return journal.exists() or spool_folder(data, start.run_id, parent).exists()

    async def _reopen_host(self, producer: int, start: Start) -> Run | None:
        """Open the journals of an offline run again for the last words of a child."""
        if start.mode != "offline":
            return None
        for folder in sorted((Path(start.run_dir) / "journal").glob("*/")):
            facts = None if folder.name.endswith(AGENT_SUFFIX) else WriterFacts.load(folder)
            if facts is not None:
                await self._adopt_journal(facts)
        return await self._find_host(producer, start)

    def _start_by_name(self, folder: Path) -> tuple[int, Start] | None:
        """Attribute a spool whose first record is damaged: by the run that its segments name."""
        header = spool.header_of(folder)
        if header is None or spool.is_empty(folder):
            return None
        for run in self._known_runs:
            if run_hash(run.project, run.run_id) == header.run_hash and run.is_online:
                return header.producer, run.substitute_start(header.producer)
        return None

    def _is_ripe(self, folder: Path) -> bool:
        """Leave folders alone that somebody is just making."""
        try:
            age_s = time.time() - folder.stat().st_mtime
        except OSError:
            return False
        is_young = 0 <= age_s < self._context.config.spool_grace_s  # the clock may have gone back
        return folder.is_dir() and not is_young

    async def _sweep(self, folder: Path) -> None:
        """Remove a spool without any record whose rank is gone.

        Records without the first one cannot be attributed; they stay for inspection.
        """
        if liveness.lock_is_free(folder) is not True:
            return
        if spool.is_empty(folder):
            await spool.remove(folder)
        elif str(folder) not in self._unattributed:
            self._unattributed.add(str(folder))
            log.error("spool_without_first_record", folder=str(folder))


def new_readers(run: Run, context: RunsContext) -> list[OfflineReader]:
    """Return readers for the writers of an offline run that have none yet."""
    made: list[OfflineReader] = []
    for writer in [] if run.is_online else run.writers:
        if not writer.pumps:
            reader = OfflineReader(writer, context)
            writer.pumps.add(reader)
            made.append(reader)
    return made


async def look_after(writer: Writer) -> None:
    """Notice the death of a rank, and take over what only lies in its spool.

    Where there is no space for that, the writer's `problem` says so and the next call tries again.
    """
    try:
        await _look_after(writer)
    except JournalFull as error:
        if writer.problem != error.message:
            log.warning("spool_not_taken_over", label=writer.label, problem=error.message)
        writer.problem = error.message


async def _look_after(writer: Writer) -> None:
    await writer.guests.gather()
    facts = writer.facts
    folder = Path(facts.spool_dir) if facts.spool_dir else None
    if writer.is_alive:
        is_dead = liveness.looks_dead(writer)
        if folder is not None and (is_dead or facts.is_child or writer.is_leaving):
            await spool.take_over(writer, folder, live=not is_dead)
        if writer.leaving_seq and not writer.is_leaving:
            await writer.conclude("exited")
        elif is_dead and writer.is_alive:
            is_orderly = writer.is_guest or await spool.has_exit(writer.folder)
            await writer.conclude("exited" if is_orderly else "crashed")
            if not writer.is_alive:
                log.info("writer_died", run_id=facts.run_id, label=facts.label, state=writer.state)
    elif folder is not None and await spool.remove_when_free(writer):
        facts.spool_dir = ""


async def clear_spools(run: Run) -> bool:
    """Delete the spools of a run that is over; return whether they are gone.

    A rank that still holds its spool may come back with the same records (the answer to its
    last word may be lost): the journal has to stay and know them until then.
    """
    for writer in run.writers:
        try:
            if writer.facts.spool_dir and not await spool.remove_when_free(writer):
                return False
            if not await writer.guests.clear():
                return False
        except JournalFull as error:
            writer.problem = error.message
            return False
    # Copies of drafts of processes that were killed.
    await anyio.to_thread.run_sync(remove_abandoned, staging_folder(Path(run.run_dir)))
    return True


def facts_of_start(producer: int, start: Start, *, spool_dir: Path | None) -> WriterFacts:
    """Return what a first record says about its writer."""
    return WriterFacts(
        run_id=start.run_id,
        project=start.project,
        entity=start.entity,
        mode=start.mode,
        run_dir=start.run_dir,
        base_url=start.base_url.rstrip("/"),
        label=start.label,
        producer=producer,
        spool_dir=str(spool_dir) if spool_dir else "",
        attached_s=start.time_s,
        parent_producer=start.parent_producer,
    )


async def bridge_gap(writer: Writer, folder: Path) -> None:
    """Let a rank go on that no longer holds what the journal lacks.

    That happens when the journal's files were damaged or removed: what is between is lost, and
    asking the rank for it again and again would keep back what comes after.
    """
    if _starts_behind(folder, writer.journal.last_seq + 1):
        log.warning("journal_shorter_than_spool", folder=str(writer.folder))
        await spool.take_over(writer, folder, live=True)


def _starts_behind(folder: Path, seq: int) -> bool:
    first_seqs = [int(path.stem) for path in folder.glob("*.seg") if path.stem.isdigit()]
    return bool(first_seqs) and min(first_seqs) > seq
