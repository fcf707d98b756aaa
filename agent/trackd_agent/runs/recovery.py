"""Finds what earlier agents and dead ranks left behind: journals and spools without a writer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from trackd_agent.runs import liveness, spool
from trackd_agent.runs.writer import AGENT_SUFFIX
from trackd_agent.runs.writer_facts import WriterFacts
from trackd_proto.layout import journal_root, spool_root

if TYPE_CHECKING:
    from collections.abc import Callable

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
    """

    def __init__(self, context: RunsContext, run_for: Callable[[WriterFacts], Run]) -> None:
        self._context = context
        self._run_for = run_for
        self._unattributed: set[str] = set()

    async def adopt_journals(self) -> None:
        """Open every journal of an unfinished online run."""
        found: list[WriterFacts] = []
        for folder in sorted(journal_root(self._context.data_dir).glob("*/*/")):
            if folder.name.endswith(AGENT_SUFFIX):
                continue
            facts = WriterFacts.load(folder) or self._facts_by_start(folder)
            if facts is None:
                log.warning("journal_without_owner", folder=str(folder))
                continue
            found.append(facts)
        for facts in sorted(found, key=lambda facts: facts.attached_s):
            run = self._run_for(facts)
            writer = run.add(facts)
            if facts.left:
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
        found = spool.read_start(folder)
        if found is None:
            await self._sweep(folder)
            return None
        producer, start = found
        is_child = start.parent_producer != 0
        if not is_child and liveness.lock_is_free(folder) is not True:
            return None  # its rank lives and will attach
        facts = facts_of_start(producer, start, spool_dir=folder)
        run = self._run_for(facts)
        writer = run.writer_of(producer)
        if writer is None:
            facts.run_dir = str(run.run_dir)
            writer = run.add(facts)
            writer.begin(start)
        else:
            writer.facts.spool_dir = str(folder)
        log.info("spool_adopted", run_id=run.run_id, label=facts.label, child=is_child)
        return run

    def _is_ripe(self, folder: Path) -> bool:
        """Leave folders alone that somebody is just making."""
        try:
            age_s = time.time() - folder.stat().st_mtime
        except OSError:
            return False
        return folder.is_dir() and age_s >= self._context.config.spool_grace_s

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


async def look_after(writer: Writer) -> None:
    """Notice the death of a rank, and take over what only lies in its spool.

    Raises:
        JournalFull: no space for what lies in the spool; the next call tries again.
    """
    facts = writer.facts
    folder = Path(facts.spool_dir) if facts.spool_dir else None
    if writer.is_alive:
        is_dead = liveness.looks_dead(writer)
        if folder is not None and (is_dead or facts.is_child or writer.is_leaving):
            await spool.take_over(writer, folder, live=not is_dead)
        if writer.leaving_seq and not writer.is_leaving:
            writer.end("exited")
        elif is_dead and writer.is_alive:
            is_orderly = facts.is_child or await spool.has_exit(writer.folder)
            writer.end("exited" if is_orderly else "crashed")
            log.info("writer_died", run_id=facts.run_id, label=facts.label, state=writer.state)
    elif folder is not None and await spool.remove_when_free(folder):
        facts.spool_dir = ""


async def clear_spools(run: Run) -> bool:
    """Delete the spools of a run that is over; return whether they are gone."""
    for writer in run.writers:
        folder = writer.facts.spool_dir
        if folder and not await spool.remove(Path(folder)):
            return False
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
