"""`run.alert()` and `run.mark_preempting()`: records that ask for attention."""

from __future__ import annotations

import enum
import time
from datetime import timedelta

from trackd_proto.records import Alert, Preempting

_DEFAULT_WAIT = timedelta(minutes=1)


class AlertLevel(enum.Enum):
    """How urgent an alert is."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


def alert(
    title: str,
    text: str,
    level: str | AlertLevel | None,
    wait_duration: float | timedelta | None,
) -> Alert:
    """Return the record of an alert; see `Run.alert`.

    Raises:
        ValueError: `level` is none of the three.
        TypeError: `title` or `text` is no text, or `wait_duration` no duration.
    """
    texts: dict[str, object] = {"title": title, "text": text}
    for field, value in texts.items():
        if not isinstance(value, str):
            raise TypeError(f"alert: {field}={value!r} is of type {type(value).__name__}: use text")
    name = level.value if isinstance(level, AlertLevel) else level or AlertLevel.INFO.value
    levels = [known.value for known in AlertLevel]
    if name not in levels:
        raise ValueError(f"alert: level={name!r} does not exist: use one of {levels}")
    return Alert(title, text, name, _wait_ms(wait_duration))


def preempting() -> Preempting:
    """Return the record of a run that is about to be preempted."""
    return Preempting(time.time())


def _wait_ms(duration: float | timedelta | None) -> int:
    # Nothing and zero mean the same, as in the reference.
    wait = duration or _DEFAULT_WAIT
    if isinstance(wait, int | float):
        wait = timedelta(seconds=wait)
    if not callable(getattr(wait, "total_seconds", None)):
        raise TypeError(
            f"alert: wait_duration={duration!r} is no duration: use seconds or a timedelta"
        )
    return int(wait.total_seconds() * 1000)
