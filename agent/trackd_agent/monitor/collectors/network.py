"""Network traffic of the machine, loopback left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_agent.monitor.contract import NoDataError, Readings, Registration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import Target


class NetworkCollector:
    """Reports `network.sent` and `network.recv`, bytes since a subject's first sample."""

    def __init__(self, readers: Readers) -> None:
        self._host = readers.host

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Read all interfaces; the figures are the same for every target."""
        del targets
        interfaces = self._host.network_traffic().values()
        if not interfaces:
            raise NoDataError("no network interface besides the loopback")
        found = Readings()
        found.since_first("network.sent", sum(each.out_bytes for each in interfaces))
        found.since_first("network.recv", sum(each.in_bytes for each in interfaces))
        return found


COLLECTOR = Registration("network", NetworkCollector)
