"""Downloads from a server that speaks the W&B protocol, well or badly, over real HTTP."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest
from tests.fakes.download_server import ARTIFACT_ID, DownloadServer, download_server, md5
from tests.support.disks import disk_of

from trackd_agent.artifacts.config import ArtifactsConfig
from trackd_agent.artifacts.downloads.addresses import Listing
from trackd_agent.artifacts.downloads.downloads import Downloads
from trackd_agent.artifacts.downloads.entries import Filter
from trackd_agent.artifacts.downloads.placing import Source
from trackd_agent.artifacts.downloads.progress import DownloadOptions, Version
from trackd_agent.upstream import Credentials, Manner, StaticEndpoint, UpstreamConfig, UpstreamPool

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

    from trackd_agent.artifacts.downloads.download import Download

FILES = {"a.txt": b"hello", "dir/b.bin": b"b" * 3_000_000, "dir/sub/empty": b"", "ünï code": b"u"}


class Client:
    """Downloads of an agent, towards one server."""

    def __init__(self, downloads: Downloads, version: Version, root: Path) -> None:
        self.downloads = downloads
        self.version = version
        self.root = root

    async def get(self, root: Path | None = None, **options: Any) -> Download:
        root = root or self.root
        root.mkdir(exist_ok=True)
        download = self.downloads.begin(DownloadOptions(self.version, str(root), **options))
        await download.is_over.wait()
        await download.close()
        return download


@contextlib.asynccontextmanager
async def client_of(
    server: DownloadServer, tmp_path: Path, *, listed: bool = True, **config: Any
) -> AsyncGenerator[Client]:
    credentials = Credentials(tmp_path / "credentials.json")
    await credentials.put(server.base_url, "k" * 40)
    endpoint = StaticEndpoint(server.base_url, credentials)
    settings = UpstreamConfig(retry_min_s=0.01, retry_max_s=0.02, graphql_timeout_s=5)
    listing = Listing("e", "p", "c", "v3") if listed else None
    async with (
        UpstreamPool(settings, credentials, endpoint) as pool,
        Downloads(tmp_path / "data", ArtifactsConfig(cache_least_free_bytes=0, **config)) as own,
    ):
        version = Version(pool.get(server.base_url), Manner(), ARTIFACT_ID, listing)
        yield Client(own, version, tmp_path / "root")


def found(root: Path) -> dict[str, bytes]:
    """Return all files below a folder; links and leftovers would show."""
    paths = (path for path in root.rglob("*") if not path.is_dir() or path.is_symlink())
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


async def test_a_download_has_every_file_and_a_second_one_keeps_them(tmp_path: Path) -> None:
    async with download_server(files=FILES) as server, client_of(server, tmp_path) as client:
        first = await client.get()
        assert first.error is None and found(client.root) == FILES
        assert first.progress.sources == {Source.NETWORK: 3, Source.KEPT: 1}  # one is empty
        assert (first.progress.files_done, first.progress.bytes_done) == (4, 3_000_006)
        requests = len(server.requests)
        again = await client.get()
        assert again.progress.sources == {Source.KEPT: 4}
        elsewhere = await client.get(tmp_path / "elsewhere")
        assert elsewhere.progress.sources == {Source.CACHE: 3, Source.KEPT: 1}
        assert found(tmp_path / "elsewhere") == FILES
        assert len(server.requests) == requests
        assert not list((tmp_path / "data" / "agent" / "artifacts" / "tmp").iterdir())


async def test_without_a_listing_the_server_is_asked_for_one(tmp_path: Path) -> None:
    async with (
        download_server(files=FILES) as server,
        client_of(server, tmp_path, listed=False) as client,
    ):
        assert (await client.get()).error is None
        assert found(client.root) == FILES
        assert "ArtifactByID" in server.operations


async def test_files_that_are_not_listed_come_from_their_own_address(tmp_path: Path) -> None:
    async with download_server(files=FILES) as server, client_of(server, tmp_path) as client:
        assert (await client.get(filter=Filter(paths=frozenset({"a.txt"})))).error is None
        assert found(client.root) == {"a.txt": b"hello"}
        assert server.requests[0].startswith("/artifactsV2/default/e/p/c/")


async def test_a_prefix_is_a_plain_prefix(tmp_path: Path) -> None:
    files = {"ab/x": b"1", "abc": b"2", "b": b"3"}
    async with download_server(files=files) as server, client_of(server, tmp_path) as client:
        assert (await client.get(filter=Filter(path_prefix="ab"))).error is None
        assert found(client.root) == {"ab/x": b"1", "abc": b"2"}


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../../x", "/abs", "", ".", "C:\\x", "..\\x", "a\0b", "\\\\h\\s"],
)
async def test_a_manifest_that_leads_elsewhere_writes_nothing(tmp_path: Path, path: str) -> None:
    entries = {path: {"digest": md5(b"x"), "size": 1}}
    async with (
        download_server(files={"a": b"1"}, entries=entries) as server,
        client_of(server, tmp_path) as client,
    ):
        download = await client.get()
        assert download.error is not None and download.error.code == "UNSAFE_PATH"
        assert found(client.root) == {}
        assert not server.requests


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"<html>", "no JSON"),
        (b'{"version": 1, "contents": {"a": {"dig', "cut off"),
        (b'{"contents": {}}', "version is None"),
        (b'{"version": true, "contents": {}}', "version is True"),
        (b'{"version": 2, "contents": {}}', "version is 2"),
        (b'{"version": 1, "contents": {"a": 3}}', "Expected `object`, got `int`"),
        (b'{"version": 1, "contents": {"a": {"digest": 3}}}', "wrong kind"),
        (b'{"version": 1, "contents": {"a": {"digest": "x", "size": -1}}}', "wrong kind"),
        (b'{"version": 1, "contents": {"a": {"digest": "x", "size": true}}}', "wrong kind"),
        (b'{"version": 1, "contents": {"a": ' + b"[" * 1_000_000, "deeper than 500 levels"),
        (b'{"contents": {}, "more": ' + b'{"]}": ' * 300_000, "deeper than 500 levels"),
    ],
)
async def test_what_is_no_manifest_is_said(tmp_path: Path, text: bytes, words: str) -> None:
    async with (
        download_server(manifest=text) as server,
        client_of(server, tmp_path) as client,
    ):
        download = await client.get()
        assert download.error is not None and download.error.code == "INVALID_MANIFEST"
        assert words in download.error.message


async def test_links_below_the_root_are_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"mine")
    root = tmp_path / "root"
    root.mkdir()
    (root / "dir").symlink_to(outside)
    (root / "file").symlink_to(outside / "kept")
    files = {"dir/kept": b"evil", "file": b"evil", "other": b"fine"}
    async with download_server(files=files) as server, client_of(server, tmp_path) as client:
        download = await client.get()
        assert [(p, f.code) for p, f in download.progress.failures] == [
            ("dir/kept", "LINK_IN_ROOT")
        ]
        assert (outside / "kept").read_bytes() == b"mine"
        assert not (root / "file").is_symlink() and (root / "file").read_bytes() == b"evil"
        assert (root / "other").read_bytes() == b"fine"


async def test_a_path_that_is_file_and_folder_fails_alone(tmp_path: Path) -> None:
    files = {"a": b"1", "a/b": b"2", "c": b"3"}
    async with download_server(files=files) as server, client_of(server, tmp_path) as client:
        download = await client.get()
        assert [f.code for _, f in download.progress.failures] == ["PATH_CONFLICT"]
        assert download.progress.files_done == 2


@pytest.mark.parametrize("wrong", [b"hellO", b"hell", b"hello and more", b""])
async def test_a_wrong_content_is_not_written(tmp_path: Path, wrong: bytes) -> None:
    async with (
        download_server(files={"a": b"hello", "b": b"b"}, sent={"a": wrong}) as server,
        client_of(server, tmp_path) as client,
    ):
        download = await client.get()
        assert [(p, f.code) for p, f in download.progress.failures] == [("a", "DIGEST_MISMATCH")]
        assert found(client.root) == {"b": b"b"}
        state = await client.downloads.cache_state()
        assert (state.files, state.temporary_files) == (1, 0)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"\xff" * 40,
        msgspec.msgpack.encode({"folder": "/", "files": None}),
        msgspec.msgpack.encode({"folder": b"\xff", "files": []}),
        msgspec.msgpack.encode({"folder": "/", "files": [[["a" * 30, 0, 5]]] * 2}),
        msgspec.msgpack.encode({"folder": "/", "files": [[["a" * 30, -1, 1 << 63, 1 << 63]]] * 2}),
        msgspec.msgpack.encode({"folder": "/\0", "files": [[["a" * 30, 0, 5, 5]]] * 2}),
        msgspec.msgpack.encode({"folder": "/", "files": [[["../etc/passwd", 0, 5, 5]]] * 2}),
        msgspec.msgpack.encode({"folder": "/etc", "files": [[["passwd", 0, 4, 5]]] * 2}),
        msgspec.msgpack.encode({"folder": "/etc", "files": [[["passwd", 0, 4, 1 << 60]]] * 2}),
    ],
)
async def test_a_server_of_ours_that_tells_nonsense_is_asked_for_each_file(
    tmp_path: Path, answer: bytes
) -> None:
    files = {"a": b"hello", "b": b"bb"}
    async with (
        download_server(files=files, features=("TRACKD_CHUNKS",), contents=answer) as server,
        client_of(server, tmp_path) as client,
    ):
        assert (await client.get()).error is None
        assert found(client.root) == files


async def test_a_damaged_copy_in_the_cache_is_replaced(tmp_path: Path) -> None:
    async with (
        download_server(files={"a": b"hello"}) as server,
        client_of(server, tmp_path) as client,
    ):
        await client.get()
        (cached,) = (tmp_path / "data/cache/artifacts/obj/md5").glob("*/*")
        assert cached.parent.name + cached.name == "5d41402abc4b2a76b9719d911017c592"
        cached.chmod(0o600)
        cached.write_bytes(b"hellX")
        again = await client.get(tmp_path / "again")
        assert again.progress.sources == {Source.NETWORK: 1}
        assert found(tmp_path / "again") == {"a": b"hello"}
        assert cached.read_bytes() == b"hello"


async def test_skip_cache_neither_reads_nor_fills_it(tmp_path: Path) -> None:
    async with download_server(files=FILES) as server, client_of(server, tmp_path) as client:
        assert (await client.get(skip_cache=True)).error is None
        assert (await client.downloads.cache_state()).files == 0


@pytest.mark.parametrize("names_files", [True, False])
async def test_an_expired_address_is_renewed_for_this_file_only(
    tmp_path: Path, names_files: bool
) -> None:
    statuses = {"a.txt": [403], "dir/b.bin": [401, 403]}
    async with (
        download_server(files=FILES, statuses=statuses, names_files=names_files) as server,
        client_of(server, tmp_path) as client,
    ):
        assert (await client.get()).error is None
        assert found(client.root) == FILES
        # Where the server names no new address, the file has one of its own.
        own = sum("artifactsV2" in request for request in server.requests)
        assert own == (0 if names_files else 3) and len(server.requests) == 6
        assert server.operations.count("ArtifactMembershipFiles") == 3


async def test_an_address_that_stays_expired_fails_its_file(tmp_path: Path) -> None:
    async with (
        download_server(files=FILES, statuses={"a.txt": [403] * 50}) as server,
        client_of(server, tmp_path) as client,
    ):
        download = await client.get()
        assert [(p, f.code) for p, f in download.progress.failures] == [
            ("a.txt", "DOWNLOAD_FAILED")
        ]
        assert download.progress.files_done == 3


async def test_a_broken_transfer_goes_on_where_it_ended(tmp_path: Path) -> None:
    async with (
        download_server(files=FILES, cuts={"dir/b.bin": [1_100_000, 1_200_000]}) as server,
        client_of(server, tmp_path) as client,
    ):
        download = await client.get()
        assert download.error is None and found(client.root) == FILES
        # Whole pieces count: what was read and not complete travels again.
        assert len(server.ranges) == 2
        assert download.progress.bytes_fetched < 2 * len(FILES["dir/b.bin"])


async def test_a_broken_transfer_from_a_server_without_ranges_begins_anew(tmp_path: Path) -> None:
    async with (
        download_server(
            files=FILES, cuts={"dir/b.bin": [1_100_000]}, serves_ranges=False
        ) as server,
        client_of(server, tmp_path) as client,
    ):
        assert (await client.get()).error is None
        assert found(client.root) == FILES


@pytest.mark.parametrize("serves_ranges", [True, False])
async def test_large_files_come_in_ranges(tmp_path: Path, serves_ranges: bool) -> None:
    files = {"big": os.urandom(2_500_000), "big2": os.urandom(2_400_001), "small": b"s"}
    async with (
        download_server(files=files, serves_ranges=serves_ranges, cuts={"big": [100]}) as server,
        client_of(server, tmp_path, range_bytes=500_000, multipart_bytes=2_000_000) as client,
    ):
        assert (await client.get()).error is None
        assert found(client.root) == files
        if serves_ranges:
            assert {"bytes=0-499999", "bytes=2000000-2499999"} <= set(server.ranges)
        else:
            assert not server.ranges


async def test_references_are_left_to_the_caller(tmp_path: Path) -> None:
    entries = {f"r{n:04}": {"digest": "etag", "ref": "s3://b/k", "size": 7} for n in range(1500)}
    async with (
        download_server(files=FILES, entries=entries) as server,
        client_of(server, tmp_path) as client,
    ):
        client.root.mkdir()
        download = client.downloads.begin(DownloadOptions(client.version, str(client.root)))
        references = [entry async for batch in download.references() for entry in batch]
        await download.is_over.wait()
        await download.close()
        assert [entry.path for entry in references] == sorted(entries)
        assert download.progress.references == 1500
        assert found(client.root) == FILES


async def test_an_unknown_artifact_is_said(tmp_path: Path) -> None:
    async with download_server() as server, client_of(server, tmp_path) as client:
        client.version = Version(client.version.upstream, Manner(), "QXJ0aWZhY3Q6OQ==")
        download = await client.get()
        assert download.error is not None and download.error.code == "UNKNOWN_ARTIFACT"


async def test_a_root_that_is_another_folder_for_the_caller_is_refused(tmp_path: Path) -> None:
    async with download_server(files=FILES) as server, client_of(server, tmp_path) as client:
        download = await client.get(root_device=1, root_inode=2)
        assert download.error is not None and download.error.code == "ROOT_NOT_VISIBLE"
        assert found(client.root) == {}


async def test_a_file_that_was_changed_is_downloaded_again(tmp_path: Path) -> None:
    async with download_server(files=FILES) as server, client_of(server, tmp_path) as client:
        await client.get()
        (client.root / "a.txt").write_bytes(b"jello")  # same size
        download = await client.get()
        assert download.progress.sources == {Source.KEPT: 3, Source.CACHE: 1}
        assert found(client.root) == FILES


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    with disk_of(4 * 1024 * 1024, tmp_path / "disk") as disk:
        yield disk


async def test_a_full_disk_ends_the_download_and_says_so(tmp_path: Path, small_disk: Path) -> None:
    files = {"a": b"small", "b": os.urandom(5_000_000), "c": b"small, too"}
    async with download_server(files=files) as server, client_of(server, tmp_path) as client:
        download = await client.get(small_disk)
        assert download.error is not None and download.error.code == "DISK_FULL"
        there = found(small_disk)
        assert all(files[path] == data for path, data in there.items())


async def test_no_room_for_the_list_of_files_is_said_with_its_folder(
    tmp_path: Path, small_disk: Path
) -> None:
    (small_disk / "data").mkdir()
    (tmp_path / "data").symlink_to(small_disk / "data")
    files = {f"{'long-' * 200}{n}": b"x" for n in range(6_000)}
    async with download_server(files=files) as server, client_of(server, tmp_path) as client:
        download = await client.get()
        assert download.error is not None and download.error.code == "DISK_FULL"
        assert str(tmp_path / "data") in download.error.message
        assert not found(client.root)


async def test_the_cache_makes_way_on_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    old, new = {"old": os.urandom(1_500_000)}, {"new": os.urandom(2_000_000)}
    cache: dict[str, Any] = {"cache_dir": small_disk / "cache"}
    async with (
        download_server(files=old) as server,
        client_of(server, tmp_path, listed=True, **cache) as client,
    ):
        await client.get(small_disk / "old", skip_cache=False)
        assert (await client.downloads.cache_state()).files == 1
        server.files = new
        download = await client.get(small_disk / "new")
        assert download.error is None and found(small_disk / "new") == new
        assert (await client.downloads.cache_state()).files == 0


async def test_a_cancelled_download_leaves_whole_files_only(tmp_path: Path) -> None:
    files = {f"f{n:03}": os.urandom(200_000) for n in range(60)}
    async with download_server(files=files) as server, client_of(server, tmp_path) as client:
        client.root.mkdir()
        download = client.downloads.begin(DownloadOptions(client.version, str(client.root)))
        while download.progress.files_done < 5:
            await anyio.sleep(0.001)
        download.cancel()
        await download.is_over.wait()
        await download.close()
        there = found(client.root)
        assert 5 <= len(there) < 60
        assert all(files[path] == data for path, data in there.items())


async def test_a_download_that_waits_for_its_turn_can_be_cancelled(tmp_path: Path) -> None:
    async with (
        download_server(files=FILES, delay_s=0.3) as server,
        client_of(server, tmp_path, listed=True, parallel_downloads=1) as client,
    ):
        client.root.mkdir()
        options = DownloadOptions(client.version, str(client.root))
        first, second = client.downloads.begin(options), client.downloads.begin(options)
        await first.has_manifest.wait()
        second.cancel()
        await second.close()
        assert not first.is_over.is_set() and second.progress.files_done == 0
        await first.is_over.wait()
        await first.close()
        assert found(client.root) == FILES
