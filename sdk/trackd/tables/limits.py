"""How many rows a table may have, and how the user hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd.messages.root_logger import root_warning
from trackd.messages.term import termwarn

if TYPE_CHECKING:
    from trackd.recording.recordable import RunPlace
    from trackd.settings import Settings


def limit_rows(rows: int, limit: int, place: RunPlace | None) -> None:
    """Tell that a table has more rows than an artifact takes.

    Raises:
        ValueError: the settings make that an error.
    """
    if rows <= limit:
        return
    settings = _settings(place)
    advice = "set trackd.Table.MAX_ARTIFACT_ROWS to a larger number to keep all"
    if settings is not None and (settings.table_raise_on_max_row_limit_exceeded or settings.strict):
        raise ValueError(f"a table has {rows} rows, and {limit} are the limit: {advice}")
    root_warning(f"Truncating wandb.Table object to {limit} rows.")
    warn(f"a table of {rows} rows is truncated to {limit}: {advice}", place)


def warn(text: str, place: RunPlace | None = None) -> None:
    """Warn the user once, through the run where there is one."""
    if place is not None:
        place.warn(text)
    else:
        termwarn(text, repeat=False)


def _settings(place: RunPlace | None) -> Settings | None:
    if place is not None:
        return place.settings
    from trackd.session import session  # the session knows runs, which know tables

    run = session().run
    return run.settings if run is not None else None
