"""The run into which a callback records."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from trackd.errors import Error
from trackd.session import session

if TYPE_CHECKING:
    from collections.abc import Generator

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


@contextlib.contextmanager
def training_goes_on(run: Run, what: str) -> Generator[None]:
    """Let nothing that happens while something is recorded reach the training; warn once.

    For what frameworks cause at times of their own, such as models as artifacts: a disk may be
    full then, or a name may be refused.

    Args:
        run: which warns.
        what: is recorded, for the message.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - training is worth more than a record of it
        place = None if run.is_finished else run.backend.recorder.place
        if place is not None:
            place.warn(f"{what} is not recorded: {error}")
