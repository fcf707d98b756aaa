"""The way of a record into the spool: checks, one MessagePack encode, one frame.

`Recorder.row` is the hot path of training loops. It does no I/O, wakes nobody and takes one
lock that nobody holds across I/O; anything unusual about a row (new keys, nested or foreign
values, bad arguments) goes through `_careful_row`.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import msgspec

from trackd.errors import UsageError
from trackd.recording import oversize
from trackd.recording.chart import settle_charts
from trackd.recording.row_check import MAX_ROW_BYTES, MAX_ROW_KEYS, RowCheck, RunKeys
from trackd.recording.texts import clean_text, clean_texts, type_name
from trackd.recording.values import SCALARS
from trackd_proto.frames import MAX_FRAME_PAYLOAD_BYTES
from trackd_proto.records import Kind, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd.recording.recordable import RunPlace
    from trackd.recording.spool import Spool

_ROW = int(Kind.ROW)
_PLAIN_RECORD = 3  # parts of the record of a row that gives neither step nor commit
_MAX_STEP = 2**53  # where JSON readers stop telling integers apart
_CONSOLE = int(Kind.CONSOLE)
_RUNTIME_ENCODER = msgspec.msgpack.Encoder()


class Clock:
    """Time of a run: the wall for `_timestamp`, a monotonic clock for `_runtime`."""

    def __init__(self) -> None:
        self.start_time_s = time.time()
        self.origin_s = time.monotonic()

    def runtime_s(self) -> float:
        """Return the seconds since `init`."""
        return time.monotonic() - self.origin_s


class Recorder:
    """Turns what the user logs into frames of one producer.

    Args:
        spool: where frames go.
        clock: of the run.
        warn: shows one line to the user.
        strict: raise what is otherwise only reported.
        first_step: number of the first row.
    """

    def __init__(
        self,
        spool: Spool,
        clock: Clock,
        warn: Callable[[str], None],
        *,
        strict: bool = False,
        first_step: int = 0,
    ) -> None:
        self.spool = spool
        self.clock = clock
        #: Number of the open row as far as this process alone can know.
        self.step = first_step
        #: Values left out of their row, by reason.
        self.refused: dict[str, int] = {}
        #: Why `step=` is not heeded; empty: it is.
        self.ignored_steps = ""
        #: The run, for values that write files into it.
        self.place: RunPlace | None = None
        self._step_before = first_step
        self._warn = warn
        self._strict = strict
        self._origin_s = clock.origin_s
        self._append = spool.append
        self._encode = _RUNTIME_ENCODER.encode
        self._keys = RunKeys()
        self._known_keys = self._keys.top
        #: As many as threads record console output at once.
        self._buffers: list[bytearray] = []

    def skip(self, pause_s: float) -> None:
        """Leave a time out of the runtime, such as that between two cells of a notebook."""
        self.clock.origin_s += pause_s
        self._origin_s = self.clock.origin_s

    def row(self, data: Mapping[str, Any], step: int | None, commit: bool | None) -> None:
        """Record one `log()` call; see `Run.log`."""
        runtime_s = time.monotonic() - self._origin_s
        if step is None and commit is None:
            record: tuple[Any, ...] = (time.time(), runtime_s, data)
            self.step += 1
        else:
            record = (time.time(), runtime_s, data, *self._advance(step, commit))
        if (
            data.__class__ is dict
            and len(data) <= MAX_ROW_KEYS
            and data.keys() <= self._known_keys
            and SCALARS.issuperset(map(type, data.values()))
        ):
            try:
                payload = self._encode(record)
            except (OverflowError, UnicodeEncodeError):
                pass  # an integer beyond 64 bits, or a text that UTF-8 cannot hold
            else:
                if len(payload) <= MAX_ROW_BYTES:
                    self._append(_ROW, payload)
                    return
        self._careful_row(record, data)

    def record(self, kind: Kind, payload: msgspec.Struct) -> None:
        """Record anything but a row.

        Raises:
            TypeError: a value is not JSON-like.
        """
        try:
            encoded = encode(payload)
        except UnicodeEncodeError:  # a text that UTF-8 cannot hold
            payload = msgspec.convert(clean_texts(msgspec.to_builtins(payload)), type(payload))
            encoded = encode(payload)
        if len(encoded) <= MAX_FRAME_PAYLOAD_BYTES:
            self._append(kind, encoded)
            return
        for part_kind, part in oversize.pieces(kind, payload):
            encoded = encode(part)
            self._append(part_kind, encoded)  # counts what is too large still
            if len(encoded) > MAX_FRAME_PAYLOAD_BYTES:
                self._report(
                    f"{part_kind.name.lower()}_bytes",
                    f"{oversize.description(part_kind, part)} takes {len(encoded)} bytes and a "
                    f"record at most {MAX_FRAME_PAYLOAD_BYTES}; it is left out: save it as a file",
                )

    def console(self, time_s: float, stream: int, text: str) -> None:
        """Record terminal output."""
        # One buffer for all records: memory that is new each time costs more than the encoding.
        payload = self._buffers.pop() if self._buffers else bytearray()
        try:
            _RUNTIME_ENCODER.encode_into((time_s, stream, text), payload)
        except UnicodeEncodeError:  # undecodable bytes, kept by Python as lone surrogates
            _RUNTIME_ENCODER.encode_into((time_s, stream, clean_text(text)), payload)
        self._append(_CONSOLE, payload)
        self._buffers.append(payload)

    def _advance(self, step: int | None, commit: bool | None) -> tuple[int | None, bool | None]:
        """Follow the step rules as far as possible without the agent."""
        if commit is not None and type(commit) is not bool:
            commit = _truth(commit)
        self._step_before = self.step
        if step is not None and self.ignored_steps:
            self._report("step_ignored", self.ignored_steps)
            step = None
        if step is None:
            if commit is None or commit:
                self.step += 1
            return None, commit
        number = _row_number(step)
        if abs(number) > _MAX_STEP:
            raise UsageError(f"log(): step {number} is too large: steps count rows")
        if number < self.step:
            # The words of the agent, which decides; what it says about this is not shown again.
            self._report(
                "step_went_back",
                f"log() with step {number}, which is less than the current step {self.step}: "
                "steps must not decrease, so this data is dropped",
            )
        self.step = max(self.step, number + bool(commit))
        return number, commit

    # --- the slow path -----------------------------------------------------------------------

    def _careful_row(self, record: tuple[Any, ...], data: Any) -> None:
        """Store the good values of a row, then say what was wrong with the rest."""
        if not isinstance(data, Mapping):
            raise TypeError(
                f"log() needs a dictionary with text keys, got {type_name(data)}: "
                'write log({"loss": loss})'
            )
        step_before = self.step - 1 if len(record) == _PLAIN_RECORD else self._step_before
        check = RowCheck(self._keys, self.place, step_before)
        row = cast("Mapping[Any, Any]", data)
        for key, value in settle_charts(row, self.place, check.leave_out).items():
            check.take(key, value)
        if check.good or not check.faults:  # steps count calls, whatever is left out
            time_s, runtime_s, _, *position = record
            payload = self._encode((time_s, runtime_s, check.good, *position))
            if len(payload) > MAX_ROW_BYTES:
                check.shrink(len(payload) - MAX_ROW_BYTES, self._size_of)
                payload = self._encode((time_s, runtime_s, check.good, *position))
            self._append(_ROW, payload)
        else:
            self.step = step_before  # no row came about
        for reason, message in check.refusals:
            self._report(reason, message)
        if check.faults:
            first, *others = check.faults
            for other in others:
                first.add_note(str(other))
            raise first
        if check.refusals and self._strict:
            raise UsageError("; ".join(message for _, message in check.refusals))

    def _size_of(self, value: Any) -> int:
        return len(self._encode(value))

    def _report(self, reason: str, message: str) -> None:
        """Count a value that was left out; say so the first time."""
        count = self.refused.get(reason, 0)
        self.refused[reason] = count + 1
        if not count:
            self._warn(message)


def _row_number(step: Any) -> int:
    """Return a step as a plain integer, from whatever is one."""
    if isinstance(step, bool) or not hasattr(step, "__index__"):
        raise TypeError(f"log(): step={step!r} is of type {type_name(step)}: use a whole number")
    return operator.index(step)


def _truth(commit: Any) -> bool:
    """Return `commit` as a plain bool, from 0, 1 and what numpy has."""
    if isinstance(commit, int) or type_name(commit) in {"numpy.bool", "numpy.bool_"}:
        return bool(commit)
    raise TypeError(f"log(): commit={commit!r} is of type {type_name(commit)}: use True or False")


class FinishedRecorder:
    """Stands in for the recorder of a run that is over: everything raises."""

    def __init__(self, run_id: str, step: int) -> None:
        self._run_id = run_id
        self.step = step

    @property
    def place(self) -> RunPlace | None:
        """Refuse.

        Raises:
            UsageError: always.
        """
        raise self._error("summary")

    def row(self, data: Mapping[str, Any], step: int | None, commit: bool | None) -> None:
        """Refuse.

        Raises:
            UsageError: always.
        """
        del data, step, commit
        raise self._error("log()")

    def record(self, kind: Kind, payload: msgspec.Struct) -> None:
        """Refuse.

        Raises:
            UsageError: always.
        """
        del payload
        raise self._error(kind.name.lower())

    def _error(self, what: str) -> UsageError:
        return UsageError(
            f"{what}: run {self._run_id} is finished and takes nothing more; "
            "start a new one with trackd.init()"
        )
