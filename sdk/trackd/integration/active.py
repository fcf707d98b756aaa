"""The run into which a callback records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd.errors import Error
from trackd.session import session

if TYPE_CHECKING:
    from trackd.runs.run import Run


def active_run(asker: str) -> Run:
    """Return the global run.

    Args:
        asker: what the user called, for the message.

    Raises:
        Error: there is none.
    """
    run = session().run
    if run is None:
        raise Error(f"{asker} records into a run: call trackd.init() first")
    return run


def best_of(name: str, smaller: frozenset[str], larger: frozenset[str]) -> str | None:
    """Return which value of a metric is its best: `min`, `max`, or None where nobody knows.

    Args:
        name: of the metric, as its framework calls it.
        smaller: names whose smallest value is the best; so is that of any loss.
        larger: names whose largest value is the best.
    """
    lower = name.lower()
    if "loss" in lower or lower in smaller:
        return "min"
    return "max" if lower in larger else None
