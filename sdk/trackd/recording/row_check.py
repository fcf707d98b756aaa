"""The careful look at one row: limits, conversions, and words for what is left out.

Three outcomes for a value: good; a *fault* of the caller (wrong type), which `log()` raises
after the good values were stored; a *refusal* by a limit, which is counted and reported once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from trackd.recording.recordable import Slot
from trackd.recording.rich_values import is_rich, row_value
from trackd.recording.texts import clean_text, type_name
from trackd.recording.values import TooDeepError, to_history

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd.recording.recordable import RunPlace

MAX_ROW_KEYS = 10_000
MAX_RUN_KEYS = 100_000
MAX_KEY_CHARACTERS = 1_024
MAX_ROW_BYTES = 1 << 20
_SHOWN_KEY_CHARACTERS = 60


@dataclass(slots=True)
class RunKeys:
    """All keys that a run has used: at the top of rows, and as dotted paths below them."""

    top: set[str] = field(default_factory=set[str])
    nested: set[str] = field(default_factory=set[str])

    def __len__(self) -> int:
        return len(self.top) + len(self.nested)


class RowCheck:
    """Sorts the values of one row.

    Args:
        keys: all keys of the run.
        place: the run, for values that write files into it.
        step: the process's own count of rows, which names such files.

    Attributes:
        good: what can be recorded, converted.
        faults: what to raise about arguments that are wrong.
        refusals: (reason, message) of each value that exceeds a limit, or was not stored.
    """

    def __init__(self, keys: RunKeys, place: RunPlace | None, step: int) -> None:
        self.good: dict[str, Any] = {}
        self.faults: list[Exception] = []
        self.refusals: list[tuple[str, str]] = []
        self._keys = keys
        self._place = place
        self._step = step
        self._leaves = 0

    def take(self, key: Any, value: Any) -> None:
        """Sort one value."""
        # A known key has been looked at, and cleaned, before.
        is_known = key.__class__ is str and key in self._keys.top
        if not is_known:
            if not self._takes_key(key):
                return
            key = clean_text(key)
        try:
            if is_rich(value.__class__):
                plain = row_value(value, self._place, Slot(key, self._step))
            else:
                plain = to_history(value)
        except Exception as error:  # noqa: BLE001 - the value's own code failed, the row goes on
            self.leave_out(key, error)
            return
        if is_known and plain.__class__ is not dict and self._leaves < MAX_ROW_KEYS:
            self._leaves += 1  # what `_keep` does, without two calls
            self.good[key] = plain
        else:
            self._keep(key, plain)

    def _takes_key(self, key: Any) -> bool:
        """Tell whether a value may stand under a key; say why not."""
        if not isinstance(key, str):
            self.faults.append(
                TypeError(
                    f"log(): the key {key!r} is of type {type_name(key)}: "
                    f"keys are text, use {str(key)!r}"
                )
            )
            return False
        if key == "_step":  # rows are numbered by the agent
            return False
        if not key:
            return self._refuse(
                "empty_key", "log(): a value under an empty key is left out: name it"
            )
        return not self._is_too_long(clean_text(key))  # before its files are written

    def leave_out(self, key: str, error: Exception) -> None:
        """Say why a value could not be converted: by the caller's fault, or by a limit."""
        key = shown(key)
        if isinstance(error, TooDeepError):
            self._refuse("too_deep", f"the value of {key} is {error}: flatten it")
        elif isinstance(error, RecursionError):
            self._refuse("too_deep", f"the value of {key} contains itself: flatten it")
        elif is_storage_failure(error):
            self._refuse(
                "file",
                f"the value of {key} is left out: its file could not be stored ({error}): "
                "make room and check the run's folder",
            )
        else:
            self.faults.append(fault(f"log(): {key}", error))

    def _keep(self, key: str, plain: Any) -> None:
        """Take a converted value over as far as the limits on keys allow."""
        if type(plain) is dict:
            tree = cast("dict[str, Any]", plain)
            if not tree or (tree := self._admit_tree(key, tree)):
                self.good[key] = tree
        elif self._admit(key, self._keys.top):
            self.good[key] = plain

    def shrink(self, excess_bytes: int, size_of: Callable[[Any], int]) -> None:
        """Leave the largest values out until the row is smaller by so many bytes."""
        sizes = {key: size_of(value) + len(key.encode()) for key, value in self.good.items()}
        for key in sorted(sizes, key=sizes.__getitem__, reverse=True):
            if excess_bytes <= 0:
                break
            excess_bytes -= sizes[key]
            del self.good[key]
            self._refuse(
                "row_bytes",
                f"the value of {shown(key)} takes {sizes[key]} bytes and a row at most "
                f"{MAX_ROW_BYTES}; it is left out: save it as a file",
            )

    def _admit_tree(self, path: str, tree: dict[str, Any]) -> dict[str, Any]:
        """Return the part of a nested mapping whose leaves are within the limits on keys."""
        kept: dict[str, Any] = {}
        for key, value in tree.items():
            name = f"{path}.{key}"
            if type(value) is dict and value:
                if branch := self._admit_tree(name, cast("dict[str, Any]", value)):
                    kept[key] = branch
            elif self._admit(name, self._keys.nested):
                kept[key] = value
        return kept

    def _admit(self, key: str, known: set[str]) -> bool:
        """Apply the limits on keys; remember a new one."""
        if self._leaves >= MAX_ROW_KEYS:
            return self._refuse(
                "row_keys",
                f"a row has more than {MAX_ROW_KEYS} keys; the rest from {shown(key)} on is left "
                "out: log fewer keys a row",
            )
        self._leaves += 1
        if key in known:
            return True
        if self._is_too_long(key):
            return False
        if len(self._keys) >= MAX_RUN_KEYS:
            return self._refuse(
                "run_keys",
                f"the run has {MAX_RUN_KEYS} different keys already; {shown(key)} and other new "
                "ones are left out: log values under fewer keys",
            )
        known.add(key)
        return True

    def _is_too_long(self, key: str) -> bool:
        if len(key) <= MAX_KEY_CHARACTERS:
            return False
        self._refuse(
            "key_length",
            f"the key {shown(key)} has {len(key)} characters and a key at most "
            f"{MAX_KEY_CHARACTERS}; its value is left out: use a shorter key",
        )
        return True

    def _refuse(self, reason: str, message: str) -> bool:
        self.refusals.append((reason, message))
        return False


def is_storage_failure(error: Exception) -> bool:
    """Tell whether a file of a value could not be written into the run.

    A file of the user that is gone is the caller's fault.
    """
    return isinstance(error, OSError) and not isinstance(error, FileNotFoundError)


def fault(where: str, error: Exception) -> Exception:
    """Return what to raise about a value that could not be converted.

    Args:
        where: what was called, and the key.
        error: what the conversion raised; its kind is kept, as far as scripts catch it.
    """
    if isinstance(error, TypeError):
        return TypeError(
            f"{where} holds {error}, which cannot be recorded: "
            "convert it to a number, text, list or dictionary"
        )
    if type(error) is ValueError:
        return ValueError(f"{where} cannot be recorded: {error}")
    error.add_note(f"{where} could not be converted: log a plain number, text, list or dictionary")
    return error


def shown(key: str) -> str:
    """Return a key as messages show it."""
    return repr(key if len(key) <= _SHOWN_KEY_CHARACTERS else f"{key[:57]}...")
