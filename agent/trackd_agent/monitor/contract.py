"""The contract between collectors and the sampler: scene in, readings out, one method."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import Target


class NoDataError(Exception):
    """This machine has nothing for a collector to read: not a fault, said once at debug level."""


class Meaning(enum.Enum):
    """How a subject's value follows from the amount that was read."""

    NOW = enum.auto()  # the amount itself
    SINCE_FIRST = enum.auto()  # growth of a counter since the subject's first sample
    OVER_INTERVAL = enum.auto()  # growth of `amount` / growth of `per` since its last sample


class Reading(NamedTuple):
    """One amount, read once for all subjects that it concerns."""

    key: str
    meaning: Meaning
    amount: float
    per: float = 0.0


@dataclass(slots=True)
class Readings:
    """What one collector found in one tick."""

    shared: list[Reading] = field(default_factory=list[Reading])
    by_subject: dict[str, list[Reading]] = field(default_factory=dict[str, list[Reading]])
    #: Parts that could not be read while others could; each text is logged once.
    problems: list[str] = field(default_factory=list[str])

    def now(self, key: str, amount: float, target: Target | None = None) -> None:
        """Report a value as it is; without a target it concerns every subject."""
        self._add(Reading(key, Meaning.NOW, amount), target)

    def since_first(self, key: str, counter: float, target: Target | None = None) -> None:
        """Report a counter of which subjects see the growth since their first sample."""
        self._add(Reading(key, Meaning.SINCE_FIRST, counter), target)

    def over_interval(
        self, key: str, amount: float, per: float, target: Target | None = None
    ) -> None:
        """Report two counters of which subjects see the ratio of the growths since last time."""
        self._add(Reading(key, Meaning.OVER_INTERVAL, amount, per), target)

    def problem(self, text: str) -> None:
        """Report that a part of the source could not be read."""
        self.problems.append(text)

    def _add(self, reading: Reading, target: Target | None) -> None:
        if target is None:
            self.shared.append(reading)
        else:
            self.by_subject.setdefault(target.key, []).append(reading)


class Collector(Protocol):
    """Turns what one kind of source says now into readings."""

    def collect(self, targets: Sequence[Target]) -> Readings:
        """Read once and report for all targets of this tick; runs in a worker thread.

        Raises:
            NoDataError: The machine has no such source.
        """
        ...


@dataclass(frozen=True, slots=True)
class Registration:
    """How a file in `collectors` makes itself known, under the name `COLLECTOR`."""

    name: str
    make: Callable[[Readers], Collector]
    default_on: bool = True
