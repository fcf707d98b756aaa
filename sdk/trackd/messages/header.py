"""The lines at the beginning of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trackd.runs.run import Run
    from trackd.terminal import Terminal


def print_header(run: Run, name: str | None, terminal: Terminal, *, attached: bool) -> None:
    """Tell the user where the run goes.

    Args:
        run: that begins.
        name: as far as it is known; what the server calls the run is not waited for.
        terminal: to print to.
        attached: an agent takes its records.
    """
    from trackd import __version__

    paint = terminal.paint
    lines = [f"version {__version__}"]
    if run.offline:
        lines.append("offline: nothing is uploaded; `trackd sync` does that later")
    lines.append(f"run data is in {paint.path(run.sync_dir)}")
    label = f" as {run.label}" if run.label else ""
    verb = "resuming" if run.resumed else "recording"
    shown = paint.name(name or run.id)
    lines.append(f"{verb} run {shown}{label} of project {run.project}")
    if not attached:
        lines.append("no agent answers yet: rows are kept on disk and handed over when one does")
    if url := run.backend.url:
        lines.append(f"view the project at {paint.link(url.rpartition('/runs/')[0])}")
        if sweep := run.sweep_url:
            lines.append(f"view the sweep at {paint.link(sweep)}")
        lines.append(f"view the run at {paint.link(url)}")
    terminal.info("\n".join(lines))
