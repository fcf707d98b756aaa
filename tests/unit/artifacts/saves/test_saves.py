"""Artifacts of online runs on their way to a W&B server and to one that takes chunks."""

from __future__ import annotations

import base64
import os
import random
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.fakes.wandb_server import FakeServer, fake_server
from tests.support.artifact_records import beside, end_of, logged, manifest_digest, md5_of, record
from tests.support.artifact_records import xxh128_of as xxh
from tests.support.rank import Rank
from tests.support.runs import running_registry, until

from trackd_agent.artifacts.config import ArtifactsConfig
from trackd_agent.artifacts.saves.saves import Save, Saves
from trackd_agent.runs.context import RoomConfigs
from trackd_proto.chunks import FEATURE
from trackd_proto.layout import staging_folder
from trackd_proto.process_folders import ProcessFolder
from trackd_proto.records import ArtifactEntry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from trackd_agent.artifacts.saves import SaveProgress
    from trackd_proto.records import ArtifactLogged

FILES = {"a.txt": b"hello", "dir/b.txt": b"b" * 4000, "dir/sub/empty": b"", "ünï code": b"u"}


def run_dir_of(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "r1"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


async def save(
    tmp_path: Path, server: FakeServer, *given: ArtifactLogged, **rooms: Any
) -> list[SaveProgress]:
    """Log artifacts in a run of their own and return how their saves ended."""
    config = RoomConfigs(artifacts=ArtifactsConfig(**rooms))
    async with running_registry(tmp_path, server.base_url, rooms=config) as registry:
        rank = Rank(tmp_path)
        await rank.attach(registry)
        rank.add(*given)
        rank.send()
        ends = [await end_of(registry, each.client_id) for each in given]
        await rank.finish()
        await until(lambda: "r1" in server.complete)
        await until(lambda: not registry.runs(active_only=True))
    return ends


def chunked(server: FakeServer) -> FakeServer:
    server.features = [FEATURE]
    return server


async def test_a_version_is_made_with_the_calls_of_the_reference(tmp_path: Path) -> None:
    given = logged(run_dir_of(tmp_path), FILES, metadata={"k": [1, None]}, tags=["t1"])
    async with fake_server() as server:
        (end,) = await save(tmp_path, server, given)
        assert (end.state, end.files_done, end.bytes_done) == ("COMMITTED", 4, 4006)
        store = server.artifacts
        assert store.calls == [
            "CreateArtifact",
            "CreateArtifactManifest",
            "CreateArtifactFiles",
            "CreateArtifactManifest",
            "CommitArtifact",
        ]
        (version,) = store.committed("model")
        assert end.artifact_id == version.id
        assert {path: store.content(version, path) for path in FILES} == FILES
        assert version.input["metadata"] == '{"k":[1,null]}'
        assert version.input["runName"] == "r1"
        assert version.input["tags"] == [{"tagName": "t1"}]
        assert list(version.contents) == sorted(FILES)
        assert version.contents["a.txt"] == {
            "digest": md5_of(b"hello"),
            "size": 5,
            "birthArtifactID": version.id,
        }
    assert not list((run_dir_of(tmp_path) / "artifacts").iterdir())


async def test_an_artifact_does_not_wait_for_the_interval_of_rows(tmp_path: Path) -> None:
    rows_hourly = {"x_disable_stats": True, "x_file_stream_transmit_interval": 3600}
    given = logged(run_dir_of(tmp_path), FILES)
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path, settings=rows_hourly)
        await rank.attach(registry)
        rank.log({"a": 1})
        rank.send()
        await until(lambda: rank.writer is not None and rank.writer.uploaded_seq == rank.last_seq)
        rank.add(given)
        rank.send()
        assert (await end_of(registry, given.client_id)).state == "COMMITTED"
        await rank.finish()
        await until(lambda: "r1" in server.complete)


async def test_a_server_of_ours_gets_chunks_and_only_new_ones(tmp_path: Path) -> None:
    run_dir = run_dir_of(tmp_path)
    big = bytearray(random.Random(1).randbytes(12 * 1024 * 1024))
    first = logged(run_dir, {**FILES, "big": bytes(big), "same": b"hello"})
    big[6_000_000:6_100_000] = random.Random(2).randbytes(100_000)
    second = logged(run_dir, {**FILES, "big": bytes(big), "same": b"hello"})
    async with fake_server() as server:
        ends = await save(tmp_path, chunked(server), first, second)
        assert [end.state for end in ends] == ["COMMITTED", "COMMITTED"]
        store = server.artifacts
        assert "CreateArtifactFiles" not in store.calls
        v0, v1 = store.committed("model")
        assert store.content(v0, "same") == b"hello"
        assert store.content(v0, "dir/sub/empty") == b""
        assert store.content(v1, "big") == bytes(big)
        assert v0.contents["big"]["digest"] != v1.contents["big"]["digest"]
        assert ends[1].bytes_sent < 1_000_000 < 12_000_000 < ends[0].bytes_sent


async def test_equal_contents_make_no_second_version_and_that_is_told(tmp_path: Path) -> None:
    run_dir = run_dir_of(tmp_path)
    async with fake_server() as server:
        ends = await save(tmp_path, server, logged(run_dir, FILES), logged(run_dir, FILES))
        assert {end.artifact_id for end in ends} == {server.artifacts.versions[0].id}
        # older servers refuse a field that they do not know
        assert "tags" not in server.artifacts.versions[0].input
        assert len(server.artifacts.versions) == 1
        assert [end.is_unchanged for end in ends] == [False, True]


async def test_versions_of_a_name_are_committed_in_the_order_of_logging(tmp_path: Path) -> None:
    run_dir = run_dir_of(tmp_path)
    given = [logged(run_dir, {"n": b"%d" % n}, "ab"[n % 2]) for n in range(20)]
    async with fake_server() as server:
        await save(tmp_path, server, *given)
        for offset, name in enumerate("ab"):
            committed = server.artifacts.committed(name)
            contents = [server.artifacts.content(version, "n") for version in committed]
            assert contents == [b"%d" % n for n in range(offset, 20, 2)]


async def test_a_manifest_beside_its_record_is_read_in_blocks(tmp_path: Path) -> None:
    run_dir = run_dir_of(tmp_path)
    files = {f"d{n % 7}/{n}": b"%d" % n for n in range(5000)}
    given = beside(logged(run_dir, files), run_dir)
    async with fake_server() as server:
        (end,) = await save(tmp_path, chunked(server), given)
        assert (end.state, end.files_total, end.files_done) == ("COMMITTED", 5000, 5000)
        assert server.artifacts.calls.count("known") == 2
        (version,) = server.artifacts.committed("model")
        assert list(version.contents) == sorted(files)
    assert not list((run_dir / "artifacts").iterdir())


async def test_a_partial_manifest_says_what_it_changes(tmp_path: Path) -> None:
    run_dir = run_dir_of(tmp_path)
    kept = ArtifactEntry("kept", "ZA==", 3, birth_artifact_id="QXJ0aWZhY3Q6MQ==")
    draft = record([kept], "draft", base_id="QXJ0aWZhY3Q6MQ==")
    async with fake_server() as server:
        await save(
            tmp_path,
            server,
            logged(run_dir, {"a": b"1"}, "inc"),
            logged(run_dir, {"b": b"2"}, "inc", incremental=True),
            draft,
        )
        v0, v1 = server.artifacts.committed("inc")
        manifest = v1.manifests[-1]
        assert manifest["manifestType"] == "INCREMENTAL"
        assert manifest["name"] == "wandb_manifest.incremental.json"
        assert manifest["baseArtifactID"] == v0.id
        assert list(v1.contents) == ["b"]
        (version,) = server.artifacts.committed("draft")
        assert version.manifests[-1]["baseArtifactID"] == "QXJ0aWZhY3Q6MQ=="
        assert version.contents["kept"]["birthArtifactID"] == "QXJ0aWZhY3Q6MQ=="


async def test_ranks_fill_one_version_and_the_last_one_commits_it(tmp_path: Path) -> None:
    run_dir = run_dir_of(tmp_path)
    parts = [
        logged(run_dir, {f"r{n}": b"%d" % n}, distributed_id="d", finalize=n == 2) for n in range(3)
    ]
    async with fake_server() as server:
        ends = await save(tmp_path, chunked(server), *parts)
        assert {end.state for end in ends} == {"COMMITTED"}
        (version,) = server.artifacts.versions
        assert version.state == "COMMITTED"
        assert {m["name"] for m in version.manifests} == {"wandb_manifest.patch.json"}
        assert sorted(version.contents) == ["r0", "r1", "r2"]
        assert server.artifacts.calls.count("CommitArtifact") == 1


async def test_a_draft_that_is_used_belongs_to_no_run_and_becomes_its_input(tmp_path: Path) -> None:
    given = logged(run_dir_of(tmp_path), FILES, use_after_commit=True)
    async with fake_server() as server:
        (end,) = await save(tmp_path, server, given)
        assert server.artifacts.versions[0].input["runName"] is None
        (use,) = server.artifacts.uses
        assert (use["artifactID"], use["runName"]) == (end.artifact_id, "r1")


async def test_references_to_drafts_get_the_id_of_what_they_became(tmp_path: Path) -> None:
    run_dir = run_dir_of(tmp_path)
    target = logged(run_dir, {"t": b"target"}, "target")
    reference = f"wandb-client-artifact://{target.client_id}/t"
    pointing = record([ArtifactEntry("r", md5_of(b"target"), 0, reference)], "pointing")
    lost = record([ArtifactEntry("r", "d", 0, "wandb-client-artifact://nobody/t")], "lost")
    async with fake_server() as server:
        ends = await save(tmp_path, server, target, pointing, lost)
        (version,) = server.artifacts.committed("pointing")
        (became,) = server.artifacts.committed("target")  # names are saved in any order
        hex_id = base64.b64decode(became.id).hex()
        assert version.contents["r"]["ref"] == f"wandb-artifact://{hex_id}/t"
        assert (ends[2].state, ends[2].error_code) == ("FAILED", "REFERENCE_UNKNOWN")


@pytest.mark.parametrize("in_file", [False, True])
async def test_digests_that_a_server_does_not_take_are_made_again(
    tmp_path: Path, in_file: bool
) -> None:
    run_dir = run_dir_of(tmp_path)
    given = logged(run_dir, {"a": b"1", "b": b"2"})
    new = [
        ArtifactEntry(e.path, xxh(b"12"[n : n + 1]), 1, None, e.local_path, {"alg": "XXH128"})
        for n, e in enumerate(given.entries)
    ]
    given = record(new, "model", 10_000 + in_file, digest_algorithm="XXH128", digest="x")
    async with fake_server() as server:
        (end,) = await save(tmp_path, server, beside(given, run_dir) if in_file else given)
        assert end.state == "COMMITTED"
        (version,) = server.artifacts.committed("model")
        assert version.contents["a"] == {
            "digest": md5_of(b"1"),
            "size": 1,
            "birthArtifactID": version.id,
        }
        same = [ArtifactEntry("a", md5_of(b"1")), ArtifactEntry("b", md5_of(b"2"))]
        assert version.input["digest"] == manifest_digest(same)
        assert version.input["digestAlgorithm"] == "MANIFEST_MD5"
    assert not list((run_dir / "artifacts").iterdir())


async def test_a_file_that_changed_is_not_digested_again(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"2")
    entry = ArtifactEntry("a", xxh(b"1"), 1, None, str(tmp_path / "mine"), {"alg": "XXH128"})
    async with fake_server() as server:
        (end,) = await save(tmp_path, server, record([entry], digest_algorithm="XXH128"))
        assert (end.state, end.error_code) == ("FAILED", "FILE_CHANGED")
        assert not server.artifacts.versions


async def test_a_server_that_takes_xxh128_gets_it(tmp_path: Path) -> None:
    entry = logged(run_dir_of(tmp_path), {"a": b"1"}).entries[0]
    new = ArtifactEntry("a", xxh(b"1"), 1, None, entry.local_path, {"alg": "XXH128"})
    given = record([new], digest_algorithm="XXH128", digest="x")
    async with fake_server() as server:
        server.artifacts.takes_xxh128 = True
        (end,) = await save(tmp_path, chunked(server), given)
        assert end.state == "COMMITTED"
        (version,) = server.artifacts.committed("model")
        assert version.contents["a"]["extra"] == {"alg": "XXH128"}


async def test_large_files_go_in_parts_where_the_server_wants_that(tmp_path: Path) -> None:
    data = os.urandom(3_000_001)
    given = logged(run_dir_of(tmp_path), {"big": data, "small": b"s"})
    async with fake_server() as server:
        server.artifacts.multipart = True
        (end,) = await save(
            tmp_path, server, given, multipart_bytes=1_000_000, part_bytes=1_000_000
        )
        assert end.state == "COMMITTED"
        assert server.artifacts.content(server.artifacts.versions[0], "big") == data
        ((_, parts),) = server.artifacts.parts.items()
        assert [len(parts[n]) for n in sorted(parts)] == [1_000_000] * 3 + [1]


async def test_the_end_of_a_run_waits_for_its_artifacts(tmp_path: Path) -> None:
    gate = anyio.Event()

    async def hold(_request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        await gate.wait()
        return await answer()

    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        chunked(server).faults["chunks"] = hold
        rank = Rank(tmp_path)
        await rank.attach(registry)
        rank.add(logged(run_dir_of(tmp_path), {"a": b"1"}))
        rank.send()
        await rank.finish()
        await until(lambda: "CreateArtifact" in server.artifacts.calls)
        await anyio.sleep(0.3)
        assert "r1" not in server.complete
        assert not server.artifacts.committed("model")
        gate.set()
        await until(lambda: "r1" in server.complete)
        assert server.artifacts.committed("model")


async def test_a_save_that_begins_while_its_watcher_is_told_that_it_did_not_is_seen(
    tmp_path: Path,
) -> None:
    saves = Saves(tmp_path)
    watching = saves.watch("c")
    assert (await anext(watching)).name == ""
    saves.begin(Save("k", "c", "model", "model"))  # the words before are just on their way
    with anyio.fail_after(120):
        assert (await anext(watching)).name == "model"
    await watching.aclose()


async def test_copies_of_a_process_that_was_killed_go_with_the_end_of_its_run(
    tmp_path: Path,
) -> None:
    staging = staging_folder(run_dir_of(tmp_path))
    left = staging / "process-0123456789abcdef" / "draft"
    left.mkdir(parents=True)
    (left / "1-0").write_bytes(b"staged")
    alive = ProcessFolder(staging.parent / "other")
    alive.path.rename(staging / alive.path.name)
    async with fake_server() as server, running_registry(tmp_path, server.base_url) as registry:
        rank = Rank(tmp_path)
        await rank.attach(registry)
        await rank.finish()
        await until(lambda: not registry.runs(active_only=True))
        assert [path.name for path in staging.iterdir()] == [alive.path.name]
