"""Network traffic, loopback left out: of the machine, or of the container that a rank is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_agent.monitor.contract import NoDataError, Readings, Registration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import Target


class NetworkCollector:
    """Reports `network.sent`, `network.recv` (bytes) and `network.tcpRetransmits` (segments).

    All since a subject's first sample.
    """

    def __init__(self, readers: Readers) -> None:
        self._network = readers.network
        self._processes = readers.process

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Read each network namespace once; most often there is one."""
        found = Readings()
        places = {target.network_place for target in targets}
        for place in sorted(places):
            alone = len(places) == 1
            inside = [target for target in targets if target.network_place == place]
            if place and not any(map(self._is_there, inside)):
                continue  # its number may be that of another process by now
            self._collect_one(place, [None] if alone else inside, found)
        if not (found.shared or found.by_subject):
            raise NoDataError("; ".join(found.problems) or "no network interface")
        return found

    def _is_there(self, target: Target) -> bool:
        return target.process is not None and self._processes.read(target.process) is not None

    def _collect_one(self, place: int, targets: Sequence[Target | None], found: Readings) -> None:
        try:
            interfaces = self._network.traffic(place)
        except OSError as error:
            if not place:
                found.problem(f"network traffic: {error.strerror or error}")
            return  # a container that is gone
        if interfaces is None:
            return
        retransmits = self._network.tcp_retransmits(place)
        for target in targets:
            found.since_first("network.sent", interfaces.sent_bytes, target)
            found.since_first("network.recv", interfaces.received_bytes, target)
            if retransmits is not None:
                found.since_first("network.tcpRetransmits", retransmits, target)


COLLECTOR = Registration("network", NetworkCollector)
