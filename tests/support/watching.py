"""Samples of one collector for one subject, on a machine on paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_agent.monitor.readers import Readers
from trackd_agent.monitor.registry import REGISTRATIONS
from trackd_agent.monitor.series import Series

if TYPE_CHECKING:
    from tests.support.machine import Machine

    from trackd_agent.monitor.contract import Readings
    from trackd_agent.monitor.subject import Target


class Watcher:
    """Samples one collector for one target again and again."""

    def __init__(self, machine: Machine, name: str, target: Target) -> None:
        (registration,) = (each for each in REGISTRATIONS if each.name == name)
        self.collector = registration.make(Readers.of(machine.config))
        self.target = target
        self.series = Series()

    def read(self) -> Readings:
        return self.collector.collect([self.target])

    def sample(self) -> dict[str, float]:
        found = self.read()
        return self.series.values(found.shared + found.by_subject.get(self.target.key, []))
