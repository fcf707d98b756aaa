"""Looking at the node from outside of runs."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import anyio

from trackd_agent.monitor import Lookout, Monitor, MonitorConfig, Subject
from trackd_agent.monitor.contract import Readings, Registration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd_agent.monitor.readers import Readers
    from trackd_agent.monitor.subject import Target


class Device:
    """A collector with a temperature, a counter, an event a tick and a process key."""

    def __init__(self) -> None:
        self.ticks = 0

    def collect(self, targets: Sequence[Target]) -> Readings:
        self.ticks += 1
        found = Readings()
        found.now("gpu.0.temp", 40 + self.ticks)
        found.since_first("network.sent", 1000 + self.ticks)
        for target in targets:
            found.now("proc.memory.rssMB", target.subject.pid, target)
        found.event("xid", "GPU 0 reports Xid 79.", "gpu.0.xid", 79)
        return found

    def registration(self) -> Registration:
        def make(readers: Readers) -> Device:
            del readers
            return self

        return Registration("device", make)


def ignore(time_s: float, values: dict[str, float]) -> None:
    del time_s, values


async def test_a_look_reads_node_and_ranks_in_one_reading() -> None:
    device = Device()
    async with Monitor(MonitorConfig(), [device.registration()]) as monitor:
        lookout = Lookout(monitor, 2.0)
        ended = monitor.subscribe(Subject("rank-a", 11, 3600), ignore)
        monitor.subscribe(Subject("rank-b", 12, 3600), ignore)
        first = await lookout.look()
        ticks = device.ticks
        ended.cancel()
        second = await lookout.look()
    assert first.node == {
        "gpu.0.temp": 40 + ticks,
        "network.sent": 0,
        "proc.memory.rssMB": os.getpid(),
    }
    assert first.ranks == {
        "rank-a": {"proc.memory.rssMB": 11},
        "rank-b": {"proc.memory.rssMB": 12},
    }
    assert first.pids == {"rank-a": 11, "rank-b": 12}
    assert abs(first.time_s - time.time()) < 60
    assert device.ticks == ticks + 1, "one reading for all"
    assert second.node["network.sent"] == 1
    assert set(second.ranks) == {"rank-b"}
    assert [event.name for _, event in second.events] == ["xid"] * len(second.events)
    assert len(second.events) >= 1
    assert second.event_counts == {"gpu.0.xid": len(second.events)}


async def test_who_looks_again_at_once_gets_the_same_view() -> None:
    device = Device()
    async with Monitor(MonitorConfig(), [device.registration()]) as monitor:
        lookout = Lookout(monitor, 2.0)
        views = [await lookout.look(), await lookout.look(max_age_s=60)]
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(lookout.look, 60)
    assert views[0] is views[1]
    assert device.ticks == 1


async def test_nobody_looks_and_nothing_is_read() -> None:
    device = Device()
    async with Monitor(MonitorConfig(), [device.registration()]) as monitor:
        await Lookout(monitor, 2.0).look()
        await anyio.sleep(0.4)
    assert device.ticks == 1


async def test_without_collectors_a_look_is_empty_and_short() -> None:
    for config in (MonitorConfig(enabled=False), MonitorConfig(collectors={"device": False})):
        async with Monitor(config, [Device().registration()]) as monitor:
            began = time.monotonic()
            view = await Lookout(monitor, 240.0).look()
            assert not view.node and not view.ranks
            assert time.monotonic() - began < 200
            assert [state.word for state in monitor.status()] == ["off"]


async def test_the_real_collectors_say_what_this_process_does() -> None:
    async with Monitor(MonitorConfig()) as monitor:
        lookout = Lookout(monitor, 5.0)
        first = await lookout.look()
        sum(range(3_000_000))
        second = await lookout.look()
        while "cpu" not in second.node:  # it was late
            second = await lookout.look()
    assert "cpu" not in first.node and 0 < second.node["cpu"] < 100 * (os.cpu_count() or 1)
    assert second.node["proc.memory.rssMB"] * 2**20 < sys.maxsize
    assert 0 < second.node["memory_percent"] < 100
