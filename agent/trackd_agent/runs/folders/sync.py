"""Uploads the run folders of offline runs, with the machinery that uploads online runs.

The journal in the run folder is the queue, and the checkpoints beside it remember what the
server acknowledged: an interrupted sync goes on where it was, and a finished one has nothing
left to do. The folder is marked only when everything is acknowledged and all artifacts are saved;
one whose artifact failed (a file of the user's that changed) can be synced again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import msgspec

from trackd_agent.journal import lost_in_tail
from trackd_agent.runs import spool
from trackd_agent.runs.folders.run_folder import WriterSource, find_writers
from trackd_agent.runs.run import Run
from trackd_agent.runs.upload.uplink import Uplink
from trackd_agent.runs.writer_facts import WriterFacts
from trackd_agent.upstream import RunPath
from trackd_proto.layout import RunFolderFacts

if TYPE_CHECKING:
    from pathlib import Path

    from trackd_agent.runs.context import RunsContext

MARK_FILE = "synced.json"
_POLL_S = 0.1
#: What the state machine leaves out by rule and not by damage.
_LEFT_OUT_BY_RULE = frozenset({"step_went_back"})


class SyncReport(msgspec.Struct):
    """What became of one run folder.

    Attributes:
        run_dir: the folder.
        run_id: the run, where it is known.
        state: `synced`, `already_synced`, `incomplete` (try again), `refused`.
        url: address of the run for a browser.
        problem: why it is not synced, with the remedy.
        lost: records that could not be uploaded, by reason.
    """

    run_dir: str
    run_id: str = ""
    state: str = "refused"
    url: str = ""
    problem: str = ""
    lost: dict[str, int] = msgspec.field(default_factory=dict[str, int])

    @property
    def is_whole(self) -> bool:
        """Whether the server has all that was recorded."""
        return self.state == "already_synced" or (self.state == "synced" and not self.lost)


async def sync_folder(
    run_dir: Path, server: str, context: RunsContext, stall_timeout_s: float
) -> SyncReport:
    """Upload one offline run folder.

    Args:
        run_dir: the folder; nobody else may write to its journals meanwhile.
        server: address of the server; empty: the default one of the context.
        context: settings and neighbours; its monitor is not used.
        stall_timeout_s: give up when the server refuses or does not answer for so long.
    """
    facts = RunFolderFacts.read(run_dir)
    report = SyncReport(str(run_dir), facts.run_id if facts else "")
    name = context.upstreams.get(server).name
    if (mark := _read_marks(run_dir).get(name)) is not None:
        return msgspec.structs.replace(mark, state="already_synced")
    sources = await anyio.to_thread.run_sync(find_writers, run_dir, facts)
    if problem := _refusal(facts, sources):
        report.problem = problem
        return report
    writers = [_facts_of(source, run_dir, facts) for source in sources]
    run, uplink = _open(run_dir, server, context, writers)
    torn = 0
    try:
        for source, writer in zip(sources, run.writers, strict=True):
            if (start := source.start_or_substitute(facts)) is not None:
                writer.begin(start)
            has_exit = await spool.has_exit(writer.folder)
            writer.end("exited" if has_exit else "crashed")
            if not has_exit and lost_in_tail(writer.folder, writer.journal.last_seq):
                torn += 1
            if start is not None and start.rewind_to and writer.pumps.remembered() is None:
                uplink.upsert.rewind_to_step = start.rewind_to[1]
        done = await _upload(uplink, stall_timeout_s, report)
        report.url = uplink.upsert.url
        report.lost = _lost(run) | ({"torn": torn} if torn else {})
        if done and uplink.saves.failure:
            report.state, report.problem = "incomplete", uplink.saves.failure
        elif done:
            report.state = "synced"
            _write_mark(run_dir, name, report)
    finally:
        run.close()
    return report


def _refusal(facts: RunFolderFacts | None, sources: list[WriterSource]) -> str:
    """Return why a folder cannot be synced, or the empty text."""
    if not any(source.start_or_substitute(facts) for source in sources):
        return "no record of a run can be read in this folder"
    if facts is not None and facts.mode != "offline":
        return "this run is uploaded by the agent while it runs; see `trackd status`"
    if any(source.is_alive() for source in sources):
        return "a process still writes to this run; sync it when it has ended"
    if any(source.spool for source in sources):
        return "the agent has not taken over the last records yet; try again with `trackd up`"
    return ""


def _open(
    run_dir: Path, server: str, context: RunsContext, writers: list[WriterFacts]
) -> tuple[Run, Uplink]:
    run = Run(writers[0], context)
    path = RunPath(run.entity, run.project, run.run_id)
    uplink = Uplink(path, run_dir, context.upstreams.get(server), context, is_first=True)
    run.uplinks.append(uplink)
    for facts in writers:
        run.add(facts)
    return run, uplink


def _facts_of(source: WriterSource, run_dir: Path, folder: RunFolderFacts | None) -> WriterFacts:
    """Return who a writer is, as its journal or its first record or the folder says."""
    known = next(source.noted_facts(), None)
    start = source.start_or_substitute(folder)
    named = known or start
    assert named is not None
    return WriterFacts(
        run_id=named.run_id,
        project=named.project,
        entity=named.entity,
        mode="offline",
        run_dir=str(run_dir),  # it may have been moved
        base_url="",
        label=named.label,
        producer=int(source.producer, 16),
        spool_dir="",
        attached_s=start.time_s if start else 0.0,
        parent_producer=start.parent_producer if start else 0,
    )


async def _upload(uplink: Uplink, stall_timeout_s: float, report: SyncReport) -> bool:
    """Run the uplink to its end; return whether everything is acknowledged."""
    done = False

    async def run() -> None:
        nonlocal done
        await uplink.run()
        done = True
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        moved_at = time.monotonic()
        while True:
            await anyio.sleep(_POLL_S)
            if not uplink.problem:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at >= stall_timeout_s:
                report.state, report.problem = "incomplete", uplink.problem
                tasks.cancel_scope.cancel()
    return done


def _lost(run: Run) -> dict[str, int]:
    lost: dict[str, int] = {}
    for writer in run.writers:
        for reason, count in writer.pumps.dropped.items():
            if reason not in _LEFT_OUT_BY_RULE:
                lost[reason] = lost.get(reason, 0) + count
    return lost


def _read_marks(run_dir: Path) -> dict[str, SyncReport]:
    """Return the reports of finished syncs, by server."""
    try:
        raw = (run_dir / MARK_FILE).read_bytes()
        return msgspec.json.decode(raw, type=dict[str, SyncReport])
    except (OSError, ValueError):  # damage may also be text that is no UTF-8
        return {}


def _write_mark(run_dir: Path, server: str, report: SyncReport) -> None:
    marks = {**_read_marks(run_dir), server: report}
    temporary = run_dir / f".{MARK_FILE}"
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(marks)))
    temporary.replace(run_dir / MARK_FILE)
