"""Details of the machine that runs record only if asked (`x_stats_host_details`).

Always there for who looks at the node: `trackd top` and `/metrics`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trackd_agent.monitor.contract import NobodyAsksError, Readings, Registration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import Target

_LOADS = ("system.load1", "system.load5", "system.load15")


class HostCollector:
    """Reports `cpu.{core}.cpu_percent`, `swap.*`, `system.*`, `cpu.avg_temp`, `cpu.powerWatts`.

    Names and units as the W&B client's terminal view has them; power (W) is the mean of the
    interval, from RAPL where the agent may read that.
    """

    def __init__(self, readers: Readers) -> None:
        self._details = readers.details

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Read the machine once, for those who ask."""
        asking = [target for target in targets if target.subject.host_details]
        if not asking:
            raise NobodyAsksError("no run asks for it (x_stats_host_details)")
        details = self._read().shared
        return Readings(by_subject={target.key: details for target in asking})

    def _read(self) -> Readings:
        details, found = self._details, Readings()
        for core, times in details.cores().items():
            found.over_interval(f"cpu.{core}.cpu_percent", 100 * times.busy, times.total)
        if swap := details.swap():
            found.now("swap.used", swap.used_bytes)
            if swap.total_bytes:
                found.now("swap.used_percent", 100 * swap.used_bytes / swap.total_bytes)
        for key, load in zip(_LOADS, details.loads(), strict=False):
            found.now(key, load)
        if (uptime_s := details.uptime_s()) is not None:
            found.now("system.uptime", uptime_s)
        if (temperature_c := details.temperature_c()) is not None:
            found.now("cpu.avg_temp", temperature_c)
        if (energy_j := details.energy_j()) is not None:
            found.over_interval("cpu.powerWatts", energy_j, time.monotonic())
        return found


COLLECTOR = Registration("host", HostCollector)
