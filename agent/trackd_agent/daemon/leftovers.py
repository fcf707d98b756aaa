"""What dead ranks left in their spools, and waiting until an agent took it over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trackd_agent.daemon.servers import wait_with_agent
from trackd_agent.runs.folders.run_folder import find_writers

if TYPE_CHECKING:
    from trackd_proto.layout import RunFolderFacts


def let_agent_take_over(run_dir: Path, facts: RunFolderFacts | None) -> None:
    """Wait until no spool of a dead writer of this run is left; start an agent for it.

    Only one process may write to a journal; while spools are left, that is the agent.
    """

    def is_left() -> bool:
        sources = find_writers(run_dir, facts)
        return any(source.spool and not source.is_alive() for source in sources)

    if facts is not None and facts.data_dir:  # else nobody knows where spools would be
        wait_with_agent(Path(facts.data_dir), lambda: not is_left())
