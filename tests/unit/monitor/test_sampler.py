from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from structlog.testing import capture_logs

from trackd_agent.monitor import Monitor, MonitorConfig, Subject
from trackd_agent.monitor.contract import (
    Event,
    NobodyAsksError,
    NoDataError,
    Readings,
    Registration,
)
from trackd_agent.monitor.readers import Readers
from trackd_agent.monitor.runner import CollectorRunner
from trackd_agent.monitor.subject import MIN_INTERVAL_S, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Values = dict[str, float]
#: Nobody is late, however slow the machine is.
PATIENT = MonitorConfig(deadline_s=120)
READERS = Readers.of(MonitorConfig())


class Scripted:
    """A collector that counts its ticks and does what it is told."""

    def __init__(self, act: Callable[[int, Readings], None]) -> None:
        self.act = act
        self.seen: list[list[str]] = []

    def collect(self, targets: Sequence[Target]) -> Readings:
        self.seen.append([target.key for target in targets])
        found = Readings()
        self.act(len(self.seen), found)
        return found

    def registration(self, name: str) -> Registration:
        def make(readers: Readers) -> Scripted:
            del readers
            return self

        return Registration(name, make)


def counting(name: str = "count") -> Scripted:
    return Scripted(lambda tick, found: found.since_first(name, tick))


class Inbox:
    """Takes the samples of several subjects."""

    def __init__(self) -> None:
        self.samples: dict[str, list[Values]] = defaultdict(list)
        self._arrived = anyio.Event()

    def sink(self, key: str) -> Callable[[float, Values], None]:
        def take(time_s: float, values: Values) -> None:
            assert time_s > 1.7e9
            self.samples[key].append(values)
            self._arrived.set()

        return take

    async def wait(self, key: str, count: int) -> list[Values]:
        with anyio.fail_after(120):
            while len(self.samples[key]) < count:
                self._arrived = anyio.Event()
                await self._arrived.wait()
        return self.samples[key]


def subject(key: str, interval_s: float = 0.1) -> Subject:
    return Subject(key, os.getpid(), interval_s)


async def test_the_first_sample_comes_at_once_and_later_ones_by_interval() -> None:
    inbox = Inbox()
    async with Monitor(PATIENT, [counting().registration("a")]) as monitor:
        monitor.subscribe(subject("slow", 3600), inbox.sink("slow"))
        monitor.subscribe(subject("fast", 0.1), inbox.sink("fast"))
        samples = await inbox.wait("fast", 4)
    assert [sample["count"] for sample in samples] == [0, 1, 2, 3]
    assert len(inbox.samples["slow"]) == 1


async def test_subjects_that_joined_at_different_times_share_each_later_tick() -> None:
    scripted, inbox = counting(), Inbox()
    async with Monitor(PATIENT, [scripted.registration("a")]) as monitor:
        for name in "abcd":
            monitor.subscribe(subject(name, 0.2), inbox.sink(name))
            await anyio.sleep(0.013)
        await inbox.wait("d", 4)
    shared = [keys for keys in scripted.seen if len(keys) > 1]
    assert shared
    assert all(sorted(keys) == list("abcd") for keys in scripted.seen[-2:])


async def test_a_broken_collector_is_counted_and_stops_nobody() -> None:
    def fail(tick: int, found: Readings) -> None:
        raise RuntimeError(f"no such register {tick}")

    inbox, broken = Inbox(), Scripted(fail)
    registrations = [broken.registration("broken"), counting().registration("good")]
    with capture_logs() as logs:
        async with Monitor(PATIENT, registrations) as monitor:
            monitor.subscribe(subject("a"), inbox.sink("a"))
            await inbox.wait("a", 3)
            states = {state.name: state for state in monitor.status()}
    assert states["broken"].failures >= 3
    assert not states["broken"].success
    assert states["broken"].reason.startswith("RuntimeError: no such register")
    assert states["good"].failures == 0
    assert states["good"].success
    assert [log["event"] for log in logs] == ["collector_failed"]


async def test_a_collector_that_cannot_be_made_is_a_broken_one() -> None:
    def make(readers: Readers) -> Scripted:
        raise OSError("library is missing a symbol")

    inbox = Inbox()
    registrations = [Registration("x", make), counting().registration("good")]
    async with Monitor(PATIENT, registrations) as monitor:
        monitor.subscribe(subject("a"), inbox.sink("a"))
        await inbox.wait("a", 2)
        assert monitor.status()[0].failures >= 1


async def test_missing_hardware_is_said_once_at_debug_level_and_is_no_failure() -> None:
    def nothing(tick: int, found: Readings) -> None:
        raise NoDataError("no such device")

    inbox = Inbox()
    registrations = [Scripted(nothing).registration("gpu"), counting().registration("good")]
    with capture_logs() as logs:
        async with Monitor(PATIENT, registrations) as monitor:
            monitor.subscribe(subject("a"), inbox.sink("a"))
            await inbox.wait("a", 3)
            state = monitor.status()[0]
    assert (state.no_data, state.success, state.failures) == (True, True, 0)
    assert [(log["event"], log["log_level"]) for log in logs] == [("collector_no_data", "debug")]


async def test_a_hanging_collector_costs_one_deadline_and_one_thread() -> None:
    release = threading.Event()

    def hang(tick: int, found: Readings) -> None:
        release.wait(240)

    hanging = Scripted(hang)
    inbox = Inbox()
    registrations = [hanging.registration("nfs"), counting().registration("good")]
    try:
        async with Monitor(MonitorConfig(deadline_s=0.2), registrations) as monitor:
            monitor.subscribe(subject("a"), inbox.sink("a"))
            await inbox.wait("a", 4)
            state = monitor.status()[0]
            assert len(hanging.seen) == 1
            assert state.timeouts >= 3
            assert state.reason == "the previous tick has not come back"
            release.set()
            with anyio.fail_after(120):
                while not monitor.status()[0].success:
                    await anyio.sleep(0.02)
    finally:
        release.set()


async def test_a_tick_that_was_given_up_before_its_thread_began_stops_no_later_one() -> None:
    runner = CollectorRunner(counting().registration("a"), READERS, anyio.CapacityLimiter(1))
    assert (await runner.tick([], deadline_s=0.0)).shared == []
    assert runner.state.timeouts == 1
    assert (await runner.tick([], deadline_s=120)).shared
    assert runner.state.word == "ok"


async def test_no_thread_to_spare_costs_one_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    inbox = Inbox()
    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr("anyio._backends._asyncio.WorkerThread.start", refuse)
        async with Monitor(PATIENT, [counting().registration("a")]) as monitor:
            monitor.subscribe(subject("a"), inbox.sink("a"))
            with anyio.fail_after(120):
                while not logs:
                    await anyio.sleep(0.01)
            patched.undo()
            assert await inbox.wait("a", 2)
    assert {log["event"] for log in logs} <= {"tick_failed", "collector_failed"}


async def test_events_that_nobody_can_take_at_once_are_bounded_and_counted() -> None:
    def happen(tick: int, found: Readings) -> None:
        for number in range(300):
            found.event("xid", f"Xid {number}", "gpu.0.xid", number)

    runner = CollectorRunner(Scripted(happen).registration("a"), READERS, anyio.CapacityLimiter(1))
    told = await runner.tick([], deadline_s=120)
    assert [event.value for _, event in told.events] == list(range(256))
    assert runner.state.dropped_events == 44
    assert runner.state.problems == ("more than 256 events at once: the others are dropped",)


class OnlyFor:
    """A collector that reads for one subject, and fails or has problems as it is told."""

    def __init__(self, key: str, problems: list[str], *, broken: bool = False) -> None:
        self.key, self.problems, self.broken = key, problems, broken

    def collect(self, targets: Sequence[Target]) -> Readings:
        if self.key not in [target.key for target in targets]:
            raise NobodyAsksError("nobody asks")
        if self.broken:
            raise OSError("no route")
        return Readings(problems=self.problems)


@pytest.mark.parametrize("broken", [True, False])
async def test_who_asks_for_less_hides_nothing_of_what_fails_for_a_run(broken: bool) -> None:
    only = OnlyFor("run", ["endpoint gone"], broken=broken)
    registration = Registration("a", lambda readers: only)
    runner = CollectorRunner(registration, READERS, anyio.CapacityLimiter(1))
    run, look = (Target(subject(key), None, None, 1.0) for key in ("run", "look"))
    await runner.tick([look], 5.0)
    assert (runner.state.word, runner.state.reason) == ("no_data", "nobody asks")
    for targets in ([run, look], [look], [look]):
        await runner.tick(targets, 5.0)
        assert runner.state.word == ("failing" if broken else "ok")
        assert runner.state.problems == (() if broken else ("endpoint gone",))
    runner.forget(run.subject)
    await runner.tick([look], 5.0)
    assert (runner.state.word, runner.state.problems) == ("no_data", ())


async def test_what_cannot_be_read_for_one_run_is_shown_until_its_next_reading() -> None:
    texts = iter([["/nowhere cannot be read"], [], []])
    scripted = Scripted(lambda _, found: found.problems.extend(next(texts)))
    runner = CollectorRunner(scripted.registration("a"), READERS, anyio.CapacityLimiter(1))
    seldom, often = (Target(subject(key), None, None, 1.0) for key in ("seldom", "often"))
    seen: list[tuple[str, ...]] = []
    for target in (seldom, often, seldom):
        await runner.tick([target], 5.0)
        seen.append(runner.state.problems)
    assert seen == [("/nowhere cannot be read",), ("/nowhere cannot be read",), ()]


async def test_what_a_late_thread_kept_for_a_subject_that_went_is_forgotten_at_the_next_tick() -> (
    None
):
    release, kept = threading.Event(), set[str]()

    class Keeping(Scripted):
        def collect(self, targets: Sequence[Target]) -> Readings:
            release.wait(240)
            kept.update(target.key for target in targets)
            return Readings()

        def forget(self, subject: Subject) -> None:
            kept.discard(subject.key)

    keeping = Keeping(lambda tick, found: None)
    runner = CollectorRunner(keeping.registration("a"), READERS, anyio.CapacityLimiter(1))
    gone = Target(subject("gone"), None, None, 1.0)
    await runner.tick([gone], deadline_s=0.05)
    runner.forget(gone.subject)
    release.set()
    with anyio.fail_after(120):
        while not kept:
            await anyio.sleep(0.01)
    await runner.tick([], deadline_s=120)
    assert kept == set()


async def test_a_time_limit_of_the_collector_itself_is_no_missed_deadline() -> None:
    def give_up(tick: int, found: Readings) -> None:
        raise TimeoutError("the device did not answer")

    runner = CollectorRunner(Scripted(give_up).registration("a"), READERS, anyio.CapacityLimiter(1))
    await runner.tick([], deadline_s=120)
    assert (runner.state.failures, runner.state.timeouts) == (1, 0)
    assert runner.state.reason == "TimeoutError: the device did not answer"


async def test_a_collector_that_is_slow_each_time_costs_the_deadline_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_end = threading.Event()

    def dawdle(tick: int, found: Readings) -> None:
        began_s = time.monotonic()
        may_end.wait(240)
        while time.monotonic() - began_s < least_s[0]:
            time.sleep(0.01)
        found.now("a", tick)

    least_s = [0.5]
    waits: list[float] = []
    wait = anyio.move_on_after

    def noted(delay_s: float) -> anyio.CancelScope:
        waits.append(delay_s)
        return wait(delay_s)

    monkeypatch.setattr("trackd_agent.monitor.runner.anyio.move_on_after", noted)
    runner: Any = CollectorRunner(
        Scripted(dawdle).registration("a"), READERS, anyio.CapacityLimiter(1)
    )
    for _ in range(2):  # a tick is late, and so is the next one that finds the thread free
        may_end.clear()
        assert not (await runner.tick([], deadline_s=0.4)).shared
        assert runner.state.reason == "no answer within 0.4 s"
        may_end.set()
        while runner._collecting.locked():
            await anyio.sleep(0.001)
    assert waits == [0.4, 0.2]
    least_s[0] = 0.0
    with anyio.fail_after(120):
        while not (await runner.tick([], deadline_s=100.0)).shared:
            await anyio.sleep(0.01)
    assert (await runner.tick([], deadline_s=100.0)).shared
    assert waits[-1] == 100.0  # it is quick: it is waited for again


async def test_what_happened_is_told_even_if_the_tick_that_found_it_came_too_late() -> None:
    release = threading.Event()

    def hang(tick: int, found: Readings) -> None:
        if tick == 1:
            release.wait(240)
            found.event("lost", "GPU 0 is lost", "gpu.0.lost", 1)

    inbox, told = Inbox(), list[str]()
    registrations = [Scripted(hang).registration("gpu"), counting().registration("good")]
    async with Monitor(MonitorConfig(deadline_s=0.1), registrations) as monitor:
        monitor.subscribe(
            subject("a"),
            inbox.sink("a"),
            lambda time_s, events: told.extend(event.text for event in events),
        )
        await inbox.wait("a", 3)
        assert told == []
        release.set()
        with anyio.fail_after(120):
            while not told:
                await anyio.sleep(0.02)
        await inbox.wait("a", len(inbox.samples["a"]) + 2)
    assert told == ["GPU 0 is lost"]


async def test_a_subscriber_that_fails_does_not_stop_the_others() -> None:
    def refuse(time_s: float, values: Values) -> None:
        raise OSError("no space left on device")

    inbox = Inbox()
    async with Monitor(PATIENT, [counting().registration("a")]) as monitor:
        monitor.subscribe(subject("full"), refuse)
        monitor.subscribe(subject("a"), inbox.sink("a"))
        assert len(await inbox.wait("a", 3)) >= 3


async def test_a_subject_that_cannot_be_looked_up_still_gets_what_concerns_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreadable(readers: Readers, subject: Subject) -> Target:
        raise ValueError(f"nonsense in /proc/{subject.pid}")

    monkeypatch.setattr("trackd_agent.monitor.readers.Readers.target", unreadable)
    inbox = Inbox()
    with capture_logs() as logs:
        async with Monitor(PATIENT, [counting().registration("count")]) as monitor:
            monitor.subscribe(subject("a"), inbox.sink("a"))
            assert await inbox.wait("a", 2)
    assert [log["event"] for log in logs] == ["subject_not_read"]


async def test_nothing_arrives_after_cancelling_and_again_is_harmless() -> None:
    scripted, inbox = counting(), Inbox()
    async with Monitor(PATIENT, [scripted.registration("a")]) as monitor:
        subscription = monitor.subscribe(subject("a"), inbox.sink("a"))
        monitor.subscribe(subject("b"), inbox.sink("b"))
        await inbox.wait("a", 1)
        subscription.cancel()
        subscription.cancel()
        before = len(inbox.samples["a"])
        await inbox.wait("b", 3)
    assert len(inbox.samples["a"]) == before
    assert scripted.seen[-1] == ["b"]


async def test_without_subscribers_nothing_is_read() -> None:
    scripted = counting()
    async with Monitor(PATIENT, [scripted.registration("a")]):
        await anyio.sleep(0.3)
    assert scripted.seen == []


async def test_a_monitor_that_is_switched_off_accepts_subscribers_and_reads_nothing() -> None:
    inbox = Inbox()
    async with Monitor(MonitorConfig(enabled=False)) as monitor:
        monitor.subscribe(subject("a"), inbox.sink("a")).cancel()
        await anyio.sleep(0.15)
        assert not any(state.is_on for state in monitor.status())
    assert not inbox.samples["a"]


@pytest.mark.parametrize("interval_s", [0.0, -1.0, 0.001, float("nan")])
async def test_a_foolish_interval_is_stretched_to_the_minimum(interval_s: float) -> None:
    scripted, inbox = counting(), Inbox()
    async with Monitor(PATIENT, [scripted.registration("a")]) as monitor:
        began_s = time.monotonic()
        monitor.subscribe(subject("a", interval_s), inbox.sink("a"))
        await inbox.wait("a", 4)
        most = (time.monotonic() - began_s) / MIN_INTERVAL_S + 2
    assert len(scripted.seen) <= most


async def test_an_endless_interval_gives_one_sample() -> None:
    inbox = Inbox()
    async with Monitor(PATIENT, [counting().registration("a")]) as monitor:
        monitor.subscribe(subject("a", float("inf")), inbox.sink("a"))
        monitor.subscribe(subject("b"), inbox.sink("b"))
        await inbox.wait("b", 3)
    assert len(inbox.samples["a"]) == 1


async def test_this_machine_gives_the_documented_keys() -> None:
    inbox = Inbox()
    async with Monitor(PATIENT) as monitor:
        monitor.subscribe(Subject("a", os.getpid(), 0.1, ("/", "/not/there")), inbox.sink("a"))
        first, second, *_ = await inbox.wait("a", 2)
    assert "cpu" not in first
    always = {
        "cpu",
        "proc.cpu.threads",
        "disk./.usagePercent",
        "disk./.usageGB",
        "proc.memory.rssMB",
        "proc.memory.percent",
        "memory_percent",
        "proc.memory.availableMB",
    }
    assert always <= second.keys()
    assert not any("/not/there" in key for key in second)
    assert 5 < second["proc.memory.rssMB"] < 2000
    assert 0 < second["memory_percent"] < 150
    assert second["proc.cpu.threads"] >= 1


async def test_the_keys_of_a_process_that_ended_vanish_and_the_others_stay() -> None:
    inbox = Inbox()
    async with Monitor(PATIENT) as monitor:
        monitor.subscribe(Subject("a", 2**22 - 1, 0.1, ("/",)), inbox.sink("a"))
        (sample,) = (await inbox.wait("a", 1))[:1]
    assert "memory_percent" in sample
    assert not any(key == "cpu" or key.startswith("proc.cpu") for key in sample)


async def test_what_happens_reaches_everybody_at_once_and_what_concerns_one_only_that() -> None:
    def happen(tick: int, found: Readings) -> None:
        found.now("a", 1)
        if tick == 3:
            found.event("xid", "GPU 0 reports Xid 79.", "gpu.0.xid", 79)
            found.events.append(("fast", Event("oom_kill", "killed", "proc.memory.oomKills", 1)))

    inbox, heard = Inbox(), defaultdict[str, list[str]](list)

    def hear(key: str) -> Callable[[float, list[Event]], None]:
        return lambda time_s, events: heard[key].extend(event.name for event in events)

    def refuse(time_s: float, events: list[Event]) -> None:
        raise OSError("no space left")

    async with Monitor(PATIENT, [Scripted(happen).registration("a")]) as monitor:
        monitor.subscribe(subject("full", 3600), inbox.sink("full"), refuse)
        monitor.subscribe(subject("slow", 3600), inbox.sink("slow"), hear("slow"))
        monitor.subscribe(subject("deaf", 3600), inbox.sink("deaf"))
        monitor.subscribe(subject("fast", 0.1), inbox.sink("fast"), hear("fast"))
        await inbox.wait("fast", 5)
    assert heard == {"slow": ["xid"], "fast": ["xid", "oom_kill"]}
