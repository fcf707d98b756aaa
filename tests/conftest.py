"""What every test gets: no task may outlive it, and the event loop may not be blocked in it."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

import hypothesis
import pytest
from blockbuster import blockbuster_ctx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

#: The same examples in every run, however slow the machine is.
hypothesis.settings.register_profile(
    "trackd",
    derandomize=True,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("trackd")
#: Rooms in which every blocking call belongs into a thread. (The journal is no such room: its
#: writes go to the page cache on the event loop, by design.)
NEVER_BLOCKING = [
    "trackd_agent.artifacts",
    "trackd_agent.filestream",
    "trackd_agent.monitor",
    "trackd_agent.transfer",
    "trackd_agent.upstream",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the fixtures below to each test that is a coroutine, and the second to unit tests."""
    for item in items:
        if not isinstance(item, pytest.Function) or not inspect.iscoroutinefunction(item.obj):
            continue
        item.fixturenames.append("no_leaked_tasks")
        if "unit" in item.path.parts or "contract" in item.path.parts:
            item.fixturenames.append("no_blocking_calls")


@pytest.fixture
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail the test if a task that it started is still there at its end."""
    before = asyncio.all_tasks()
    yield
    leaked = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
    assert not leaked, f"tasks left behind: {sorted(task.get_name() for task in leaked)}"


@pytest.fixture
def no_blocking_calls() -> Iterator[None]:
    """Fail the test if a room that must not block calls something blocking on the event loop."""
    with blockbuster_ctx(scanned_modules=NEVER_BLOCKING) as blocking:
        for function in blocking.functions.values():  # the source lines of a logged traceback
            function.can_block_in("structlog/_base.py", ("_proxy_to_logger",))
            # A collection in the middle may find gRPC objects of an earlier test; freeing the last
            # one joins gRPC's poller thread.
            function.can_block_in("threading.py", ("_wait_for_tstate_lock",))
            # A sample goes into the journal: a write to the page cache, by design.
            function.can_block_in(
                "trackd_agent/runs/monitored.py",
                ("take_sample", "take_events", "take_description", "settle"),
            )
        yield
