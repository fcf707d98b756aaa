"""Requests whose tasks are cancelled, as at the end of the server: books and disk agree."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest
from tests.unit.server.serving import UPSERT
from tests.unit.server.storage.place import held_writer, opened, pieces

from trackd_server.api.app import build_app
from trackd_server.app.config import ServerConfig
from trackd_server.app.lifecycle import open_services
from trackd_server.domain import threads
from trackd_server.domain.usage import fsck

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from trackd_server.api.context import Services


@asynccontextmanager
async def served(folder: Path) -> AsyncGenerator[tuple[Services, httpx.AsyncClient]]:
    services = open_services(ServerConfig(folder))
    key = ServerConfig(folder).api_key.read_text().strip()
    transport = httpx.ASGITransport(build_app(services))
    try:
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", auth=("api", key)
        ) as client:
            yield services, client
    finally:
        services.database.close()


@pytest.mark.parametrize("size", [5_000, 5_000_000])
async def test_a_run_file_is_handed_over_while_its_request_is_cancelled(
    tmp_path: Path, size: int
) -> None:
    async with served(tmp_path) as (services, client):
        run = {"input": {"name": "r", "modelName": "p", "entityName": "local"}}
        body = {"query": UPSERT, "variables": run, "operationName": ""}
        assert "errors" not in (await client.post("/graphql", json=body)).json()
        services.storage.doomed.new_key()  # reserves the key that the upload takes
        data = os.urandom(size)
        async with asyncio.TaskGroup() as tasks:
            with held_writer(services.database) as is_wanted:
                task = tasks.create_task(client.put("/files/local/p/r/f.bin", content=data))
                assert await asyncio.to_thread(is_wanted.wait, 40)  # a thread is at its transaction
                task.cancel()
                await asyncio.sleep(0.1)
                assert not task.done()
        assert task.cancelled()
        report = fsck.check(services.storage)
        assert report.ok, report
        assert (await client.get("/files/local/p/r/f.bin")).content == data


async def test_a_run_file_that_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    dice = random.Random(2)
    with opened(tmp_path) as storage:
        for size in [1_000] * 20 + [3_000_000] * 20:
            key = storage.doomed.new_key()
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(storage.write(key, pieces(dice.randbytes(size))))
                await asyncio.sleep(dice.uniform(0, 0.01))
                writing.cancel()
            storage.doomed.delete([key])
            assert not [*storage.blobs.listing()]


async def test_who_is_cancelled_waits_for_the_end_of_the_call() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(40)
        ended.set()

    async def caller() -> None:
        try:
            await threads.call(work)
        finally:
            assert ended.is_set()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(caller())
        while not begun.is_set():
            await asyncio.sleep(0.001)
        for _ in range(3):  # however often
            task.cancel()
            await asyncio.sleep(0.02)
            assert not task.done()
        may_end.set()
    assert task.cancelled()


async def test_a_call_that_has_not_begun_never_does() -> None:
    did: list[int] = []
    limiter, begun, may_end = anyio.CapacityLimiter(1), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(40)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(threads.call(work, limiter=limiter))
        assert await asyncio.to_thread(begun.wait, 40)
        second = tasks.create_task(threads.call(did.append, 1, limiter=limiter))
        await asyncio.sleep(0.02)
        second.cancel()
        await asyncio.wait([second])
        may_end.set()
    assert second.cancelled() and not did


async def test_who_is_cancelled_cleans_up_all_the_same() -> None:
    begun, may_end = threading.Event(), threading.Event()
    done: list[bool] = []

    def work() -> None:
        begun.set()
        may_end.wait(40)
        done.append(True)

    async def caller() -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            raise ZeroDivisionError
        finally:
            task.cancel()  # so that it is cancelled before the call begins, and again while it runs
            await threads.clean_up(work)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(caller())
        while not begun.is_set():
            await asyncio.sleep(0.001)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0.02)
            assert not task.done()
        may_end.set()
    assert task.cancelled() and done == [True]


async def test_errors_of_cleaning_up_arrive() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await threads.clean_up(fail)

    async def cancelled() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await threads.clean_up(fail)

    with pytest.RaisesGroup(ZeroDivisionError):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(cancelled())


async def test_errors_of_calls_arrive() -> None:
    with pytest.raises(ZeroDivisionError):
        await threads.call(divmod, 1, 0)
    assert await threads.call(divmod, 7, 2) == (3, 1)
