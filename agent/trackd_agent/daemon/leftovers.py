"""What dead ranks left in their spools, and waiting until an agent took it over."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from trackd_agent.daemon.servers import start_agent
from trackd_agent.runs.folders.run_folder import find_writers

if TYPE_CHECKING:
    from trackd_proto.layout import RunFolderFacts

_WAIT_S = 20.0
_POLL_S = 0.2


def let_agent_take_over(run_dir: Path, facts: RunFolderFacts | None) -> None:
    """Wait until no spool of a dead writer of this run is left; start an agent for it.

    Only one process may write to a journal; while spools are left, that is the agent.
    """
    deadline = time.monotonic() + _WAIT_S
    is_started = False
    while time.monotonic() < deadline:
        sources = find_writers(run_dir, facts)
        if not any(source.spool and not source.is_alive() for source in sources):
            return
        if not is_started and facts is not None:
            start_agent(Path(facts.data_dir))
            is_started = True
        time.sleep(_POLL_S)
