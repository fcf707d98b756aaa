"""Set-up of structlog, called once by a program's entry: JSON to a file, columns on a terminal."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

import structlog
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_LEVELS = logging.getLevelNamesMapping()
#: Fields whose values never reach a log, whoever passes them.
_SECRET_FIELDS = frozenset({"api_key", "capability", "token", "password", "authorization"})
_MASK = "********"


class LogConfig(BaseModel):
    """Settings of the agent's log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: str = Field(
        default="info",
        pattern="^(debug|info|warning|error)$",
        description="Least severe events that are logged: debug, info, warning or error.",
    )
    format: str = Field(
        default="auto",
        pattern="^(auto|json|console)$",
        description="`json`, `console`, or `auto`: console on a terminal, JSON elsewhere.",
    )


class _GivingWay:
    """A stream that drops what it cannot write: a full disk must not fail who tells of it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write as far as that is possible."""
        with contextlib.suppress(OSError, ValueError):  # ValueError: somebody closed it
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush as far as that is possible."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def configure(config: LogConfig, stream: TextIO | None = None) -> None:
    """Send all events to a stream, standard error by default."""
    out = stream or sys.stderr
    for_people = config.format == "console" or (config.format == "auto" and out.isatty())
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask_secrets,
    ]
    if for_people:
        plain = structlog.dev.plain_traceback
        processors += [
            structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=plain)
        ]
    else:
        processors += [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[config.level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _GivingWay(out))),
        cache_logger_on_first_use=True,
    )


def mask_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace the values of fields that hold secrets."""
    for field in _SECRET_FIELDS & event.keys():
        event[field] = _MASK
    return event
