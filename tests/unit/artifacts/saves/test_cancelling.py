"""Saves that are given up at awkward moments: `cancel` says what really becomes of them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import msgspec
import pytest
from tests.fakes.wandb_server import drop_after_apply, fake_server, status
from tests.support.artifact_records import end_of, logged
from tests.support.rank import Rank
from tests.support.runs import running_registry, until
from tests.unit.artifacts.saves.test_save_faults import in_place, to_operation
from tests.unit.artifacts.saves.test_saves import run_dir_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response


@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
async def test_what_is_just_being_committed_is_not_given_up(tmp_path: Path, is_done: bool) -> None:
    given = logged(run_dir_of(tmp_path), {"a": b"1"})
    began, gate = anyio.Event(), anyio.Event()

    async def hold(_request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        response = await answer() if is_done else None
        began.set()
        await gate.wait()
        return response or await answer()

    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        server.faults["graphql"] = to_operation("CommitArtifact", hold)
        rank = Rank(tmp_path)
        await rank.attach(registry)
        rank.add(given)
        rank.send()
        await began.wait()
        assert not await registry.saves.cancel(given.client_id)
        gate.set()
        assert (await end_of(registry, given.client_id)).state == "COMMITTED"
        assert server.artifacts.committed("model")
        await rank.finish()


async def test_a_version_that_is_there_already_is_not_given_up(tmp_path: Path) -> None:
    run_dir = run_dir_of(tmp_path)
    first = logged(run_dir, {"a": b"1"})
    again = logged(run_dir, {"a": b"1"}, use_after_commit=True)
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path)
        await rank.attach(registry)
        rank.add(first)
        rank.send()
        await end_of(registry, first.client_id)
        server.faults["graphql"] = to_operation("UseArtifact", drop_after_apply)
        rank.add(again)
        rank.send()
        await until(lambda: bool(server.artifacts.uses))
        assert not await registry.saves.cancel(again.client_id)
        server.faults.clear()
        assert (await end_of(registry, again.client_id)).state == "COMMITTED"
        await rank.finish()


async def test_before_the_server_has_the_run_it_is_given_up_for_good(tmp_path: Path) -> None:
    run_dir = run_dir_of(tmp_path)
    given = [logged(run_dir, {"n": b"%d" % n}) for n in range(2)]
    async with fake_server() as server:
        server.faults["graphql"] = status(503)
        async with running_registry(tmp_path, server.base_url) as registry:
            rank = Rank(tmp_path)
            await rank.attach(registry)
            rank.add(*given)
            rank.send()
            assert await registry.saves.cancel(given[0].client_id)
            assert (await end_of(registry, given[0].client_id)).state == "CANCELLED"
        server.faults.clear()
        async with running_registry(tmp_path, server.base_url) as registry:
            await rank.attach(registry)
            rank.send()
            ends = [await end_of(registry, each.client_id) for each in given]
            assert [end.state for end in ends] == ["CANCELLED", "COMMITTED"]
            await rank.finish()
            await until(lambda: "r1" in server.complete)
        assert len(server.artifacts.versions) == 1


async def test_an_agent_after_this_one_does_not_go_on_with_it(tmp_path: Path) -> None:
    given = logged(run_dir_of(tmp_path), {"a": b"1"})
    async with fake_server() as server:
        server.faults["put"] = status(503)
        async with running_registry(tmp_path, server.base_url) as registry:
            rank = Rank(tmp_path)
            await rank.attach(registry)
            rank.add(given)
            rank.send()
            await until(lambda: server.requests.get("put", 0) > 0)
            await anyio.to_thread.run_sync(registry.saves.given_up.note, given.client_id)
            # Here the agent dies: it had answered, and cancelled nothing yet.
        server.faults.clear()
        async with running_registry(tmp_path, server.base_url) as registry:
            await rank.attach(registry)
            rank.send()
            assert (await end_of(registry, given.client_id)).state == "CANCELLED"
            assert not server.artifacts.committed("model")
            rank.add(msgspec.structs.replace(given, description="again"))
            rank.send()
            await rank.finish()
            await until(lambda: "r1" in server.complete)
        assert len(server.artifacts.versions) == 1


async def test_what_was_told_as_cancelled_stays_so_whenever_the_agent_dies(tmp_path: Path) -> None:
    given = logged(run_dir_of(tmp_path), {"a": b"1"}, incremental=True)
    async with fake_server() as server:
        server.faults["put"] = status(503)
        async with running_registry(
            tmp_path, server.base_url, checkpoint_interval_s=3600.0
        ) as registry:
            rank = Rank(tmp_path)
            await rank.attach(registry)
            rank.add(given)
            rank.send()
            await until(lambda: server.requests.get("put", 0) > 0)
            assert await registry.saves.cancel(given.client_id)
            assert (await end_of(registry, given.client_id)).state == "CANCELLED"
            # Here the agent dies: no checkpoint has passed the record, which is read again.
        server.faults.clear()
        async with running_registry(tmp_path, server.base_url) as registry:
            await rank.attach(registry)
            await rank.finish()
            await until(lambda: "r1" in server.complete)
            assert (await end_of(registry, given.client_id)).state == "CANCELLED"
        assert not server.artifacts.committed("model")


async def test_a_version_deleted_since_is_not_made_again_when_the_agent_died(
    tmp_path: Path,
) -> None:
    (tmp_path / "own").write_bytes(b"1")
    given = in_place(tmp_path / "own", b"1")
    journal, copy = tmp_path / "agent" / "journal", tmp_path / "copy"
    async with fake_server() as server:
        server.faults["put"] = status(503)
        async with running_registry(tmp_path, server.base_url) as registry:
            rank = Rank(tmp_path)
            await rank.attach(registry)
            rank.add(given)
            rank.send()
            await until(lambda: server.requests.get("put", 0) > 0)
            await anyio.to_thread.run_sync(shutil.copytree, journal, copy)
            server.faults.clear()
            assert (await end_of(registry, given.client_id)).state == "COMMITTED"
        # The agent died right then: its last checkpoint is that of before. The version is deleted.
        await anyio.to_thread.run_sync(shutil.rmtree, journal)
        copy.rename(journal)
        server.artifacts.versions.clear()
        server.artifacts.by_client_id.clear()
        async with running_registry(tmp_path, server.base_url) as registry:
            await rank.attach(registry)
            await rank.finish()
            await until(lambda: "r1" in server.complete)
            assert (await end_of(registry, given.client_id)).state == "COMMITTED"
        assert not server.artifacts.versions


async def test_what_is_given_up_comes_to_no_mirror_either(tmp_path: Path) -> None:
    given = logged(run_dir_of(tmp_path), {"a": b"1"})
    async with fake_server() as server, fake_server() as mirror:
        for each in (server, mirror):
            each.faults["put"] = status(503)
        mirrors = (mirror.base_url,)
        async with running_registry(tmp_path, server.base_url, mirrors=mirrors) as registry:
            await registry.upstreams.credentials.put(mirror.base_url, mirror.api_key)
            rank = Rank(tmp_path)
            await rank.attach(registry)
            rank.add(given)
            rank.send()
            for each in (server, mirror):
                await until(lambda each=each: bool(each.artifacts.versions))
            assert await registry.saves.cancel(given.client_id)
            assert (await end_of(registry, given.client_id)).state == "CANCELLED"
            for each in (server, mirror):
                each.faults.clear()
            await rank.finish()
            await until(lambda: not registry.runs(active_only=True))
        assert not server.artifacts.committed("model") and not mirror.artifacts.committed("model")
