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
from trackd.values import SCALARS, TooDeepError, clean_text, to_history, type_name
from trackd_proto.records import Kind, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd.spool import Spool

MAX_ROW_KEYS = 10_000
MAX_RUN_KEYS = 100_000
MAX_KEY_CHARACTERS = 1_024
MAX_ROW_BYTES = 1 << 20

_ROW = int(Kind.ROW)
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
        self._warn = warn
        self._strict = strict
        self._origin_s = clock.origin_s
        self._append = spool.append
        self._encode = _RUNTIME_ENCODER.encode
        self._known_keys: set[str] = set()
        self._nested_keys: set[str] = set()

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
        self._append(kind, encode(payload))

    def console(self, time_s: float, stream: int, text: str) -> None:
        """Record terminal output."""
        try:
            payload = self._encode((time_s, stream, text))
        except UnicodeEncodeError:  # undecodable bytes, kept by Python as lone surrogates
            payload = self._encode((time_s, stream, clean_text(text)))
        self._append(_CONSOLE, payload)

    def _advance(self, step: int | None, commit: bool | None) -> tuple[int | None, bool | None]:
        """Follow the step rules as far as possible without the agent."""
        if step is None:
            if commit is None or commit:
                self.step += 1
            return None, commit
        number = operator.index(step)
        self.step = max(self.step, number + bool(commit))
        return number, commit

    # --- the slow path -----------------------------------------------------------------------

    def _careful_row(self, record: tuple[Any, ...], data: Mapping[str, Any]) -> None:
        """Store the good values of a row, then say what was wrong with the rest."""
        if not isinstance(data, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"log() needs a dictionary with text keys, got {type_name(data)}: "
                'write log({"loss": loss})'
            )
        faults: list[str] = []
        good: dict[str, Any] = {}
        for key, value in cast("Mapping[Any, Any]", data).items():
            self._take(key, value, good, faults)
        if good or not faults:
            self._append_within_limit(record, good)
        if faults:
            raise TypeError("; ".join(faults))

    def _take(self, key: Any, value: Any, good: dict[str, Any], faults: list[str]) -> None:
        if not isinstance(key, str):
            faults.append(
                f"log(): the key {key!r} is of type {type_name(key)}: "
                f"keys are text, use {str(key)!r}"
            )
            return
        if key == "_step":  # numbered by the agent
            return
        key = clean_text(key)
        if not self._admit(key, len(good), self._known_keys):
            return
        try:
            plain = to_history(value)
        except TooDeepError as error:
            self._refuse("too_deep", f"the value of {_shown(key)} is {error}; flatten it")
        except TypeError as error:
            faults.append(
                f"log(): {_shown(key)} holds {error}, which cannot be recorded: "
                "convert it to a number, text, list or dictionary"
            )
        except RecursionError:
            self._refuse("too_deep", f"the value of {_shown(key)} contains itself; left out")
        else:
            if type(plain) is dict:
                plain = self._admit_tree(key, cast("dict[str, Any]", plain), [len(good)])
            good[key] = plain

    def _admit(self, key: str, position: int, known: set[str]) -> bool:
        """Apply the limits on keys; remember a new key."""
        if position >= MAX_ROW_KEYS:
            self._refuse(
                "row_keys",
                f"a row has more than {MAX_ROW_KEYS} keys; the rest from {_shown(key)} on is "
                "left out: log fewer keys a row",
            )
            return False
        if key in known:
            return True
        if len(key) > MAX_KEY_CHARACTERS:
            self._refuse(
                "key_length",
                f"the key {_shown(key)} has {len(key)} characters, at most {MAX_KEY_CHARACTERS} "
                "are allowed; its value is left out: use a shorter key",
            )
            return False
        if len(self._known_keys) + len(self._nested_keys) >= MAX_RUN_KEYS:
            self._refuse(
                "run_keys",
                f"the run already has {MAX_RUN_KEYS} different keys; {_shown(key)} and other new "
                "ones are left out: log values under fewer keys",
            )
            return False
        known.add(key)
        return True

    def _admit_tree(self, path: str, tree: dict[str, Any], leaves: list[int]) -> dict[str, Any]:
        """Apply the limits on keys to the leaves of a nested mapping."""
        kept: dict[str, Any] = {}
        for key, value in tree.items():
            name = f"{path}.{key}"
            if type(value) is dict:
                kept[key] = self._admit_tree(name, cast("dict[str, Any]", value), leaves)
            elif self._admit(name, leaves[0], self._nested_keys):
                leaves[0] += 1
                kept[key] = value
        return kept

    def _append_within_limit(self, record: tuple[Any, ...], good: dict[str, Any]) -> None:
        time_s, runtime_s, _, *position = record
        payload = self._encode((time_s, runtime_s, good, *position))
        if len(payload) > MAX_ROW_BYTES:
            sizes = {key: len(self._encode(value)) + len(key) + 8 for key, value in good.items()}
            excess = len(payload) - MAX_ROW_BYTES
            for key in sorted(sizes, key=sizes.__getitem__, reverse=True):
                if excess <= 0:
                    break
                excess -= sizes[key] - 8
                del good[key]
                self._refuse(
                    "row_bytes",
                    f"the value of {_shown(key)} takes {sizes[key]} bytes, a row at most "
                    f"{MAX_ROW_BYTES}; it is left out: save it as a file",
                )
            payload = self._encode((time_s, runtime_s, good, *position))
        self._append(_ROW, payload)

    def _refuse(self, reason: str, message: str) -> None:
        """Count a value that is left out; say so the first time, or raise where strict."""
        count = self.refused.get(reason, 0)
        self.refused[reason] = count + 1
        if self._strict:
            raise UsageError(message)
        if not count:
            self._warn(message)


def _shown(key: str) -> str:
    return repr(key if len(key) <= 60 else key[:57] + "...")


class FinishedRecorder:
    """Stands in for the recorder of a run that is over: everything raises."""

    def __init__(self, run_id: str, step: int) -> None:
        self._run_id = run_id
        self.step = step

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
