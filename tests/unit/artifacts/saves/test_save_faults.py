"""What goes wrong on the way: files, servers, deaths. Never half a version, never a second one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest
from starlette.responses import JSONResponse
from tests.fakes.wandb_server import (
    Fault,
    drop,
    drop_after_apply,
    fake_server,
    for_the_first,
    status,
)
from tests.support.artifact_records import end_of, logged, md5_of, record
from tests.support.rank import Rank
from tests.support.runs import running_registry, until
from tests.unit.artifacts.saves.test_saves import FILES, chunked, run_dir_of, save

from trackd_agent.artifacts.config import ArtifactsConfig
from trackd_agent.artifacts.saves import SaveNotes, SaveOrder
from trackd_agent.artifacts.saves.failures import SaveFailed
from trackd_agent.runs.context import RoomConfigs
from trackd_agent.upstream import UpstreamConfig
from trackd_proto.records import ArtifactEntry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

CHUNKS = pytest.mark.parametrize("chunks", [False, True], ids=["files", "chunks"])


def to_operation(name: str, fault: Fault) -> Fault:
    """Return a fault of one GraphQL operation."""

    async def narrow(request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        is_it = (await request.json())["operationName"] == name
        return await (fault(request, answer) if is_it else answer())

    return narrow


def in_place(path: Path, data: bytes, **more: Any) -> Any:
    """Return a record of a file that nobody copied."""
    path.write_bytes(data)
    entry = ArtifactEntry("f", md5_of(data), len(data), local_path=str(path))
    return record([entry], **more)


@CHUNKS
@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_a_file_that_changed_fails_its_artifact_and_stays(
    tmp_path: Path, chunks: bool, size: int
) -> None:
    path = tmp_path / "mine"
    given = in_place(path, b"a" * size)
    path.write_bytes(b"b" * size)
    async with fake_server() as server:
        (end,) = await save(tmp_path, chunked(server) if chunks else server, given)
        assert (end.state, end.error_code) == ("FAILED", "FILE_CHANGED")
        assert str(path) in end.error
        assert "policy='mutable'" in end.error
        assert not server.artifacts.committed("model")
        assert not server.artifacts.files
    assert path.read_bytes() == b"b" * size


async def test_what_the_server_has_is_not_read_again_though_it_changed(tmp_path: Path) -> None:
    copied = logged(run_dir_of(tmp_path), {"f": b"a" * 10}, "other")
    given = in_place(tmp_path / "mine", b"a" * 10)
    (tmp_path / "mine").write_bytes(b"b" * 10)
    async with fake_server() as server:
        (first,) = await save(tmp_path, chunked(server), copied)
        (end,) = await save(tmp_path, server, given)
        assert (first.state, end.state) == ("COMMITTED", "COMMITTED")
        (version,) = server.artifacts.committed("model")
        assert server.artifacts.content(version, "f") == b"a" * 10


@pytest.mark.parametrize("how", ["gone", "shorter", "fifo", "folder"])
async def test_a_file_that_is_no_file_any_more_fails_its_artifact(tmp_path: Path, how: str) -> None:
    path = tmp_path / "mine"
    given = in_place(path, b"a" * 100_000)
    path.unlink()
    if how == "shorter":
        path.write_bytes(b"a")
    elif how == "fifo":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()
    async with fake_server() as server:
        is_chunked = how in ("shorter", "folder")
        (end,) = await save(tmp_path, chunked(server) if is_chunked else server, given)
        assert end.state == "FAILED"
        assert end.error_code == ("FILE_CHANGED" if how == "shorter" else "FILE_UNREADABLE")
        assert not server.artifacts.committed("model")


async def test_one_artifact_that_fails_holds_no_other_up(tmp_path: Path) -> None:
    run_dir = run_dir_of(tmp_path)
    lost = in_place(tmp_path / "mine", b"a")
    (tmp_path / "mine").unlink()
    async with fake_server() as server:
        ends = await save(tmp_path, server, lost, logged(run_dir, FILES))
        assert [end.state for end in ends] == ["FAILED", "COMMITTED"]
        assert len(server.artifacts.committed("model")) == 1
        assert server.complete == {"r1": 0}


async def test_addresses_that_expired_are_asked_for_again(tmp_path: Path) -> None:
    given = logged(run_dir_of(tmp_path), FILES)

    async def expire(request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        server.artifacts.expired = max(server.artifacts.expired, 2)
        return await answer()

    async with fake_server() as server:
        server.faults["put"] = expire
        (end,) = await save(tmp_path, server, given)
        assert end.state == "COMMITTED"
        assert server.artifacts.calls.count("CreateArtifactFiles") == 3  # two files again


async def somebody_else(_request: Request, _answer: Callable[[], Awaitable[Response]]) -> Response:
    """Answer as the page does on which one signs in to a network."""
    return JSONResponse({"sign": "in"})


@pytest.mark.parametrize(
    ("chunks", "fault", "kind"),
    [
        pytest.param(False, status(503), "graphql", id="503-graphql"),
        pytest.param(False, drop_after_apply, "graphql", id="drop_after_apply-graphql"),
        pytest.param(False, status(429), "bytes", id="429-files"),
        pytest.param(False, drop, "bytes", id="drop-files"),
        pytest.param(True, status(503), "bytes", id="503-chunks"),
        pytest.param(True, drop_after_apply, "bytes", id="drop_after_apply-chunks"),
        pytest.param(True, somebody_else, "bytes", id="somebody_else-chunks"),
        pytest.param(False, status(400), "bytes", id="400-files"),
        pytest.param(True, status(400), "bytes", id="400-chunks"),
    ],
)
async def test_what_passes_is_waited_for(
    tmp_path: Path, chunks: bool, fault: Fault, kind: str
) -> None:
    given = logged(run_dir_of(tmp_path), FILES)
    async with fake_server() as server:
        fading = for_the_first(3, fault)
        if kind == "graphql":
            server.faults["graphql"] = to_operation("CommitArtifact", fading)
        else:
            server.faults |= {"chunks": fading} if chunks else {"put": fading}
        (end,) = await save(tmp_path, chunked(server) if chunks else server, given)
        assert (end.state, end.error) == ("COMMITTED", "")
        assert len(server.artifacts.versions) == 1


def answering(value: dict[str, Any], code: int = 200) -> Fault:
    """Return a fault that answers with this."""

    async def fault(_request: Request, _answer: Callable[[], Awaitable[Response]]) -> Response:
        return JSONResponse(value, code)

    return fault


REFUSAL = {"errors": [{"message": "type is model, not dataset"}]}
#: An operation, its fault, and what the save ends with.
REFUSED: list[tuple[str, Fault, str]] = [
    ("CreateArtifact", answering(REFUSAL, 400), "REFUSED"),
    ("CreateArtifact", answering(REFUSAL, 403), "REFUSED"),
    ("CommitArtifact", answering(REFUSAL, 409), "REFUSED"),
]
#: What a server must not answer, by operation and member.
NOTHING: list[tuple[str, str, Any]] = [
    ("CreateArtifact", "createArtifact", None),
    ("CreateArtifact", "createArtifact", {"artifact": None}),
    ("CreateArtifactFiles", "createArtifactFiles", None),
    ("CreateArtifactFiles", "createArtifactFiles", {"files": {"edges": []}}),
    ("CreateArtifactManifest", "createArtifactManifest", None),
    ("CreateArtifactManifest", "createArtifactManifest", {"artifactManifest": None}),
]
WRONG = REFUSED + [
    (name, answering({"data": {member: value}}), "UNEXPECTED_ANSWER")
    for name, member, value in NOTHING
]


async def test_refusals_and_wrong_answers_end_a_save_with_a_word(tmp_path: Path) -> None:
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path)
        await rank.attach(registry)
        for number, (operation, fault, code) in enumerate(WRONG):
            server.faults["graphql"] = to_operation(operation, fault)
            given = logged(run_dir_of(tmp_path), {"n": b"%d" % number})
            rank.add(given)
            rank.send()
            end = await end_of(registry, given.client_id)
            assert (end.state, end.error_code) == ("FAILED", code), operation
            assert "'model'" in end.error
            assert (code != "REFUSED") or "type is model, not dataset" in end.error
        assert not server.artifacts.committed("model")
        server.faults.clear()
        await rank.finish()
        await until(lambda: "r1" in server.complete)
        assert rank.writer is not None
        assert rank.writer.pumps.dropped["artifact_failed"] == len(WRONG)
        assert sum("type is model" in notice.text for notice in rank.writer.notices) == 3


async def test_a_save_is_cancelled_before_and_while_it_goes_on(tmp_path: Path) -> None:
    run_dir = run_dir_of(tmp_path)
    given = [logged(run_dir, {"n": b"%d" % n}) for n in range(3)]
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        server.faults["put"] = status(503)
        rank = Rank(tmp_path)
        await rank.attach(registry)
        rank.add(*given)
        rank.send()
        await until(lambda: len(registry.saves.list()) == 3)
        await until(lambda: server.requests.get("put", 0) > 0)
        assert await registry.saves.cancel(given[0].client_id)
        assert await registry.saves.cancel(given[1].client_id)
        server.faults.clear()
        ends = [await end_of(registry, each.client_id) for each in given]
        assert [end.state for end in ends] == ["CANCELLED", "CANCELLED", "COMMITTED"]
        assert not await registry.saves.cancel(given[2].client_id)
        assert len(server.artifacts.committed("model")) == 1
        await rank.finish()
        await until(lambda: "r1" in server.complete)
    assert not list((run_dir / "artifacts").iterdir())


@CHUNKS
@pytest.mark.parametrize("stuck_at", ["CreateArtifact", "bytes", "CommitArtifact"])
async def test_an_agent_after_this_one_makes_the_one_version(
    tmp_path: Path, chunks: bool, stuck_at: str
) -> None:
    run_dir = run_dir_of(tmp_path)
    given = logged(run_dir, {**FILES, "big": os.urandom(400_000)})
    async with fake_server() as server:
        if chunks:
            chunked(server)
        # What was asked was done, but nobody was told.
        if stuck_at == "bytes":
            server.faults |= {"chunks": drop_after_apply, "put": drop_after_apply}
        else:
            server.faults["graphql"] = to_operation(stuck_at, drop_after_apply)
        async with running_registry(tmp_path, server.base_url) as registry:
            rank = Rank(tmp_path)
            await rank.attach(registry)
            rank.add(given)
            rank.send()
            await until(lambda: len(server.artifacts.versions) > 0)
            await anyio.sleep(0.1)
        server.faults.clear()
        async with running_registry(tmp_path, server.base_url) as registry:
            await rank.attach(registry)
            rank.send()
            assert (await end_of(registry, given.client_id)).state == "COMMITTED"
            await rank.finish()
            await until(lambda: not registry.runs(active_only=True))
        (version,) = server.artifacts.versions
        assert version.state == "COMMITTED"
        assert len(server.artifacts.content(version, "big")) == 400_000
        async with running_registry(tmp_path, server.base_url) as registry:
            late = await end_of(registry, given.client_id)  # asked long after all
            assert (late.state, late.artifact_id) == ("COMMITTED", version.id)
    assert not list((run_dir / "artifacts").iterdir())
    assert not list((tmp_path / "agent" / "journal").iterdir())


async def test_a_server_that_is_away_holds_up_no_save_to_another_one(tmp_path: Path) -> None:
    few = RoomConfigs(artifacts=ArtifactsConfig(parallel_saves=1, parallel_windows=1))
    run_dir = run_dir_of(tmp_path)
    stuck, moving = logged(run_dir, FILES, "stuck"), logged(run_dir, FILES, "moving")
    async with fake_server() as away, fake_server() as there:
        away.faults["graphql"] = to_operation("CreateArtifactFiles", status(503))
        async with running_registry(tmp_path, away.base_url, rooms=few) as registry:
            first = Rank(tmp_path)
            second = Rank(tmp_path, "r2", base_url=there.base_url, run_dir=str(run_dir))
            for rank, given in ((first, stuck), (second, moving)):
                await rank.attach(registry, api_key="k" * 40)
                rank.add(given)
                rank.send()
                if rank is first:
                    await until(lambda: any(each.error for each in registry.saves.list()))
            end = await end_of(registry, moving.client_id)
            assert end.state == "COMMITTED"
            away.faults.clear()
            assert (await end_of(registry, stuck.client_id)).state == "COMMITTED"


def test_a_note_gives_its_order_from_memory_and_from_its_file(tmp_path: Path) -> None:
    notes = SaveNotes(tmp_path, "there")
    order = SaveOrder(record([], "m", 1), "/r")
    key = notes.add(order) or ""
    assert notes.order_of(key) == order
    notes.keep()
    assert notes.order_of(key) == order
    after = SaveNotes(tmp_path, "there")
    after.load()
    assert after.order_of(key).was_resumed
    next(tmp_path.glob("*.save")).write_bytes(b"damaged")
    with pytest.raises(SaveFailed, match="log it again"):
        after.order_of(key)


def test_notes_outlive_their_pump_until_a_checkpoint_has_passed(tmp_path: Path) -> None:
    first = SaveNotes(tmp_path, "there")
    orders = [SaveOrder(record([], "m", n), "/r") for n in range(3)]
    keys = [first.add(order) for order in orders]
    assert first.add(orders[0]) is None
    first.end(keys[1] or "")
    first.keep()
    assert not first.unwritten
    found = SaveNotes(tmp_path, "there").load()
    assert [order.record.client_id[-1] for _, order in found] == ["0", "2"]
    assert all(order.was_resumed for _, order in found)
    first.end(keys[0] or "")
    first.forget()
    second = SaveNotes(tmp_path, "there")
    assert [key for key, _ in second.load()] == [keys[2]]
    assert second.add(msgspec.structs.replace(orders[2])) is None
    assert not SaveNotes(tmp_path, "elsewhere").load()


def test_connections_are_left_for_rows() -> None:
    from trackd_agent.artifacts.config import ArtifactsConfig

    config = ArtifactsConfig()
    most = config.parallel_saves + config.parallel_files
    assert most < UpstreamConfig().max_connections
