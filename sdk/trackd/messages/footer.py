"""The lines at the end of a run: how its metrics went, where it is, what is still to come."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackd.messages.sparkline import sparkline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd.runs.run import Run
    from trackd.terminal import Terminal
    from trackd.writer import Handover

_MAX_TEXT_CHARACTERS = 20
_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Digest:
    """What the agent tells of a run that ends: its summary, and numbers of its rows by key."""

    summary: Mapping[str, Any] = field(default_factory=dict[str, Any])
    history: Mapping[str, list[float]] = field(default_factory=dict[str, list[float]])


def print_footer(run: Run, terminal: Terminal, handover: Handover) -> None:
    """Tell the user what became of the run."""
    paint = terminal.paint
    if dropped := handover.dropped:
        reasons = ", ".join(f"{count} {why}" for why, count in dropped.items())
        terminal.warn(f"{sum(dropped.values())} records of this run are lost ({reasons})")
    if not Path(run.sync_dir).is_dir():
        terminal.warn(
            f"the run's folder {run.sync_dir} was removed while the run went on: what was in it, "
            "and was not uploaded, is lost"
        )
    lines = digest_lines(run, handover.digest, draws=terminal.draws) if handover.digest else []
    shown = _relative(run.sync_dir)
    if not handover.complete:
        lines.append(
            f"no agent took the last {handover.left} records; they are kept on this node in "
            f"{handover.folder} and the next agent takes them (`trackd up` starts one)"
        )
    elif run.offline:
        lines.append(f"to upload this run: {paint.command(f'trackd sync {shown}')}")
    elif not handover.uploaded:
        lines.append("the agent goes on uploading; `trackd status` shows how far it is")
    if url := run.backend.url:
        lines.append(f"view run {paint.name(run.name or run.id)} at {paint.link(url)}")
    lines.append(f"run data is in {paint.path(shown)}, logs in {paint.path(f'{shown}/logs')}")
    terminal.info("\n".join(lines))


def digest_lines(run: Run, digest: Digest, *, draws: bool) -> list[str]:
    """Return the block of metrics.

    Args:
        run: whose settings say how many.
        digest: what there is to show.
        draws: whether the terminal can show block characters.
    """
    settings = run.settings
    lines: list[str] = []
    history: dict[str, str] = {}
    for key, values in digest.history.items():
        if draws and not key.startswith("_"):
            history[key] = sparkline(values)
    if rows := _grid(history, settings.max_end_of_run_history_metrics):
        lines += ["", "Run history:", *rows]
    summary = {
        key: text
        for key, value in digest.summary.items()
        if not key.startswith("_") and (text := _value(value))
    }
    if rows := _grid(summary, settings.max_end_of_run_summary_metrics):
        lines += ["", "Run summary:", *rows]
    return [*lines, ""] if lines else []


def _grid(texts: Mapping[str, str], count: int) -> list[str]:
    """Return lines of names and texts in two columns; what is too much is counted."""
    names = [name for name in sorted(texts) if texts[name]][: max(0, count)]
    if not names:
        return []
    rows = [(_printable(name), texts[name]) for name in names]
    if more := len(texts) - len(names):
        rows.append((f"+{more:,d}", "..."))
    width = max(len(name) for name, _ in rows)
    return [f"{name:>{width}} {text}" for name, text in rows]


def _value(value: object) -> str:
    """Return a summary value as text; empty for what is neither number nor text."""
    if isinstance(value, str):
        more = "..." if len(value) >= _MAX_TEXT_CHARACTERS else ""
        return _printable(value[:_MAX_TEXT_CHARACTERS]) + more
    if isinstance(value, float):
        small = 0 < abs(value) < 10 ** (2 - _DIGITS)  # a learning rate is more than 0.0
        return f"{value:.{_DIGITS - 1}g}" if small else str(round(value, _DIGITS))
    return str(value) if isinstance(value, int) else ""


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _relative(path: str) -> str:
    """Return a path as one types it from the current folder."""
    try:
        return f"./{Path(path).absolute().relative_to(Path.cwd())}"
    except (ValueError, OSError):
        return path
