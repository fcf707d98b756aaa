"""Downloads through a real agent: from a real server of ours, from a stub, by hostile hands."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import grpc
import msgspec
import pytest
from tests.fakes.download_server import ARTIFACT_ID, download_server
from tests.support.agent import RunningAgent, running_agent
from tests.support.artifact_wire import Artifacts
from tests.support.server import RunningServer, running_server

from trackd_agent.artifacts.config import ArtifactsConfig
from trackd_agent.artifacts.downloads.downloads import Downloads
from trackd_agent.artifacts.downloads.placing import Source, VerifiedFile
from trackd_agent.artifacts.downloads.progress import DownloadOptions, Version
from trackd_agent.upstream import (
    Credentials,
    Manner,
    StaticEndpoint,
    Upstream,
    UpstreamConfig,
    UpstreamPool,
)
from trackd_proto.v1 import artifact_pb2, artifact_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

FILES = {
    "a.txt": b"hello",
    "dir/b.bin": os.urandom(3_000_000),
    "dir/sub/empty": b"",
    "log": b"".join(b"step %d loss %d\n" % (n, n * n % 997) for n in range(60_000)),
    "ü c": b"u",
}
#: The reference logs the folder `src` and prints the id of the version.
LOG = """
import sys, wandb
with wandb.init(project="p", entity="local", settings=wandb.Settings(silent=True)) as run:
    artifact = wandb.Artifact("data", "dataset")
    artifact.add_dir("src")
    run.log_artifact(artifact).wait()
print(artifact.id)
"""


@asynccontextmanager
async def artifacts_of(agent: RunningAgent) -> AsyncGenerator[Any]:
    async with agent.channel() as channel:
        yield artifact_pb2_grpc.ArtifactServiceStub(channel)


def log_with_the_reference(server: RunningServer, folder: Path) -> str:
    for name, data in FILES.items():
        path = folder / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    own = {f"WANDB_{kind}_DIR": str(folder / "wandb") for kind in ("CACHE", "DATA", "CONFIG")}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")} | own
    environment |= {"WANDB_BASE_URL": server.address, "WANDB_API_KEY": server.key}
    done = subprocess.run(
        [sys.executable, "-c", LOG],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


async def last_of(call: Any) -> Any:
    answers = [answer async for answer in call]
    failures = [failure for answer in answers for failure in answer.failures]
    assert not failures, failures
    return answers[-1]


def found(root: Path) -> dict[str, bytes]:
    paths = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


async def grow_old(folder: Path) -> None:
    """Make what a server stores a minute old, and wait until it has compressed its part of it."""
    (path,) = folder.rglob("trackd.sqlite")
    with closing(sqlite3.connect(path, timeout=240, isolation_level=None)) as database:
        database.execute("UPDATE packs SET created_at = 0")
        while not database.execute("SELECT 1 FROM cdc_chunks WHERE encoding = 'zstd'").fetchone():
            await anyio.sleep(0.05)


async def test_a_version_of_the_reference_comes_from_the_disk_of_our_server(
    tmp_path: Path,
) -> None:
    async with running_server(tmp_path) as server, running_agent(tmp_path) as agent:
        artifact_id = await anyio.to_thread.run_sync(log_with_the_reference, server, tmp_path)
        await grow_old(tmp_path)
        ref = artifact_pb2.ServerRef(base_url=server.address, api_key=server.key)
        root = tmp_path / "root"
        root.mkdir()
        async with artifacts_of(agent) as stub:
            request = artifact_pb2.DownloadRequest(
                server=ref, artifact_id=artifact_id, root=str(root)
            )
            result = (await last_of(stub.Download(request))).result
            assert (result.files_from_store, result.files_fetched) == (4, 0)
            assert found(root) == FILES
            result = (await last_of(stub.Download(request))).result
            assert result.files_kept == 5

            manifest = [
                answer
                async for answer in stub.FetchManifest(
                    artifact_pb2.FetchManifestRequest(server=ref, artifact_id=artifact_id)
                )
            ]
            assert json.loads(manifest[0].header.storage_policy_config_json) == {
                "storageLayout": "V2"
            }
            entries = {entry.path: entry for answer in manifest for entry in answer.entries}
            assert set(entries) == set(FILES)
            digest = base64.b64encode(hashlib.md5(FILES["a.txt"]).digest()).decode()
            assert (entries["a.txt"].digest, entries["a.txt"].size) == (digest, 5)
            assert entries["a.txt"].birth_artifact_id == artifact_id


async def test_a_distant_server_of_ours_sends_small_files_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is on this machine all the same: only the agent believes otherwise."""
    monkeypatch.setattr(Upstream, "is_local", False)
    async with running_server(tmp_path) as server:
        artifact_id = await anyio.to_thread.run_sync(log_with_the_reference, server, tmp_path)
        credentials = Credentials(tmp_path / "credentials.json")
        await credentials.put(server.address, server.key)
        endpoint = StaticEndpoint(server.address, credentials)
        (tmp_path / "root").mkdir()
        async with (
            UpstreamPool(UpstreamConfig(), credentials, endpoint) as pool,
            Downloads(tmp_path / "agent", ArtifactsConfig()) as downloads,
        ):
            version = Version(pool.get(server.address), Manner(), artifact_id)
            download = downloads.begin(DownloadOptions(version, str(tmp_path / "root")))
            await download.is_over.wait()
            await download.close()
            assert download.error is None
            assert found(tmp_path / "root") == FILES
            assert download.progress.sources == {Source.KEPT: 1, Source.NETWORK: 4}
            # Manifest, features, listing of the version, one answer for the small files, the file.
            assert version.upstream.counters.requests_ok <= 8


async def test_bytes_that_were_verified_once_are_copied_unless_they_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[int] = []
    append = VerifiedFile.append

    def counted(self: VerifiedFile, piece: Any) -> None:
        hashed.append(len(piece))
        append(self, piece)

    monkeypatch.setattr(VerifiedFile, "append", counted)
    async with running_server(tmp_path) as server:
        artifact_id = await anyio.to_thread.run_sync(log_with_the_reference, server, tmp_path)
        await grow_old(tmp_path)
        await anyio.sleep(0.1)  # packs that changed just now are not remembered
        credentials = Credentials(tmp_path / "credentials.json")
        await credentials.put(server.address, server.key)
        async with (
            UpstreamPool(
                UpstreamConfig(), credentials, StaticEndpoint(server.address, credentials)
            ) as pool,
            Downloads(tmp_path / "agent", ArtifactsConfig()) as downloads,
        ):
            version = Version(pool.get(server.address), Manner(), artifact_id)

            async def get(name: str) -> tuple[Any, int]:
                hashed.clear()
                (tmp_path / name).mkdir(exist_ok=True)
                download = downloads.begin(DownloadOptions(version, str(tmp_path / name)))
                await download.is_over.wait()
                await download.close()
                return download.progress, sum(hashed)

            large = len(FILES["dir/b.bin"])
            small = sum(map(len, FILES.values())) - large  # also what is compressed
            assert (await get("first"))[1] == small + large
            progress, count = await get("second")
            assert (count, progress.sources[Source.STORE]) == (small, 4)
            assert found(tmp_path / "second") == FILES
            (tmp_path / "second" / "dir" / "b.bin").write_bytes(b"edited")  # a copy of its own
            assert (await get("second"))[1] == 0
            assert found(tmp_path / "second") == FILES

            [pack] = [p for p in (tmp_path / "server").rglob("*/*/*") if p.stat().st_size >= large]
            with pack.open("r+b") as file:
                file.seek(large // 2)
                file.write(b"damage")
            progress, count = await get("third")
            assert count >= small + large  # read and hashed again, and refused
            assert [path for path, _ in progress.failures] == ["dir/b.bin"]
            assert "b.bin" not in str(sorted((tmp_path / "third").rglob("*")))


async def test_contents_are_read_together_by_digest_and_with_the_key_only(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        await anyio.to_thread.run_sync(log_with_the_reference, server, tmp_path)
        big, small = FILES["dir/b.bin"], FILES["a.txt"]
        names = [("MD5", hashlib.md5(data).digest(), len(data)) for data in (small, big, b"none")]
        body = msgspec.msgpack.encode({"files": [*names, ("MD5", names[0][1], None)]})
        with server.client() as client:
            places = msgspec.msgpack.decode(
                client.post("/api/v1/contents/extents", content=body).content
            )
            read = client.post("/api/v1/contents/read", content=body).content
            for path in ("extents", "read"):
                address = f"/api/v1/contents/{path}"
                without_key = client.post(address, content=body, headers={"authorization": ""})
                assert without_key.status_code == 401
                assert client.post(address, content=b"no").status_code == 400
                many = msgspec.msgpack.encode({"files": [names[0]] * 10_001})
                assert client.post(address, content=many).status_code == 400
        assert [None if each is None else sum(e[2] for e in each) for each in places["files"]] == [
            5,
            len(big),
            None,
            5,
        ]
        left_out = b"\xff" * 8
        one = (5).to_bytes(8, "little") + small
        assert read == one + left_out + left_out + one  # large files have requests of their own


async def test_errors_of_a_download_name_field_and_remedy(tmp_path: Path) -> None:
    async with download_server(files=FILES) as server, running_agent(tmp_path) as agent:
        ref = artifact_pb2.ServerRef(base_url=server.base_url, api_key="k" * 40)
        root = tmp_path / "root"
        root.mkdir()

        async def code_of(**fields: Any) -> tuple[grpc.StatusCode, str]:
            given: dict[str, Any] = {"server": ref, "artifact_id": ARTIFACT_ID, "root": str(root)}
            request = artifact_pb2.DownloadRequest(**(given | fields))
            async with artifacts_of(agent) as stub:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await last_of(stub.Download(request))
            return caught.value.code(), str(caught.value.details())

        code, words = await code_of(artifact_id="")
        assert code is grpc.StatusCode.INVALID_ARGUMENT and "artifact_id" in words
        code, words = await code_of(artifact_id="QXJ0aWZhY3Q6OQ==")
        assert code is grpc.StatusCode.NOT_FOUND and "QXJ0aWZhY3Q6OQ==" in words
        code, words = await code_of(root="relative")
        assert code is grpc.StatusCode.INVALID_ARGUMENT and "absolute" in words
        code, words = await code_of(root=str(tmp_path / "none"))
        assert code is grpc.StatusCode.INVALID_ARGUMENT and "same folder" in words
        code, words = await code_of(server=artifact_pb2.ServerRef(base_url="ftp://x"))
        assert code is grpc.StatusCode.INVALID_ARGUMENT and "base_url" in words
        server.entries = {"../../x": {"digest": "x", "size": 1}}
        code, words = await code_of()
        assert code is grpc.StatusCode.INVALID_ARGUMENT and "'../../x'" in words
        assert found(root) == {}


async def test_who_leaves_ends_the_download(tmp_path: Path) -> None:
    files = {f"f{n:03}": os.urandom(300_000) for n in range(100)}
    async with (
        download_server(files=files, hold_after=50) as server,
        running_agent(tmp_path) as agent,
    ):
        root = tmp_path / "root"
        root.mkdir()
        request = artifact_pb2.DownloadRequest(
            server=artifact_pb2.ServerRef(base_url=server.base_url),
            artifact_id=ARTIFACT_ID,
            root=str(root),
        )
        async with artifacts_of(agent) as stub:
            call = stub.Download(request)
            async for answer in call:
                if answer.files_done:
                    break
            call.cancel()
            with anyio.fail_after(120):
                while server.open:  # until the agent has let go of all that it asked for
                    await anyio.sleep(0.01)
            server.may_go_on.set()
            await anyio.sleep(0.3)  # time enough to go on
        assert await agent.terminate() == 0  # its threads have placed what had arrived
        there = found(root)
        assert len(there) < 100
        assert all(files[path] == data for path, data in there.items())


async def test_the_cache_is_shown_and_shrunk_with_and_without_an_agent(tmp_path: Path) -> None:
    files = {f"f{n}": os.urandom(100_000) for n in range(5)}

    def trackd(environment: dict[str, str], *words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "trackd", "artifact", "cache", *words, "--json"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    async with download_server(files=files) as server, running_agent(tmp_path) as agent:
        (tmp_path / "root").mkdir()
        async with artifacts_of(agent) as stub:
            request = artifact_pb2.DownloadRequest(
                server=artifact_pb2.ServerRef(base_url=server.base_url),
                artifact_id=ARTIFACT_ID,
                root=str(tmp_path / "root"),
            )
            await last_of(stub.Download(request))
        shown = await anyio.to_thread.run_sync(trackd, agent.environment, "ls")
        assert (shown["files"], shown["bytes"]) == (5, 500_000)
        done = await anyio.to_thread.run_sync(trackd, agent.environment, "cleanup", "250KB")
        assert (done["files_removed"], done["bytes_left"]) == (3, 200_000)
        assert await agent.terminate() == 0
        shown = await anyio.to_thread.run_sync(trackd, agent.environment, "ls")
        assert shown["kinds"] == [{"name": "md5", "files": 2, "bytes": 200_000}]
        await anyio.to_thread.run_sync(trackd, agent.environment, "cleanup", "0")
        shown = await anyio.to_thread.run_sync(trackd, agent.environment, "ls")
        assert (shown["files"], shown["bytes"]) == (0, 0)


#: Downloads to folders in which something else has the name of a file or of a folder.
IN_THE_WAY = """
import os, trackd
api = trackd.Api()
plain, twofold = (api.artifact(f"local/p/{name}:latest") for name in ("plain", "twofold"))
os.makedirs("one/d/f")
os.makedirs("two")
open("two/d", "w").close()
for root in ("one", "two"):
    try:
        plain.download(root)
    except trackd.artifacts.errors.ArtifactWriteError as error:
        assert "d" in str(error), error
    else:
        raise AssertionError(f"{root} lacks a file")
    assert open(f"{root}/g").read() == "g"
twofold.download("three")
assert sorted(os.listdir("three")) == ["a", "z"]
"""


async def test_a_file_that_cannot_be_put_is_an_error_unless_the_artifact_is_in_its_own_way(
    tmp_path: Path,
) -> None:
    async with running_server(tmp_path) as server:
        client = Artifacts(server)
        client.log("plain", {"d/f": b"f", "g": b"g"})
        client.log("twofold", {"a": b"a", "a/b": b"b", "z": b"z"})
        client.close()
        own: dict[str, Any] = {"TRACKD_BASE_URL": server.address, "TRACKD_API_KEY": server.key}
        async with running_agent(tmp_path, **own) as agent:
            done = await anyio.to_thread.run_sync(
                lambda: subprocess.run(
                    [sys.executable, "-c", IN_THE_WAY],
                    cwd=tmp_path,
                    env=agent.environment,
                    capture_output=True,
                    text=True,
                    timeout=240,
                    check=False,
                )
            )
    assert done.returncode == 0, done.stderr
    assert "left out" in done.stderr
