"""The contract between collectors and the sampler: scene in, readings out, one method."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import Subject, Target


class NoDataError(Exception):
    """This machine has nothing for a collector to read: not a fault, said once at debug level."""


class NobodyAsksError(NoDataError):
    """Nobody of this tick wants what a collector reads; who does may be due at another one."""


class Meaning(enum.Enum):
    """How a subject's value follows from the amount that was read."""

    NOW = enum.auto()  # the amount itself
    SINCE_FIRST = enum.auto()  # growth of a counter since the subject's first sample
    OVER_INTERVAL = enum.auto()  # growth of `amount` / growth of `per` since its last sample
    ONCE = enum.auto()  # the amount itself, in the first sample that has it and in no later one


class Reading(NamedTuple):
    """One amount, read once for all subjects that it concerns."""

    key: str
    meaning: Meaning
    amount: float
    per: float = 0.0


class Event(NamedTuple):
    """Something that happened to a device, once: a mark on the timeline of the runs it concerns.

    `key` and `value` follow the keys of metrics (`gpu.0.xid` = 79), so that a chart can show it.
    """

    name: str  # what kind of thing: "xid", "ecc", "throttled", "lost", …
    text: str  # one sentence for people
    key: str
    value: float
    gpu: int | None = None  # which GPU it happened to: it spares subjects that do not want that


@dataclass(slots=True)
class Readings:
    """What one collector found in one tick."""

    shared: list[Reading] = field(default_factory=list[Reading])
    by_subject: dict[str, list[Reading]] = field(default_factory=dict[str, list[Reading]])
    #: What happened since the collector's last tick: (whom it concerns; None: every subject, what).
    events: list[tuple[str | None, Event]] = field(default_factory=list[tuple[str | None, Event]])
    #: Parts that could not be read while others could; each text is logged once.
    problems: list[str] = field(default_factory=list[str])
    #: What `describe` or `describe_for` returns has changed.
    is_described_anew: bool = False

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

    def once(self, key: str, amount: float, target: Target | None = None) -> None:
        """Report a value that does not change: subjects see it in their first sample of it."""
        self._add(Reading(key, Meaning.ONCE, amount), target)

    def event(
        self, name: str, text: str, key: str, value: float, target: Target | None = None
    ) -> None:
        """Report something that happened; without a target it concerns every subject."""
        self.events.append((target.key if target else None, Event(name, text, key, value)))

    def gpu_event(self, event: Event) -> None:
        """Report something that happened to a GPU; it concerns all subjects that want that GPU."""
        self.events.append((None, event))

    def problem(self, text: str) -> None:
        """Report that a part of the source could not be read."""
        self.problems.append(text)

    def describe_again(self) -> None:
        """Have `describe` and `describe_for` asked again: other devices, or other series."""
        self.is_described_anew = True

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
            NobodyAsksError: None of these targets wants it.
        """
        ...


@runtime_checkable
class DescribesMachine(Protocol):
    """A collector that knows what its devices are; the method is optional.

    Asked in a worker thread, maybe while `collect` runs in another: readers stand that. Asked
    once in the life of the agent, and again when the collector has data after having had none.
    """

    def describe(self) -> dict[str, Any]:
        """Return its part of every run's environment, named as in `wandb-metadata.json`.

        Raises:
            NoDataError: The machine has no such device.
        """
        ...


@runtime_checkable
class DescribesSubject(Protocol):
    """A collector that knows something that depends on what a subject asked for; optional too.

    Asked for each subject, and again when the collector calls `Readings.describe_again`.
    """

    def describe_for(self, subject: Subject) -> dict[str, Any]:
        """Return its part of one run's environment, named as in `wandb-metadata.json`.

        Raises:
            NoDataError: There is nothing of the kind that the subject asked for.
        """
        ...


@runtime_checkable
class Forgets(Protocol):
    """A collector that remembers something for a subject; the method is optional."""

    def forget(self, subject: Subject) -> None:
        """Drop what only this subject wanted, for it is gone; called on the event loop."""
        ...


@dataclass(frozen=True, slots=True)
class Registration:
    """How a file in `collectors` makes itself known, under the name `COLLECTOR`."""

    name: str
    make: Callable[[Readers], Collector]
    default_on: bool = True
