"""Large downloads that an agent which was killed did not finish."""

from __future__ import annotations

import fcntl
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import pytest
from tests.fakes.download_server import download_server, md5
from tests.unit.artifacts.downloads.test_downloads import client_of, found

from trackd_agent.artifacts.contents import KnownFiles
from trackd_agent.artifacts.downloads import partial
from trackd_agent.artifacts.downloads.entries import Entry
from trackd_agent.artifacts.downloads.placing import Placing
from trackd_agent.artifacts.downloads.root import Root, Unwritable

if TYPE_CHECKING:
    from pathlib import Path

DATA = os.urandom(2_400_000)
ENTRY = Entry("dir/big", md5(DATA), len(DATA))
#: Every file is one that goes on.
ALL: dict[str, Any] = {"resumed_bytes": 1}
IN_RANGES: dict[str, Any] = ALL | {"range_bytes": 500_000, "multipart_bytes": 1_000_000}


async def leave(root: Path, data: bytes, *ranges: tuple[int, int]) -> Path:
    """Write ranges of the file as an agent does, and let go of it as the kernel does at a kill."""
    return await anyio.to_thread.run_sync(_leave, root, data, ranges)


def _leave(root: Path, data: bytes, ranges: tuple[tuple[int, int], ...]) -> Path:
    root.mkdir(exist_ok=True)
    with ThreadPoolExecutor(1) as hashers:
        opened = Root(str(root), 0, 0)
        file = Placing(opened, None, KnownFiles(0), hashers).begin(ENTRY, goes_on=True)
        for begin, end in ranges:
            file.write_at(data[begin:end], begin)
        opened.close()
    (left,) = root.rglob(partial.PREFIX + "*")
    for name in os.listdir("/proc/self/fd"):
        path = f"/proc/self/fd/{name}"
        if os.path.exists(path) and os.path.samefile(path, left):
            os.close(int(name))
    return left


@pytest.mark.parametrize(
    ("config", "ranges", "asked"),
    [
        (ALL, [(0, 1_000_000), (1_000_000, 1_500_000)], {"bytes=1500000-"}),
        (ALL, [(0, len(DATA))], set[str]()),
        (
            IN_RANGES,
            [(0, 400_000), (1_000_000, 2_000_000)],
            {"bytes=400000-899999", "bytes=900000-999999", "bytes=2000000-2399999"},
        ),
        (IN_RANGES, [(0, len(DATA))], set[str]()),
    ],
)
async def test_what_a_killed_agent_had_of_a_file_is_not_fetched_again(
    tmp_path: Path, config: dict[str, Any], ranges: list[tuple[int, int]], asked: set[str]
) -> None:
    async with (
        download_server(files={ENTRY.path: DATA}) as server,
        client_of(server, tmp_path, **config) as client,
    ):
        left = await leave(client.root, DATA, *ranges)
        assert left.parent == client.root / "dir"
        download = await client.get()
        assert download.error is None and not download.progress.failures
        assert set(server.ranges) == asked
        assert found(client.root) == {ENTRY.path: DATA}
        assert download.progress.bytes_fetched == len(DATA) - sum(e - b for b, e in ranges)


@pytest.mark.parametrize("config", [ALL, IN_RANGES])
async def test_a_file_that_was_damaged_meanwhile_begins_anew(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    async with (
        download_server(files={ENTRY.path: DATA}) as server,
        client_of(server, tmp_path, **config) as client,
    ):
        await leave(client.root, b"?" * len(DATA), (0, 1_000_000))
        download = await client.get()
        assert download.error is None and not download.progress.failures
        assert found(client.root) == {ENTRY.path: DATA}


@pytest.mark.parametrize("kept_bytes", [0, 100, 2_400_005])
async def test_a_file_that_was_cut_off_begins_anew(tmp_path: Path, kept_bytes: int) -> None:
    async with (
        download_server(files={ENTRY.path: DATA}) as server,
        client_of(server, tmp_path, **ALL) as client,
    ):
        os.truncate(await leave(client.root, DATA, (0, 1_000_000)), kept_bytes)
        assert (await client.get()).error is None
        assert found(client.root) == {ENTRY.path: DATA}


async def test_a_range_that_does_not_come_fails_its_file_alone(tmp_path: Path) -> None:
    files = {ENTRY.path: DATA, "dir/other": b"1" * 1_200_000, "z": b"z"}
    async with (
        download_server(files=files, statuses={ENTRY.path: [200, 404]}) as server,
        client_of(server, tmp_path, **IN_RANGES) as client,
    ):
        download = await client.get()
        assert download.error is None
        ((path, failure),) = download.progress.failures
        assert (path, failure.code) == (ENTRY.path, "DOWNLOAD_FAILED")
        assert found(client.root) == {path: files[path] for path in ("dir/other", "z")}


async def test_a_wrong_file_of_the_server_leaves_nothing(tmp_path: Path) -> None:
    async with (
        download_server(files={ENTRY.path: DATA}, sent={ENTRY.path: b"x" * len(DATA)}) as server,
        client_of(server, tmp_path, **ALL) as client,
    ):
        await leave(client.root, DATA, (0, 1_000_000))
        ((_, failure),) = (await client.get()).progress.failures
        assert failure.code == "DIGEST_MISMATCH"
        assert found(client.root) == {}


async def test_a_file_that_another_download_writes_is_left_to_it(tmp_path: Path) -> None:
    async with (
        download_server(files={ENTRY.path: DATA}) as server,
        client_of(server, tmp_path, **ALL) as client,
    ):
        left = await leave(client.root, DATA, (0, 1_000_000))
        with left.open("rb") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            before = left.read_bytes()
            assert (await client.get()).error is None
            assert (client.root / ENTRY.path).read_bytes() == DATA
            assert left.read_bytes() == before


async def test_links_in_its_place_are_not_written_through(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_bytes(b"mine")
    async with (
        download_server(files={ENTRY.path: DATA}) as server,
        client_of(server, tmp_path, **ALL) as client,
    ):
        left = await leave(client.root, DATA, (0, 1_000_000))
        for link in (left.symlink_to, left.hardlink_to):
            left.unlink()
            link(target)
            assert (await client.get()).error is None
            assert (client.root / ENTRY.path).read_bytes() == DATA
            assert target.read_bytes() == b"mine"
            (client.root / ENTRY.path).unlink()


def test_what_somebody_puts_in_its_place_meanwhile_does_not_get_its_name(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as hashers:
        root = Root(str(tmp_path), 0, 0)
        with Placing(root, None, KnownFiles(0), hashers).begin(ENTRY, goes_on=True) as file:
            file.append(DATA)
            (written,) = tmp_path.rglob(partial.PREFIX + "*")
            written.unlink()
            written.symlink_to("/etc/passwd")
            with pytest.raises(Unwritable, match="somebody replaced"):
                file.finish(keep=False)
        root.close()
    assert not list((tmp_path / "dir").iterdir())


async def test_leftovers_of_long_ago_and_of_whole_files_go(tmp_path: Path) -> None:
    async with (
        download_server(files={ENTRY.path: DATA}) as server,
        client_of(server, tmp_path, **ALL) as client,
    ):
        left = await leave(client.root, DATA, (0, 1_000_000))
        old, young = left.with_name(f"{partial.PREFIX}old"), left.with_name(f"{partial.PREFIX}new")
        for path in (old, young, left.with_name("users")):
            path.write_bytes(b"x")
        long_ago_s = time.time() - 3 * 24 * 3600
        os.utime(old, (long_ago_s, long_ago_s))
        (client.root / ENTRY.path).write_bytes(DATA)
        assert (await client.get()).error is None  # it is there
        assert sorted(os.listdir(left.parent)) == sorted([young.name, old.name, "big", "users"])
        (client.root / ENTRY.path).write_bytes(b"another")
        await client.get(skip_cache=True)
        assert sorted(os.listdir(left.parent)) == sorted([young.name, "big", "users"])
