"""Uploads in parts that one agent begins and another one ends."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import JSONResponse
from tests.fakes.wandb_server import drop_after_apply, fake_server, status
from tests.support.artifact_records import end_of, logged
from tests.support.rank import Rank
from tests.support.runs import running_registry, until
from tests.unit.artifacts.saves.test_save_faults import to_operation
from tests.unit.artifacts.saves.test_saves import run_dir_of

from trackd_agent.artifacts.config import ArtifactsConfig
from trackd_agent.artifacts.saves import file_sender, part_notes
from trackd_agent.artifacts.saves.answers import FileAddress, Id
from trackd_agent.runs.context import RoomConfigs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response
    from tests.fakes.wandb_server import FakeServer

    from trackd_agent.runs.registry import RunRegistry

PART_BYTES = 250_000
DATA = os.urandom(8 * PART_BYTES - 17)
#: What travels beside parts, at most: the manifest.
LITTLE_BYTES = 1_000


@contextlib.asynccontextmanager
async def agent(
    tmp_path: Path, server: FakeServer, part_bytes: int = PART_BYTES
) -> AsyncGenerator[RunRegistry]:
    """Run an agent that sends one part after another."""
    config = ArtifactsConfig(multipart_bytes=1_000_000, part_bytes=part_bytes, parallel_parts=1)
    rooms = RoomConfigs(artifacts=config)
    async with running_registry(tmp_path, server.base_url, rooms=rooms) as registry:
        yield registry


async def begun(tmp_path: Path, server: FakeServer, fault: Any = None) -> tuple[Rank, str]:
    """Send three parts of a file, or all if there is another fault, and let the agent go."""
    left = 3

    async def three(request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        nonlocal left
        left -= "/artifact/" in request.url.path
        return await (answer() if left >= 0 else status(503)(request, answer))

    given = logged(run_dir_of(tmp_path), {"big": DATA})
    server.artifacts.multipart = True
    if fault is None:
        server.faults["put"] = three
    else:
        server.faults["graphql"] = to_operation("CompleteMultipartUploadArtifact", fault)
    async with agent(tmp_path, server) as registry:
        rank = Rank(tmp_path)
        await rank.attach(registry)
        rank.add(given)
        rank.send()
        if fault is None:
            await until(lambda: left < 0)
        else:
            await until(lambda: bool(server.artifacts.files))
    server.faults.clear()
    return rank, given.client_id


async def ended(tmp_path: Path, server: FakeServer, rank: Rank, client_id: str) -> None:
    async with agent(tmp_path, server) as registry:
        await rank.attach(registry)
        rank.send()
        assert (await end_of(registry, client_id)).state == "COMMITTED"
        await rank.finish()
        await until(lambda: "r1" in server.complete)
    (version,) = server.artifacts.committed("model")
    assert server.artifacts.content(version, "big") == DATA
    assert not list(tmp_path.rglob("artifacts/uploads/*"))


async def test_another_agent_sends_the_missing_parts_alone(tmp_path: Path) -> None:
    async with fake_server() as server:
        rank, client_id = await begun(tmp_path, server)
        assert server.artifacts.received_bytes == 3 * PART_BYTES
        (notes,) = tmp_path.rglob("artifacts/uploads/*")
        assert notes.stat().st_mode & 0o077 == 0
        await ended(tmp_path, server, rank, client_id)
        assert server.artifacts.received_bytes < len(DATA) + LITTLE_BYTES
        assert len(server.artifacts.parts) == 1


async def test_addresses_that_expired_meanwhile_begin_the_file_anew(tmp_path: Path) -> None:
    async with fake_server() as server:
        rank, client_id = await begun(tmp_path, server)
        server.artifacts.expired = server.artifacts.tokens
        await ended(tmp_path, server, rank, client_id)
        assert len(server.artifacts.parts) == 2


async def test_notes_that_were_damaged_begin_the_file_anew(tmp_path: Path) -> None:
    async with fake_server() as server:
        rank, client_id = await begun(tmp_path, server)
        (notes,) = tmp_path.rglob("artifacts/uploads/*")
        os.truncate(notes, 100)
        await ended(tmp_path, server, rank, client_id)
        assert len(server.artifacts.parts) == 2


def test_what_cannot_be_a_note_is_in_nobodys_way(tmp_path: Path) -> None:
    path = part_notes.path_of(tmp_path / "uploads", ("server", "a"), "b")
    path.mkdir(parents=True)
    assert part_notes.found(path, ["d1"]) is None
    notes = part_notes.begun(path, ["d1"], FileAddress(Id("x")))
    notes.note(1, "tag")
    assert notes.tags == {1: "tag"}
    notes.forget()
    part_notes.forget_all(tmp_path / "uploads", ("server", "a"))


async def test_a_file_of_which_nobody_heard_that_it_is_whole_is_not_sent_again(
    tmp_path: Path,
) -> None:
    async with fake_server() as server:
        rank, client_id = await begun(tmp_path, server, drop_after_apply)
        assert server.artifacts.received_bytes == len(DATA)
        await ended(tmp_path, server, rank, client_id)
        assert server.artifacts.received_bytes < len(DATA) + LITTLE_BYTES


@pytest.mark.parametrize("tail", [b"", b'[2,"t', b"\0\0\0\n", b"\xff\n"])
def test_a_torn_line_costs_its_part_alone(tmp_path: Path, tail: bytes) -> None:
    path = part_notes.path_of(tmp_path / "uploads", ("server", "a"), "b")
    notes = part_notes.begun(path, ["d1", "d2"], FileAddress(Id("x")))
    notes.note(1, "tag")
    with path.open("ab") as file:
        file.write(tail)
    again = part_notes.found(path, ["d1", "d2"])
    assert again is not None and again.tags == {1: "tag"}
    assert part_notes.found(path, ["d1", "other"]) is None


def test_notes_of_long_ago_go_when_another_upload_begins(tmp_path: Path) -> None:
    old, new = (
        part_notes.path_of(tmp_path / "uploads", ("server", "a"), name) for name in ("old", "new")
    )
    part_notes.begun(old, ["d"], FileAddress(Id("x")))
    long_ago_s = time.time() - 8 * 24 * 3600
    os.utime(old, (long_ago_s, long_ago_s))
    part_notes.begun(new, ["d"], FileAddress(Id("x")))
    assert new.exists() and not old.exists()


async def test_an_upload_that_is_given_up_leaves_no_addresses(tmp_path: Path) -> None:
    async with fake_server() as server:
        rank, client_id = await begun(tmp_path, server)
        assert list(tmp_path.rglob("artifacts/uploads/*"))
        server.faults["put"] = status(503)
        async with agent(tmp_path, server) as registry:
            await rank.attach(registry)
            assert await registry.saves.cancel(client_id)
            assert (await end_of(registry, client_id)).state == "CANCELLED"
            server.faults.clear()
            await rank.finish()
            await until(lambda: "r1" in server.complete)
        assert not list(tmp_path.rglob("artifacts/uploads/*"))


@pytest.mark.parametrize(
    ("size_gib", "part_mib", "parts"), [(2, 16, 128), (100, 100, 1024), (1024, 104.859375, 10_000)]
)
def test_parts_are_neither_too_many_nor_too_large(
    size_gib: int, part_mib: float, parts: int
) -> None:
    part = file_sender.part_bytes(size_gib * 1024**3, ArtifactsConfig().part_bytes)
    assert part / 1024**2 == part_mib
    assert -(-size_gib * 1024**3 // part) == parts


@pytest.mark.parametrize("size_bytes", [1, 5 * 1024**3 + 1, 5 * 1024**4])
def test_every_file_has_parts_that_a_store_takes(size_bytes: int) -> None:
    part = file_sender.part_bytes(size_bytes, ArtifactsConfig().part_bytes)
    assert 5 * 1024**2 <= part <= 5 * 1024**3
    assert -(-size_bytes // part) <= 10_000


async def test_a_server_that_forgets_a_part_gets_no_shorter_file(tmp_path: Path) -> None:
    async def forget(_request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        body = json.loads(bytes((await answer()).body))
        for edge in body["data"]["createArtifactFiles"]["files"]["edges"]:
            if parts := edge["node"].get("uploadMultipartUrls"):
                parts["uploadUrlParts"].pop()
        return JSONResponse(body)

    given = logged(run_dir_of(tmp_path), {"big": DATA})
    async with fake_server() as server, agent(tmp_path, server) as registry:
        server.artifacts.multipart = True
        server.faults["graphql"] = to_operation("CreateArtifactFiles", forget)
        rank = Rank(tmp_path)
        await rank.attach(registry)
        rank.add(given)
        await rank.finish()
        end = await end_of(registry, given.client_id)
        assert (end.state, end.error_code) == ("FAILED", "UNEXPECTED_ANSWER")
        assert "multipart_bytes" in end.error
        assert not server.artifacts.files
