"""What the agent itself costs, for ranks that want to know (`x_stats_self_usage`)."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from trackd_agent.monitor.contract import (
    NobodyAsksError,
    NoDataError,
    Readings,
    Registration,
)
from trackd_agent.monitor.series import BYTES_PER_MB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import Target


class OwnCollector:
    """Reports `wandb.cpu` and `wandb.memory.rssMB`: the names of the W&B client for its helpers.

    CPU as for the rank's process, in percent of what counts as 100 % for the rank; both are sums
    over the agent and the processes it keeps for devices.
    """

    def __init__(self, readers: Readers) -> None:
        self._processes = readers.process
        self._agent = readers.process.identify(os.getpid())

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Read the agent's processes once."""
        asking = [target for target in targets if target.subject.self_usage]
        if not asking:
            raise NobodyAsksError("no run asks for it (x_stats_self_usage)")
        usage = self._processes.read_tree(self._agent) if self._agent else None
        if usage is None:
            raise NoDataError("the agent does not find itself in /proc")
        found = Readings()
        for target in asking:
            percent = 100 * usage.cpu_s / target.cpu_capacity
            found.over_interval("wandb.cpu", percent, time.monotonic(), target)
            found.now("wandb.memory.rssMB", usage.rss_bytes / BYTES_PER_MB, target)
        return found


COLLECTOR = Registration("own", OwnCollector)
