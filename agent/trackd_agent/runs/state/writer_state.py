"""The state machine of one writer: frames in, lines for the file stream out.

Synchronous and without a clock: what comes out depends on the frames alone, so a state
restored from a snapshot and fed the frames behind it gives the same bytes again. A payload
that cannot be used is counted in `dropped` and changes nothing else.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import msgspec

from trackd_agent.runs.console import console_class
from trackd_agent.runs.digest import HistorySample
from trackd_agent.runs.state import system_lines, tree
from trackd_agent.runs.state.config_tree import ConfigTree
from trackd_agent.runs.state.metrics import MetricDefinitions, metric_path
from trackd_agent.runs.state.rows import RowMerger, StepWentBack
from trackd_agent.runs.state.summary import Summary
from trackd_agent.runs.state.updates import Notice, Updates
from trackd_proto import records
from trackd_proto.frames import Frame
from trackd_proto.records import Kind, Start, decode_row

if TYPE_CHECKING:
    from collections.abc import Callable


#: The protocol's limit for one line; `x_file_stream_max_line_bytes` lowers it.
MAX_LINE_BYTES = 10 * 1024 * 1024 - 100 * 1024
_SNAPSHOT_VERSION = 1
_WHOLE_MAPPING_EXT = 1
_BAD_PAYLOAD_ERRORS = (ValueError, TypeError, OverflowError, RecursionError)


class Facts(msgspec.Struct):
    """What a run is called; the last value counts."""

    name: str | None
    notes: str | None
    tags: list[str]
    group: str | None
    job_type: str | None


class WriterState:
    """State of one writer.

    Args:
        start: the writer's first record.

    Attributes:
        facts: name, notes, tags, group and job type as last set.
        metrics: the metric definitions.
        exit: the exit record, once there is one.
        dropped: records that left no trace, by reason.
        runtime_s: latest runtime seen.
        sample: a few of the rows, for the end of the run.
    """

    def __init__(self, start: Start) -> None:
        self.start = start
        self.facts = Facts(start.name, start.notes, list(start.tags), start.group, start.job_type)
        self.metrics = MetricDefinitions()
        self.exit: records.Exit | None = None
        self.dropped: dict[str, int] = {}
        self.runtime_s = 0.0
        self._rows = RowMerger(start.first_step)
        self.sample = HistorySample()
        self.shown = Summary()
        for name, value in start.summary.items():
            self.shown.put((name,), value)
        self._config = ConfigTree(start.config)
        self._console = console_class(start)(start.label)
        self._updates = Updates(config_changed=True, facts_changed=True)
        #: How far event files were read: offset and namespace, by path.
        self.followed: dict[str, tuple[int, str]] = {}
        #: How far the records of guests are in here, by producer.
        self.guests: dict[int, int] = {}
        #: What the agent found out about the machine.
        self.found: dict[str, Any] = {}
        self._prepare()

    def _prepare(self) -> None:
        """Derive what is not part of the state."""
        limit = self.start.settings.get("x_file_stream_max_line_bytes")
        self._max_line_bytes = limit if isinstance(limit, int) and limit > 0 else MAX_LINE_BYTES
        self._appliers: dict[int, Callable[[Any], None]] = {
            Kind.CONFIG: self._apply_config,
            Kind.SUMMARY: self._apply_summary,
            Kind.METRIC: self._apply_metric,
            Kind.RUN: self._apply_run,
            Kind.CONSOLE: self._apply_console,
            Kind.FILE: lambda record: self._updates.files.append(record),
            Kind.ARTIFACT: lambda record: self._updates.artifacts.append(record),
            Kind.EXIT: self._apply_exit,
            Kind.STATS: self._apply_stats,
            Kind.ALERT: lambda record: self._updates.alerts.append(record),
            Kind.PREEMPTING: self._apply_preempting,
            Kind.GAP: self._apply_gap,
            Kind.TENSORBOARD: lambda record: None,  # `event_files` reads the files
            Kind.FOLLOWED: self._apply_followed,
            Kind.GUEST: self._apply_guest,
            Kind.EVENT: self._apply_event,
            Kind.ENVIRONMENT: self._apply_environment,
        }

    @property
    def step(self) -> int:
        """Number of the open step."""
        return self._rows.step

    @property
    def config(self) -> dict[str, Any]:
        """The configuration: plain values, with `_wandb` only where a script set part of it."""
        return self._config.value()

    @property
    def summary(self) -> dict[str, Any]:
        """The summary as rows closed so far make it."""
        return self.shown.value()

    @property
    def pending_bytes(self) -> int:
        """About the size of the lines that wait to be taken."""
        return self._updates.pending_bytes

    def apply(self, frame: Frame) -> None:
        """Take one frame of the writer, or of the agent about it."""
        try:
            if frame.kind == Kind.ROW:
                self._apply_row(decode_row(frame.payload))
            elif frame.kind != Kind.START:
                record = records.decode(frame.kind, frame.payload)
                self._appliers[frame.kind](record)
        except _BAD_PAYLOAD_ERRORS:
            self._count("bad_payload")

    def close(self) -> None:
        """Close the open row of a writer that will not go on."""
        for data in self._rows.close():
            self._emit(data, flat=False)

    def take(self) -> Updates:
        """Return what changed since the last call."""
        updates, self._updates = self._updates, Updates()
        updates.console = self._console.take()
        if self.shown.changed:
            self.shown.changed = False
            text = self._encode_summary()
            if len(text) <= self._max_line_bytes:
                updates.summary = text
                updates.pending_bytes += len(text)
            else:
                self._count("summary_too_long")
        return updates

    def _apply_row(self, row: records.Row) -> None:
        self.runtime_s = row.runtime_s
        data = self._rows.take_whole(row)
        if data is not None:
            self._emit(data, flat=True)
            return
        try:
            closed = self._rows.add(row)
        except StepWentBack as error:
            self._keep_late(row, error.open_step)
            self._warn_now_and_then(
                "step_went_back",
                f"log() with step {error.step}, which is less than the current step"
                f" {error.open_step}: steps must not decrease, so this data is dropped",
            )
            return
        for data in closed:
            self._emit(data, flat=False)

    def _keep_late(self, row: records.Row, open_step: int) -> None:
        """Count a row that came when its step was over, and hand it out beside the history."""
        number = self.dropped.get("step_went_back", 0)
        self._count("step_went_back")
        late = {**row.data, "_step": row.step, "_open_step": open_step}
        late |= {"_runtime": row.runtime_s, "_timestamp": row.data.get("_timestamp", row.time_s)}
        line = encode_json(late)
        if len(line) <= self._max_line_bytes:
            self._updates.late[number] = line
            self._updates.pending_bytes += len(line)

    def _emit(self, data: tree.Tree, *, flat: bool) -> None:
        try:
            made = self.metrics.prepare(data, flat=flat) if self.metrics else ()
            line = encode_json(data)
        except _BAD_PAYLOAD_ERRORS:  # only an open row shows that late what is wrong with it
            self._count("bad_payload")
            return
        for path, definition in made:
            self.shown.configure(path, definition.kinds, none=definition.no_summary)
        if len(line) > self._max_line_bytes:
            self._count("line_too_long")
            self._warn_now_and_then(
                "line_too_long",
                f"the row of step {data['_step']} takes {len(line)} bytes, more than the limit of"
                f" {self._max_line_bytes}: it is dropped; log less at once, or save a file",
            )
            return
        if flat:
            self.shown.take_plain_row(data)
        else:
            self.shown.take_row(data)
        self.sample.add(data)
        self._updates.history.append(line)
        self._updates.pending_bytes += len(line)

    def _apply_config(self, record: records.ConfigUpdate) -> None:
        self._config.update(record)
        self._updates.config_changed = True

    def _apply_summary(self, record: records.SummaryUpdate) -> None:
        self.shown.update(record)

    def _apply_metric(self, record: records.MetricDefinition) -> None:
        definition = self.metrics.define(record)
        if not record.name.endswith("*"):
            path = metric_path(record.name)
            self.shown.configure(path, definition.kinds, none=definition.no_summary)
        self._updates.config_changed = True

    def _apply_run(self, record: records.RunUpdate) -> None:
        facts = self.facts
        if record.name is not None:
            facts.name = record.name or None
        if record.notes is not None:
            facts.notes = record.notes or None
        if record.tags is not None:
            facts.tags = list(record.tags)
        facts.tags += [tag for tag in record.add_tags or () if tag not in facts.tags]
        self._updates.facts_changed = True

    def _apply_console(self, record: records.ConsoleOutput) -> None:
        if record.stream != records.LOG_LINES:
            self._updates.console_raw.append(record.text)
        self._updates.pending_bytes += self._console.write(record)

    def _apply_stats(self, record: records.Stats) -> None:
        self._add_event_line(system_lines.sample(record, self.start))

    def _apply_event(self, record: records.Event) -> None:
        self._add_event_line(system_lines.event(record, self.start))

    def _apply_environment(self, record: records.Environment) -> None:
        self.found |= record.found
        self._updates.environment_changed = self._updates.config_changed = True

    def _add_event_line(self, content: dict[str, Any]) -> None:
        line = encode_json(content)
        self._updates.events.append(line)
        self._updates.pending_bytes += len(line)

    def _apply_preempting(self, _record: records.Preempting) -> None:
        self._updates.preempting = True

    def _apply_followed(self, record: records.Followed) -> None:
        """Take what was read from an event file, which may be older than what the rank logged."""
        runtime_s = self.runtime_s
        for row in record.rows:
            self._apply_row(row)
        self.runtime_s = max(runtime_s, self.runtime_s)
        self._updates.files += record.files
        known = self.config
        if new := [(path, value) for path, value in record.config if path[0] not in known]:
            self._apply_config(records.ConfigUpdate(new))
        self.followed[record.file] = record.offset, record.namespace

    def _apply_guest(self, record: records.GuestRecords) -> None:
        """Take what another process recorded, as if the writer had done it."""
        for kind, payload in record.records:
            self.apply(Frame(kind, 0, 0, memoryview(payload)))
        self.guests[record.producer] = record.seq

    def _apply_exit(self, record: records.Exit) -> None:
        self.close()
        if record.crashed and self.exit is not None:
            return  # what the writer said itself counts
        self.runtime_s = max(self.runtime_s, record.runtime_s)
        self.exit = self._updates.exit = record
        self.shown.put(("_runtime",), int(self.runtime_s))

    def _apply_gap(self, record: records.Gap) -> None:
        self._count(record.reason, record.count)
        self._updates.notices.append(
            Notice("warning", f"{record.count} records were not stored: {record.reason}")
        )

    def _count(self, reason: str, count: int = 1) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def _warn_now_and_then(self, reason: str, text: str) -> None:
        """Warn at the 1st, 10th, 100th … case, so that a loop of them floods no terminal."""
        count = self.dropped[reason]
        if str(count).rstrip("0") == "1":
            more = f" ({count} so far)" if count > 1 else ""
            self._updates.notices.append(Notice("warning", text + more))

    def _encode_summary(self) -> str:
        value = self.summary
        reserved = value.get("_wandb")  # a script may have written anything there
        reserved = cast("dict[str, Any]", reserved) if isinstance(reserved, dict) else {}
        value["_wandb"] = {**reserved, "runtime": int(self.runtime_s)}
        return encode_json(value)

    def snapshot(self) -> bytes:
        """Return the whole state; its size does not depend on how much was logged."""
        return _SNAPSHOT_ENCODER.encode(
            [
                _SNAPSHOT_VERSION,
                self.start,
                self.facts,
                self.metrics.to_state(),
                self.exit,
                self.dropped,
                self.runtime_s,
                self._rows.to_state(),
                [self.shown.changed, self.shown.to_state()],
                self._config.to_state(),
                self._console.to_state(),
                self._updates,
                self.followed,
                self.sample.to_state(),
                self.guests,
                self.found,
            ]
        )

    @classmethod
    def restore(cls, data: bytes) -> WriterState:
        """Return the state as it was.

        Raises:
            ValueError: the bytes are no snapshot of this version.
        """
        version, start, facts, metrics, exit_, dropped, runtime_s, *parts = (
            _SNAPSHOT_DECODER.decode(data)
        )
        if version != _SNAPSHOT_VERSION:
            raise ValueError(f"snapshot of version {version}, expected {_SNAPSHOT_VERSION}")
        rows, summary, config, console, updates, *later = parts
        state = cls(msgspec.convert(start, Start))
        state.facts = msgspec.convert(facts, Facts)
        state.metrics = MetricDefinitions.from_state(metrics)
        state.exit = msgspec.convert(exit_, records.Exit | None)
        state.dropped = dropped
        state.runtime_s = runtime_s
        state._rows = RowMerger.from_state(rows)
        state.shown = Summary.from_state(summary[1])
        state.shown.changed = summary[0]
        state._config = ConfigTree.from_state(config)
        state._console = console_class(state.start).from_state(console)
        state._updates = msgspec.convert(updates, Updates)
        if later:  # an agent of an earlier version knew of no event files
            state.followed = {file: (at, name) for file, (at, name) in later[0].items()}
        if later[1:]:
            state.sample = HistorySample.from_state(later[1])
        if later[2:]:
            state.guests = later[2]
        if later[3:]:
            state.found = later[3]
        return state


def encode_json(value: dict[str, Any]) -> str:
    """Return JSON with the tokens `NaN` and `Infinity` of Python's json module.

    msgspec writes NaN as null; only texts that hold a null are looked at again.

    Raises:
        TypeError: a value that JSON cannot hold.
    """
    raw = _encode_json(value)
    if b"null" in raw:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_to_builtin)
    return raw.decode()


_encode_json = msgspec.json.Encoder().encode


def _to_builtin(value: object) -> Any:
    return msgspec.to_builtins(value)


def _wrap(value: object) -> object:
    if isinstance(value, tree.WholeMapping):
        return msgspec.msgpack.Ext(_WHOLE_MAPPING_EXT, _SNAPSHOT_ENCODER.encode(value.value))
    raise TypeError(f"a state never holds {type(value).__name__}")


def _unwrap(code: int, data: memoryview) -> object:
    if code == _WHOLE_MAPPING_EXT:
        return tree.WholeMapping(cast("dict[str, Any]", _SNAPSHOT_DECODER.decode(data)))
    return msgspec.msgpack.Ext(code, bytes(data))


_SNAPSHOT_ENCODER = msgspec.msgpack.Encoder(enc_hook=_wrap)
_SNAPSHOT_DECODER = msgspec.msgpack.Decoder(ext_hook=_unwrap)
