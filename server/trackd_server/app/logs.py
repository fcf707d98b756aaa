"""Log lines of the server: one JSON object a line, or plain text on a terminal.

The standard library's logging, not structlog: importing that costs 0.15 s, a fifth of the time
that a rank may have to wait for the server. Same rules: constant event names, facts as fields
(`log.info("store_opened", extra={"facts": {"swept_blobs": 2}})`).
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any


class FactsFormatter(logging.Formatter):
    """Writes event and facts of a record."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        shown: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            shown["exception"] = self.formatException(record.exc_info)
        if self._as_json:
            return json.dumps(shown, default=str)
        facts = " ".join(f"{key}={value}" for key, value in list(shown.items())[3:])
        return f"{shown['timestamp'][11:19]} {shown['level']:<7} {shown['event']} {facts}".rstrip()


def configure(*, as_json: bool) -> None:
    """Send the log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FactsFormatter(as_json=as_json or not sys.stderr.isatty()))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("trackd_server").setLevel(logging.INFO)
    # It repeats what our own handlers logged, and tells of every broken connection.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
