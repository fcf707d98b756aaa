"""Tables that grow: each log writes the rows that came since the last one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pathlib import Path

    from trackd.recording.recordable import RunPlace

ARTIFACT_TYPE = "wandb-run-incremental-table"
HISTORY_TYPE = "incremental-table-file"
#: So many increments are shown in a workspace.
MAX_SHOWN_INCREMENTS = 100


@dataclass(slots=True)
class Increments:
    """What a table with `log_mode="INCREMENTAL"` knows of its earlier logs.

    Attributes:
        number: of the increment to log next, or logged last; None before the first.
        previous: links to the increments before it.
        next_row: first row that was not logged.
    """

    number: int | None = None
    previous: list[str] = field(default_factory=list[str])
    next_row: int = 0
    _run: Path | None = None

    def claim(self, place: RunPlace, key: str) -> None:
        """Bind the table to the run; go on where an earlier process of a resumed run stopped.

        Raises:
            AssertionError: it was logged to another run.
        """
        if self._run is not None and self._run != place.files_dir:
            raise AssertionError(
                f"{key!r}: a table with log_mode='INCREMENTAL' can only be logged to one run: "
                "make a new Table for this one"
            )
        if self._run is None and self.number is None:
            self._go_on(place.resumed_summary.get(key))
        self._run = place.files_dir

    def _go_on(self, logged: Any) -> None:
        if not isinstance(logged, dict):
            return
        last = cast("dict[str, Any]", logged)
        if last.get("_type") != HISTORY_TYPE:
            return
        self.previous = [*last.get("previous_increments_paths", [])]
        if last.get("artifact_path"):
            self.previous.append(last["artifact_path"])
        self.number = int(last.get("increment_num", 0)) + 1

    def entry_name(self, key: str) -> str:
        """Return the name of the next increment in its artifact; the first is called None."""
        return f"{self.number}-{time.time_ns() // 1_000_000}.{key}"

    def fields(self) -> dict[str, Any]:
        """Return what is said about increments in JSON."""
        self.number = self.number or 0
        return {"increment_num": self.number, "previous_increments_paths": list(self.previous)}

    def begin_next(self, uri: str | None) -> bool:
        """Count the logged increment; say whether there are more than are shown."""
        if uri is not None:
            self.previous.append(uri)
        self.number = (self.number or 0) + 1
        return self.number >= MAX_SHOWN_INCREMENTS
