"""The run document: everything that a run recorded, as one JSON-like object.

Its form is that of the conformance data (`run`, `config`, `summary`, `history`, `metrics`,
`files`, `console`, `artifacts`, `alerts`), and `events`: what happened to devices. It is made by
replaying the writers' frames through `WriterState`, so it shows what would be uploaded. With
several writers, rows and console lines of each stay in order, writers by label, and rows carry
`_label`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trackd_agent.runs.folders import families, logged_artifacts
from trackd_agent.runs.folders.saved_files import list_files
from trackd_agent.runs.state import system_lines, tree
from trackd_agent.runs.state.config_tree import RESERVED
from trackd_agent.runs.state.metrics import MetricDefinitions
from trackd_agent.runs.state.writer_state import WriterState, encode_json
from trackd_proto.records import Alert, ArtifactLogged, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trackd_agent.runs.folders.run_folder import WriterSource
    from trackd_agent.runs.state.updates import Updates
    from trackd_proto.layout import RunFolderFacts

#: What of `_wandb` in the configuration comes from the script.
_SHOWN_RESERVED = ("visualize", "pinned_keys")
_HIDDEN_SUMMARY = (RESERVED, "_runtime", "_timestamp")
_TAKE_BYTES = 1024 * 1024


@dataclass
class Replay:
    """One writer's records, replayed."""

    state: WriterState
    #: Its name at servers.
    writer_id: str = ""
    history: list[str] = field(default_factory=list[str])
    console: dict[int, str] = field(default_factory=dict[int, str])
    policies: dict[str, str] = field(default_factory=dict[str, str])
    artifacts: list[ArtifactLogged] = field(default_factory=list[ArtifactLogged])
    alerts: list[Alert] = field(default_factory=list[Alert])
    #: Lines about what happened to devices.
    events: list[str] = field(default_factory=list[str])
    preempting: bool = False
    is_alive: bool = False

    @property
    def label(self) -> str:
        """Label of the writer."""
        return self.state.start.label

    def take(self, updates: Updates) -> None:
        """Add what the state gave out."""
        self.history += updates.history
        self.console.update(updates.console)
        self.policies.update((saved.path, saved.policy) for saved in updates.files)
        self.artifacts += updates.artifacts
        self.alerts += updates.alerts
        self.events += updates.events
        self.preempting |= updates.preempting


def replay(
    source: WriterSource,
    facts: RunFolderFacts | None,
    children: list[WriterSource] | None = None,
) -> Replay | None:
    """Replay one writer: what the agent noted about it, and its own frames.

    Args:
        source: where its records lie.
        facts: of the run folder; they stand in for a first record that cannot be read.
        children: processes whose records belong into its sequence.

    Returns:
        None where nothing is left that says what this is.
    """
    start = source.start_or_substitute(facts)
    if start is None:
        return None
    made = Replay(WriterState(start), source.producer, is_alive=source.is_alive())
    for frame in families.frames_of(source, children or []):
        if frame.kind != Kind.STATS:  # the document has no system metrics
            made.state.apply(frame)
            if made.state.pending_bytes > _TAKE_BYTES:
                made.take(made.state.take())
    made.state.close()
    made.take(made.state.take())
    return made


def run_document(replays: list[Replay], files_dir: Path | None) -> dict[str, Any]:
    """Return the document of a run.

    Args:
        replays: its writers; at least one.
        files_dir: the run's files folder, where there is one.
    """
    writers = sorted(replays, key=lambda writer: (writer.label, writer.state.start.time_s))
    policies = {path: policy for writer in writers for path, policy in writer.policies.items()}
    metrics = MetricDefinitions()
    metrics.absorb(writer.state.metrics for writer in writers)
    events = [
        event
        for writer in writers
        for line in writer.events
        if (event := system_lines.described(line))
    ]
    document = {
        "run": _facts(writers),
        "config": _config(writers),
        "summary": _summary(writers),
        "history": [row for writer in writers for row in _rows(writer)],
        "metrics": metrics.document(),
        "files": list_files(files_dir, policies),
        "console": [line for writer in writers for line in _console(writer)],
        "artifacts": [
            logged_artifacts.describe(logged, files_dir.parent if files_dir else None)
            for writer in writers
            for logged in writer.artifacts
        ],
        "alerts": [
            {"title": a.title, "text": a.text, "level": a.level, "wait_ms": a.wait_ms}
            for writer in writers
            for a in writer.alerts
        ],
    }
    # The document of most runs stays word for word what other programs expect of it.
    return {**document, "events": events} if events else document


def _facts(writers: list[Replay]) -> dict[str, Any]:
    start = writers[0].state.start
    state, exit_code = _outcome(writers)
    return {
        "id": start.run_id,
        "name": _last_value(writers, "name") or None,
        "project": start.project,
        "group": _last_value(writers, "group") or None,
        "job_type": _last_value(writers, "job_type") or None,
        "tags": _last_value(writers, "tags") or [],
        "notes": _last_value(writers, "notes") or None,
        "state": state,
        "exit_code": exit_code,
        "preempting": any(writer.preempting for writer in writers),
    }


def _last_value(writers: list[Replay], name: str) -> Any:
    """Return a fact of the run: a value changed later counts more than one given at the start."""
    given: Any = None
    for writer in writers:
        value = getattr(writer.state.facts, name)
        if value != getattr(writer.state.start, name):
            return value
        given = given or value
    return given


def _outcome(writers: list[Replay]) -> tuple[str, int | None]:
    """Return state and exit code of the run."""
    ending = [w for w in writers if w.state.start.update_finish_state] or writers
    # Of attempts that followed one another under a label the last one counts.
    deciding = {writer.label: writer for writer in ending}.values()
    if any(writer.is_alive and writer.state.exit is None for writer in writers):
        return "running", None
    codes: list[int] = []
    for writer in deciding:
        end = writer.state.exit
        if end is not None and not end.crashed:
            codes.append(end.exit_code)
        elif writer.state.start.update_finish_state or not writer.state.start.parent_producer:
            return "crashed", None
        # A forked child just stops: its end says nothing about the run.
    code = next((code for code in codes if code), 0)
    return ("failed" if code else "finished"), code


def _config(writers: list[Replay]) -> dict[str, Any]:
    merged: tree.Tree = {}
    for writer in writers:
        tree.merge_all(merged, writer.state.config)
    reserved = merged.pop(RESERVED, None)
    if isinstance(reserved, dict):
        shown: dict[str, Any] = {k: reserved[k] for k in _SHOWN_RESERVED if k in reserved}
        if shown:
            merged[RESERVED] = shown
    return merged


def _summary(writers: list[Replay]) -> dict[str, Any]:
    """Merge the summaries; for a key of several writers the latest row counts."""
    summaries = [writer.state.summary for writer in writers]
    summaries.sort(key=lambda summary: _number(summary.get("_timestamp")))
    merged: dict[str, Any] = {}
    for summary in summaries:
        merged.update(summary)
    shown = {key: value for key, value in merged.items() if key not in _HIDDEN_SUMMARY}
    return json.loads(encode_json(shown))  # as in the rows, whatever a damaged one holds


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _rows(writer: Replay) -> Iterable[dict[str, Any]]:
    for line in writer.history:
        row: dict[str, Any] = json.loads(line)
        if writer.label:
            row["_label"] = writer.label
        yield row


def _console(writer: Replay) -> Iterable[str]:
    if writer.state.start.settings.get("console") == "off":
        return  # lines of loggers go to the server's stream, and into no file
    for number in sorted(writer.console):
        yield json.loads(writer.console[number])["content"]
