"""What pages say about a run in a line, and how they write times and sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trackd_server.domain.run_records import LIVE_STATES

if TYPE_CHECKING:
    from trackd_server.domain.runs import RunView


@dataclass(frozen=True)
class RunFacts:
    """What a list or a headline says about a run."""

    name: str
    run_id: str
    project: str
    entity: str
    state: str
    created: str
    runtime: str
    steps: int
    url: str
    project_url: str

    @classmethod
    def of(cls, run: RunView, now: float) -> RunFacts:
        """Collect the facts."""
        row = run.row
        started, runtime_s = _times(run, now)
        return cls(
            row.display_name,
            row.name,
            row.project,
            row.entity,
            run.state,
            _ago(now - started),
            span(runtime_s),
            run.history_lines,
            "/" + "/".join(map(quote, (row.entity, row.project, "runs", row.name))),
            "/" + "/".join(map(quote, (row.entity, row.project))),
        )


def _times(run: RunView, now: float) -> tuple[float, float]:
    """Return when a run began and how long it ran, in seconds.

    A run that was recorded offline came here later and at once: its rows know better.
    """
    row, summary = run.row, run.summary
    own: Any = summary.get("_wandb")
    runtime_s = own.get("runtime") if isinstance(own, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(runtime_s, (int, float)):
        runtime_s = summary.get("_runtime")
    last, started = summary.get("_timestamp"), row.created_at
    if not isinstance(runtime_s, (int, float)) or not 0 <= runtime_s < now:
        runtime_s = (row.finished_at or row.heartbeat_at) - started
    elif isinstance(last, (int, float)) and runtime_s < last < started:
        started = last - runtime_s
    return started, now - started if run.state in LIVE_STATES else runtime_s


def size_text(size: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def span(seconds: float) -> str:
    """Return a duration for people."""
    whole = max(0, int(seconds))
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def _ago(seconds: float) -> str:
    return "just now" if seconds < 5 else f"{span(seconds)} ago"
