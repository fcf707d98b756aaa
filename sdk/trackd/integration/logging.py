"""Python's `logging`: messages as lines of the run's console, or as values of its rows.

logging.getLogger("training").addHandler(RunHandler())
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from trackd.session import session

if TYPE_CHECKING:
    from trackd.runs.run import Run


class RunHandler(logging.Handler):
    """Writes messages into the console of a run, without printing them.

    A message with `extra={"metrics": {...}}` logs these values as a row, too. Nothing happens
    while there is no run, and nothing here ever raises into the program.

    Args:
        run: default: the global run at the time of each message.
        level: least level that is recorded.
    """

    def __init__(self, run: Run | None = None, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self._run = run
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Record one message."""
        run = self._run or session().run
        if run is None or run.is_finished:
            return
        try:
            run.write_logs(self.format(record))
            metrics: Any = getattr(record, "metrics", None)
            if isinstance(metrics, dict):
                run.log(cast("dict[str, Any]", metrics))
        except Exception:  # noqa: BLE001 - as all handlers do: `logging.raiseExceptions` decides
            self.handleError(record)
