"""The last steps of a run that takes no more records: hand over, tidy up, tell the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd.lifecycle import continuing
from trackd.messages import print_footer
from trackd.terminal import Terminal

if TYPE_CHECKING:
    from trackd.runs.run import Run


def leave(run: Run, status: int) -> None:
    """Hand everything to the agent and say what became of the run.

    Args:
        run: closed already.
        status: exit code.

    Raises:
        TimeoutError: no agent took everything in time, and the settings want to hear of it.
    """
    handover = run.backend.finish(status)
    if handover is None:  # a guest in the run of another process
        return
    settings = run.settings
    if handover.artifacts and handover.complete and not run.offline:
        from trackd.artifacts.online import saves  # few runs log artifacts

        saves.wait_for_all(run.remote, handover.artifacts)
    if not status:
        continuing.forget(settings)
    print_footer(run, Terminal(settings), handover)
    if not handover.complete and settings.finish_timeout and settings.finish_timeout_raises:
        raise TimeoutError(
            f"run {run.id}: no agent took the last records within finish_timeout="
            f"{settings.finish_timeout:g} s; they are kept on this node"
        )
