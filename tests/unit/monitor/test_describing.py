"""Descriptions: who is asked when, what becomes of answers, and what bad ones cost."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from structlog.testing import capture_logs

from trackd_agent.monitor import Monitor, MonitorConfig, Subject
from trackd_agent.monitor.contract import NoDataError, Readings, Registration
from trackd_agent.monitor.describing import MAX_PART_BYTES, Describer, checked, merge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trackd_agent.monitor.subject import Target

ME = Subject("me", 1, disk_paths=("/data",))


@dataclass
class Told:
    """A source and its collector in one; says what a test wants."""

    say: Callable[[], dict[str, Any]]
    name: str = "told"
    news: int = 0
    asked: int = 0

    def collector(self) -> Told:
        return self

    def describe(self) -> dict[str, Any]:
        self.asked += 1
        return self.say()


@dataclass
class PerSubject:
    name: str = "paths"
    news: int = 0

    def collector(self) -> PerSubject:
        return self

    def describe_for(self, subject: Subject) -> dict[str, Any]:
        return {"paths": list(subject.disk_paths)}


@dataclass
class Silent:
    name: str = "silent"
    news: int = 0

    def collector(self) -> object:
        return object()


async def test_all_that_know_something_are_asked_side_by_side_and_the_machine_once() -> None:
    together = threading.Barrier(8, timeout=120)
    slow = [Told(lambda: {"a": together.wait() // 8 + 1}, f"slow{i}") for i in range(8)]
    describer = Describer([*slow, PerSubject(), Silent()], deadline_s=120)
    assert await describer.describe(ME) == {"a": 1, "paths": ["/data"]}
    assert await describer.describe(Subject("other", 2)) == {"a": 1, "paths": ["/"]}
    assert [source.asked for source in slow] == [1] * 8


async def test_many_runs_that_begin_together_ask_once() -> None:
    source = Told(lambda: time.sleep(0.05) or {"a": 1})
    describer = Describer([source])
    async with anyio.create_task_group() as tasks:
        for index in range(64):
            tasks.start_soon(describer.describe, Subject(f"s{index}", index))
    assert source.asked == 1


async def test_who_comes_back_is_asked_again_and_who_has_nothing_each_time() -> None:
    def nothing() -> dict[str, Any]:
        raise NoDataError("no such device")

    absent, known = Told(nothing), Told(lambda: {"a": 1})
    describer = Describer([absent, known])
    for _ in range(3):
        assert await describer.describe(ME) == {"a": 1}
    assert (absent.asked, known.asked) == (3, 1)
    known.news += 1
    known.say = lambda: {"a": 2}
    assert await describer.describe(ME) == {"a": 2}


async def test_who_fails_is_described_by_what_it_said_before_and_who_has_gone_is_not() -> None:
    def fail() -> dict[str, Any]:
        raise OSError("the driver is busy")

    def nothing() -> dict[str, Any]:
        raise NoDataError("no such device any more")

    told = Told(lambda: {"gpu": "H100"})
    describer = Describer([told])
    assert await describer.describe(ME) == {"gpu": "H100"}
    told.news, told.say = told.news + 1, fail
    assert await describer.describe(ME) == {"gpu": "H100"}
    told.say = nothing
    assert await describer.describe(ME) == {}


async def test_a_hanging_one_costs_one_deadline_and_one_thread() -> None:
    release = threading.Event()
    hanging = Told(lambda: {"late": release.wait(240)}, "hanging")
    describer = Describer([hanging, Told(lambda: {"b": 2})], deadline_s=0.1)
    with capture_logs() as logs:
        try:
            while await describer.describe(ME) != {"b": 2}:  # the other one may be late as well
                await anyio.sleep(0.01)
            for _ in range(20):
                assert await describer.describe(ME) == {"b": 2}
        finally:
            release.set()
    assert hanging.asked == 1
    said = [log["event"] for log in logs if "hanging" in log.values()]
    assert said == ["not_described"], logs


@pytest.mark.parametrize(
    "bad",
    [
        {"x": "y" * MAX_PART_BYTES},
        {"x": object()},
        {"x": b"\xff" * 10, 3: object()},
        ["no", "mapping"],
        None,
    ],
)
async def test_a_bad_answer_costs_its_part_and_is_logged_once(bad: Any) -> None:
    describer = Describer([Told(lambda: bad), Told(lambda: {"b": 2})])
    with capture_logs() as logs:
        assert await describer.describe(ME) == {"b": 2}
        assert await describer.describe(ME) == {"b": 2}
    assert len(logs) == 1


def test_values_that_json_cannot_hold_are_left_out() -> None:
    answer = {"a": float("nan"), "b": [1.0, float("inf"), None], "c": {"d": None, "e": 0}}
    assert checked(answer) == {"b": [1.0], "c": {"e": 0}}


def test_gpus_of_two_vendors_add_up_and_one_told_twice_counts_once() -> None:
    nvml = {"gpu": "H100", "gpu_count": 1, "gpu_nvidia": [{"name": "H100", "uuid": "GPU-1"}]}
    dcgm_gpus = [{"name": "H100", "uuid": "GPU-1"}, {"name": "A100", "uuid": "GPU-2"}]
    dcgm = {"gpu": "A100", "gpu_count": 2, "gpu_nvidia": dcgm_gpus}
    amd = {"gpu": "MI300X", "gpu_count": 1, "gpu_amd": [{"series": "MI300X"}]}
    merged = merge([amd, nvml, dcgm])
    assert merged["gpu_nvidia"] == dcgm_gpus
    assert (merged["gpu_count"], merged["gpu"]) == (3, "H100")
    assert merge([amd])["gpu"] == "MI300X"
    assert merge([{"gpu_count": 4, "gpu": "Apple"}]) == {"gpu_count": 4, "gpu": "Apple"}


@dataclass
class Device:
    """A device that comes, goes and changes while a monitor looks."""

    model: str = ""
    is_new: bool = False
    ticks: int = field(default=0)

    def collect(self, targets: Sequence[Target]) -> Readings:
        del targets
        self.ticks += 1
        found = Readings()
        if not self.model:
            raise NoDataError("no device")
        if self.is_new:
            self.is_new = False
            found.describe_again()
        found.now("device", 1.0)
        return found

    def describe(self) -> dict[str, Any]:
        if not self.model:
            raise NoDataError("no device")
        return {"device": self.model}


async def test_followers_hear_of_a_device_that_appears_and_of_one_that_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = Device()
    monkeypatch.setattr("trackd_agent.monitor.describing.REFRESH_S", 0.0)
    told: list[dict[str, Any]] = []
    registration = Registration("device", lambda readers: device)
    async with Monitor(MonitorConfig(), [registration]) as monitor:
        monitor.subscribe(Subject("me", 1, interval_s=0.1), lambda time_s, values: None)
        following = monitor.follow_description(ME, told.append)
        with anyio.fail_after(120):
            for model in ("", "first", "second"):
                device.model, device.is_new = model, model == "second"
                while (told[-1].get("device", "") if told else None) != model:
                    await anyio.sleep(0.01)
        following.cancel()
        device.model, device.is_new = "third", True
        ticks = device.ticks
        with anyio.fail_after(120):
            while device.ticks < ticks + 2:
                await anyio.sleep(0.01)
    assert [one.get("device") for one in told] == [None, "first", "second"]


async def test_a_follower_that_fails_stops_nobody() -> None:
    def refuse(found: dict[str, Any]) -> None:
        raise OSError("disk full")

    samples: list[float] = []
    device = Device("d")
    async with Monitor(MonitorConfig(), [Registration("device", lambda readers: device)]) as m:
        m.follow_description(ME, refuse)
        m.subscribe(Subject("me", 1, interval_s=0.1), lambda time_s, values: samples.append(time_s))
        with anyio.fail_after(120):
            while len(samples) < 2:
                await anyio.sleep(0.01)
