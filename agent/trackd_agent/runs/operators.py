"""What people do to runs from outside their ranks: flush, update, finish, read the summary."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from trackd_agent.core.errors import InvalidRequest, UnknownRun
from trackd_agent.runs import liveness, spool
from trackd_agent.runs.noted.tandem import Tandem
from trackd_agent.runs.state import tree
from trackd_agent.runs.state.writer_state import WriterState, encode_json
from trackd_proto import records
from trackd_proto.records import Kind

if TYPE_CHECKING:
    from trackd_agent.runs.context import RunsContext
    from trackd_agent.runs.options import RunChanges
    from trackd_agent.runs.run import Run
    from trackd_agent.runs.writer import Writer

_POLL_S = 0.02
#: A writer that is further behind is not decoded for its last words.
_MAX_DIGEST_BYTES = 1024 * 1024
#: Longest wait for what is left in TensorBoard files of a run that is ended by hand, in seconds.
_LAST_READING_S = 30.0


async def flush(runs: list[Run], timeout_s: float) -> tuple[bool, int]:
    """Hurry all uploads and wait until they have caught up; return whether, and what is left."""
    for run in runs:
        run.hurry()
    with anyio.move_on_after(timeout_s):
        while not _is_flushed(runs):
            await anyio.sleep(_POLL_S)
            for run in runs:
                for writer in run.writers:
                    writer.pumps.hurry()
    return _is_flushed(runs), sum(run.backlog_bytes for run in runs)


def _is_flushed(runs: list[Run]) -> bool:
    return not any(writer.is_leaving for run in runs for writer in run.writers) and all(
        uplink.is_complete for run in runs for uplink in run.uplinks
    )


def update(run: Run, changes: RunChanges) -> None:
    """Record changes of an operator with the run's first living writer.

    Raises:
        InvalidRequest: a value is no JSON.
    """
    writer = _speaker(run)
    if changes.name is not None or changes.notes is not None or changes.add_tags:
        tags = list(changes.add_tags) or None
        writer.record(Kind.RUN, records.RunUpdate(changes.name, changes.notes, add_tags=tags))
    if changes.config_json:
        pairs = _parsed("config_json", changes.config_json)
        writer.record(Kind.CONFIG, records.ConfigUpdate(pairs))
    if changes.summary_json:
        pairs = _parsed("summary_json", changes.summary_json)
        writer.record(Kind.SUMMARY, records.SummaryUpdate(pairs))


def _speaker(run: Run) -> Writer:
    return next((w for w in run.writers if w.is_alive), run.writers[0])


def _parsed(field: str, texts: dict[str, str]) -> list[tuple[list[str], Any]]:
    pairs: list[tuple[list[str], Any]] = []
    for key, text in texts.items():
        try:
            pairs.append(([key], json.loads(text)))
        except ValueError as error:
            raise InvalidRequest(
                "INVALID_JSON", f"{field}[{key!r}] is no JSON: {error}", details={"field": field}
            ) from error
    return pairs


async def finish(run: Run, exit_code: int) -> list[str]:
    """End the writers whose processes are gone; return the labels of those that live.

    Raises:
        JournalFull: no space for what lies in a spool; the next call tries again.
    """
    living: list[str] = []
    for writer in run.writers:
        folder = writer.facts.spool_dir
        holds_spool = bool(folder) and liveness.lock_is_free(Path(folder)) is False
        if writer.state == "attached" or (writer.state == "lost" and holds_spool):
            living.append(writer.label)
        elif writer.state == "lost":
            if folder:
                await spool.take_over(writer, Path(folder), live=False)
            await writer.event_files.finish(_LAST_READING_S)
            now_s = time.time()
            began_s = writer.start.time_s if writer.start else now_s
            writer.record(Kind.EXIT, records.Exit(exit_code, now_s, max(0.0, now_s - began_s)))
            writer.end("exited")
    return living


async def read_summary(
    run: Run, label: str, context: RunsContext, *, all_writers: bool
) -> tuple[str, int]:
    """Return the summary of one writer or of all, as JSON text, and the open step.

    Raises:
        UnknownRun: there is no such writer.
    """
    chosen = [w for w in run.writers if all_writers or w.label == label]
    if not chosen:
        raise UnknownRun("UNKNOWN_WRITER", f"run {run.run_id!r} has no writer {label!r} here")
    summary: tree.Tree = {}
    step = 0
    for writer in chosen:
        state = await state_now(writer, context)
        if state is not None:
            tree.merge_all(summary, state.shown.readable())
            step = state.step
    return encode_json(summary), step


async def read_digest(run: Run, label: str, context: RunsContext) -> tuple[str, str] | None:
    """Return summary and sample of the history of one writer, as JSON texts.

    Returns:
        None: there is too much to read for somebody who waits for it.

    Raises:
        UnknownRun: there is no such writer.
    """
    writer = next((w for w in reversed(run.writers) if w.label == label), None)
    if writer is None:
        raise UnknownRun("UNKNOWN_WRITER", f"run {run.run_id!r} has no writer {label!r} here")
    if writer.pumps.unread_bytes > _MAX_DIGEST_BYTES:
        return None
    state = await state_now(writer, context)
    if state is None:
        return None
    state.close()
    return encode_json(state.summary), encode_json(dict(state.sample.values()))


async def state_now(writer: Writer, context: RunsContext) -> WriterState | None:
    """Return a state that has seen all that is journalled, made beside the pumps' own."""
    if writer.start is None:
        return None
    await writer.guests.gather()
    state, rank_seq, agent_seq = writer.pumps.remembered() or (WriterState(writer.start), 0, 0)
    readers = writer.journal.reader(rank_seq), writer.agent_journal.reader(agent_seq)
    both = Tandem(*readers)
    try:
        while frames := both.read(context.config.read_bytes):
            for frame in frames:
                state.apply(frame)
            state.take()
            await anyio.lowlevel.checkpoint()
    finally:
        for reader in readers:
            reader.close()
    return state
