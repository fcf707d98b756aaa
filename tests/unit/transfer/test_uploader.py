"""Files of a run on their way: what is sent, skipped, sent again, given up."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.fakes import wandb_server as fake
from tests.fakes.wandb_server import FakeServer, fake_server, for_the_first
from tests.support.runs import FAST, until

from trackd_agent.transfer import FileUploader, TransferConfig, is_safe_name
from trackd_agent.transfer.reading import FileChanged, Reading, stamp_of
from trackd_agent.upstream import (
    Courier,
    Credentials,
    RunPath,
    StaticEndpoint,
    UpstreamConfig,
    UpstreamPool,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


@contextlib.asynccontextmanager
async def uploading(tmp_path: Path) -> AsyncGenerator[tuple[FakeServer, FileUploader]]:
    async with fake_server() as server:
        credentials = Credentials(tmp_path / "c.json")
        await credentials.put(server.base_url, server.api_key)
        endpoint = StaticEndpoint(server.base_url, credentials)
        # Who waits for the end of one of these does not notice at once.
        never: dict[str, Any] = {"transfer_timeout_s": 3600.0, "parked_retry_s": 3600.0}
        config = UpstreamConfig(**(FAST | never))
        async with UpstreamPool(config, credentials, endpoint) as pool:
            uploader = FileUploader(
                Courier(pool.get("")),
                RunPath("e", "p", "r1"),
                tmp_path,
                TransferConfig(poll_s=0.02, live_interval_s=0.0, batch=10, chunk_bytes=4096),
                {},
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(uploader.run)
                yield server, uploader
                tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../x", "a/../../x", "a\\b", "a\0b", "a\nb", ".."]
)
def test_names_that_leave_the_folder_are_refused(name: str) -> None:
    assert not is_safe_name(name)


@pytest.mark.parametrize("name", ["a", "a/b.txt", "name with space ü.txt", "..a", "a..b/c"])
def test_other_names_are_fine(name: str) -> None:
    assert is_safe_name(name)


async def test_many_files_go_in_batches_and_empty_ones_too(tmp_path: Path) -> None:
    async with uploading(tmp_path) as (server, uploader):
        for number in range(35):
            (tmp_path / f"f{number}").write_bytes(b"x" * number * 500)
            uploader.add(f"f{number}", "now")
        assert await uploader.drained(120)
        assert {n: len(d) for n, d in server.files.items()} == {f"f{n}": n * 500 for n in range(35)}
        assert sorted(uploader.take_uploaded()) == sorted(server.files)
        asked = [v["files"] for name, v in server.operations if name == "CreateRunFiles"]
        assert max(map(len, asked)) == 10


async def test_unchanged_content_is_not_sent_again(tmp_path: Path) -> None:
    async with uploading(tmp_path) as (server, uploader):
        path = tmp_path / "f"
        path.write_text("same")
        uploader.add("f", "now")
        assert await uploader.drained(120)
        path.write_text("same")  # a new stamp
        uploader.add("f", "now")
        assert await uploader.drained(120)
        assert server.requests["put"] == 1
        path.write_text("diff")
        uploader.add("f", "now")
        assert await uploader.drained(120)
        assert server.files["f"] == b"diff"


async def test_a_file_that_another_replaces_on_the_way_is_sent_whole(tmp_path: Path) -> None:
    async with uploading(tmp_path) as (server, uploader):
        path = tmp_path / "f"
        path.write_bytes(b"short")
        stamp = await anyio.to_thread.run_sync(stamp_of, path)
        assert stamp is not None
        (tmp_path / "new").write_bytes(b"longer than before")
        (tmp_path / "new").replace(path)
        reading = Reading(path, stamp, 1024)
        with pytest.raises(FileChanged, match="replaced"):
            await reading.exhaust()
        uploader.add("f", "now")
        assert await uploader.drained(120)
        assert server.files["f"] == b"longer than before"


async def test_missing_files_are_counted_and_hold_nobody_up(tmp_path: Path) -> None:
    async with uploading(tmp_path) as (server, uploader):
        (tmp_path / "there").write_text("x")
        (tmp_path / "folder").mkdir()
        for name in ("gone", "folder", "there", "../out"):
            uploader.add(name, "now")
        assert await uploader.drained(120)
        assert set(server.files) == {"there"}
        assert uploader.dropped == {"file_missing": 2, "file_name_refused": 1}


@pytest.mark.parametrize("fault", [fake.status(500), fake.status(403), fake.drop, fake.hang])
async def test_a_failed_file_asks_for_a_new_address(tmp_path: Path, fault: fake.Fault) -> None:
    async with uploading(tmp_path) as (server, uploader):
        server.faults["put"] = fault
        (tmp_path / "f").write_bytes(b"x" * 10_000)
        uploader.add("f", "now")
        await until(lambda: server.requests.get("put", 0) >= 1)
        server.faults.clear()
        server.closing.set()  # lets a hanging answer go
        assert await uploader.drained(120)
        assert server.files["f"] == b"x" * 10_000
        assert uploader.dropped == {}


@pytest.mark.parametrize("fault", [fake.status(400), fake.drop, fake.drop_after_apply])
async def test_what_was_damaged_or_cut_off_goes_again_at_once(
    tmp_path: Path, fault: fake.Fault
) -> None:
    async with uploading(tmp_path) as (server, uploader):
        server.faults["put"] = for_the_first(3, fault)
        (tmp_path / "f").write_bytes(b"x" * 4_000_000)  # more than connections hold back
        uploader.add("f", "now")
        assert await uploader.drained(120)
        assert len(server.files["f"]) == 4_000_000
        assert server.requests["put"] == 4
        assert uploader.dropped == {}


async def test_a_file_too_large_for_the_server_is_given_up(tmp_path: Path) -> None:
    async with uploading(tmp_path) as (server, uploader):
        server.faults["put"] = fake.too_large(100)
        (tmp_path / "big").write_bytes(b"x" * 200)
        (tmp_path / "small").write_bytes(b"x")
        uploader.add("big", "now")
        uploader.add("small", "now")
        assert await uploader.drained(120)
        assert uploader.dropped == {"file_too_large": 1}
        assert set(server.files) == {"small"}


async def test_policies_end_and_live(tmp_path: Path) -> None:
    async with uploading(tmp_path) as (server, uploader):
        for name in ("end", "live"):
            (tmp_path / name).write_text("1")
            uploader.add(name, name)
        await until(lambda: "live" in server.files)
        (tmp_path / "live").write_text("22")
        await until(lambda: server.files["live"] == b"22")
        assert "end" not in server.files
        assert not uploader.is_settled("end")
        uploader.finish("end")
        uploader.finish("live")
        assert await uploader.drained(120)
        assert server.files["end"] == b"1"
        assert uploader.is_settled("live")
        (tmp_path / "live").write_text("333")
        await anyio.sleep(0.1)
        assert server.files["live"] == b"22"
