"""What the collectors say a machine is: asked side by side, merged, and kept for later runs.

A description is part of a run's environment (`wandb-metadata.json`). It never holds up a run or
a tick: every collector is asked in a thread of its own under a deadline, and one that says
nothing, or fails, costs its part alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, cast

import anyio
import msgspec
import structlog
from anyio import to_thread

from trackd_agent.monitor.contract import DescribesMachine, DescribesSubject, NoDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trackd_agent.monitor.subject import Subject

    #: Takes a whole description, on the event loop.
    DescriptionSink = Callable[[dict[str, Any]], None]

_log = structlog.get_logger()
#: How long a description waits for one collector. Trainium's first report takes 5 s.
DEADLINE_S = 10.0
#: Shortest time between two descriptions for one follower: each becomes a record of the run.
REFRESH_S = 30.0
#: Largest part of one collector, as JSON; what is larger is left out.
MAX_PART_BYTES = 256 * 1024
#: Lists with an entry for each GPU; `uuid` names one beyond doubt.
GPU_LISTS = ("gpu_nvidia", "gpu_amd")


class Source(Protocol):
    """Somebody who may know something: the runner of a collector, above all."""

    @property
    def name(self) -> str:
        """Return its name, for the log."""
        ...

    @property
    def news(self) -> int:
        """Return a number that grows when what it says may have changed."""
        ...

    def collector(self) -> object:
        """Return what may be a `DescribesMachine` or `DescribesSubject`; may block."""
        ...


class Describer:
    """Asks all that know something.

    Args:
        sources: whom to ask, the more important one first where two say the same.
        deadline_s: how long to wait for each.
        refresh_s: shortest time between two descriptions for one follower.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        deadline_s: float = DEADLINE_S,
        refresh_s: float | None = None,
    ) -> None:
        limiter = anyio.CapacityLimiter(max(1, len(sources)))
        self._parts = [_Part(source, limiter, deadline_s) for source in sources]
        self._sources = sources
        self._refresh_s = REFRESH_S if refresh_s is None else refresh_s
        self._known_news = 0
        self._changed = anyio.Event()

    async def describe(self, subject: Subject) -> dict[str, Any]:
        """Return what all say about the machine and for the subject."""
        found: list[dict[str, Any]] = [{} for _ in self._parts]

        async def ask(index: int) -> None:
            found[index] = await self._parts[index].describe(subject)

        async with anyio.create_task_group() as tasks:
            for index in range(len(self._parts)):
                tasks.start_soon(ask, index)
        return merge(found)

    async def follow(self, subject: Subject, sink: DescriptionSink) -> None:
        """Hand out the description now, though it be empty, and whenever it has changed."""
        told: dict[str, Any] | None = None
        while True:
            changed = self._changed
            description = await self.describe(subject)
            if description != told:
                told = description
                sink(description)
                await anyio.sleep(self._refresh_s)
            await changed.wait()

    def look_for_news(self) -> None:
        """Have everybody who follows asked again if there is any; called after each tick."""
        if (news := sum(source.news for source in self._sources)) != self._known_news:
            self._known_news = news
            self._changed.set()
            self._changed = anyio.Event()


class _Part:
    """What one of them says, and what it said before."""

    def __init__(self, source: Source, limiter: anyio.CapacityLimiter, deadline_s: float) -> None:
        self._source = source
        self._limiter = limiter
        self._deadline_s = deadline_s
        self._asking = anyio.Lock()
        self._machine: dict[str, Any] = {}
        self._known_news = -1  # -1: not known yet
        self._may_know_subjects = True
        self._is_busy = False
        self._problem = ""

    async def describe(self, subject: Subject) -> dict[str, Any]:
        """Return both of its parts, empty where it has none; only cancellation raises."""
        async with self._asking:  # many runs that begin together ask once
            if self._known_news != self._source.news:
                news = self._source.news
                machine = await self._ask(self._ask_machine)
                # Who gives no answer now is described by what it said before.
                self._machine = self._machine if machine is None else machine
                self._known_news = -1 if machine is None else news
            of_subject = {}
            if self._may_know_subjects:  # no thread for nothing: there may be many ranks
                of_subject = await self._ask(lambda: self._ask_subject(subject))
        return {**self._machine, **(of_subject or {})}

    def _ask_machine(self) -> dict[str, Any]:
        collector = self._source.collector()
        try:
            return collector.describe() if isinstance(collector, DescribesMachine) else {}
        except NoDataError:
            self._machine = {}
            raise

    def _ask_subject(self, subject: Subject) -> dict[str, Any]:
        collector = self._source.collector()
        if isinstance(collector, DescribesSubject):
            return collector.describe_for(subject)
        self._may_know_subjects = False
        return {}

    async def _ask(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """Return a checked answer; None: there was none, which may be different next time."""
        if self._is_busy:
            return None  # the last question was not answered yet: threads must not pile up
        try:
            with anyio.fail_after(self._deadline_s):
                answer = await to_thread.run_sync(
                    self._busy, ask, abandon_on_cancel=True, limiter=self._limiter
                )
            return checked(answer)
        except NoDataError:
            return None
        except TimeoutError:
            self._tell(f"no answer within {self._deadline_s:g} s")
        except Exception as error:  # noqa: BLE001 (seam: as for ticks, others must not suffer)
            self._tell(f"{type(error).__name__}: {error}")
        return None

    def _busy(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        self._is_busy = True
        try:
            return ask()
        finally:
            self._is_busy = False  # also when nobody waits any more

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            _log.warning("not_described", source=self._source.name, problem=problem)


def merge(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return what several said as one description; the first word about a thing counts.

    GPUs add up: a machine may have those of two vendors, and two ways to ask about the same
    ones. Lists of GPUs are joined, each GPU once; `gpu_count` and `gpu` follow from them where
    there are any, and are otherwise as told.
    """
    merged: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if name in GPU_LISTS and name in merged:
                merged[name] = _joined(merged[name], value)
            else:
                merged.setdefault(name, value)
    gpus: list[dict[str, Any]] = [gpu for name in GPU_LISTS for gpu in merged.get(name, ())]
    if gpus:
        merged["gpu_count"] = len(gpus)
        kinds = (gpu.get("name") or gpu.get("series") for gpu in gpus)
        merged["gpu"] = next(filter(None, kinds), merged.get("gpu", ""))
    return merged


def _joined(known: list[dict[str, Any]], told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    uuids = {gpu["uuid"] for gpu in known if gpu.get("uuid")}
    return known + [gpu for gpu in told if not gpu.get("uuid") or gpu["uuid"] not in uuids]


def checked(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer as JSON holds it, without values that it cannot hold.

    Raises:
        ValueError: it is too large, or no mapping.
        TypeError: it holds something that is no JSON.
    """
    size_bytes = len(msgspec.json.encode(answer))
    if size_bytes > MAX_PART_BYTES:
        raise ValueError(f"{size_bytes} bytes of description, more than {MAX_PART_BYTES}")
    plain = msgspec.convert(msgspec.to_builtins(answer), dict[str, Any])
    return cast("dict[str, Any]", _finite(plain))


def _finite(value: object) -> object:
    if isinstance(value, dict):
        known = cast("dict[str, object]", value)
        return {name: _finite(child) for name, child in known.items() if not _is_nothing(child)}
    if isinstance(value, list):
        return [_finite(child) for child in cast("list[object]", value) if not _is_nothing(child)]
    return value


def _is_nothing(value: object) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))
