"""The statements about storage, each against a real server over HTTP (facts 4, by their numbers).

`books_balance` is asked after every step: no object without row, no row without object, counts
that are right, and parts that add up to the bytes that a walk through the folder finds.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.support.artifact_wire import Artifacts, Refused, bytes_below
from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from tests.support.server import RunningServer

#: 30,000 is the figure of the statement; TRACKD_TEST_VERSIONS=30000 runs it as it is.
VERSIONS = int(os.environ.get("TRACKD_TEST_VERSIONS", "100"))
SEED = int(os.environ.get("TRACKD_TEST_SEED", "5"))


@contextlib.contextmanager
def client(server: RunningServer, project: str = "p") -> Generator[Artifacts]:
    artifacts = Artifacts(server, project)
    try:
        yield artifacts
    finally:
        artifacts.close()


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


def on_disk(server: RunningServer) -> int:
    """Return the bytes of everything that the server keeps, by walking through its folder."""
    names = ("api_key", "address", "server.lock")
    return bytes_below(server.directory) - sum(
        (server.directory / name).stat().st_size for name in names
    )


def books_balance(server: RunningServer, artifacts: Artifacts) -> dict[str, Any]:
    """Check everything that must hold whenever nothing is on its way; return the figures."""
    found = artifacts.fsck(verify=True)
    assert found["ok"], found
    assert not any(found["found"].values()), found
    usage: dict[str, Any] = {}

    def is_at_rest() -> bool:  # the database may grow between two looks at it
        usage.update(artifacts.usage())
        return usage["physical"] == usage["disk"] == on_disk(server)

    until(is_at_rest)
    parts = sum(project["exclusive"] for project in usage["projects"])
    assert parts + usage["shared"] + usage["index"] + usage["in_transit"] == usage["physical"]
    for project in usage["projects"]:
        inner = artifacts.usage(project["name"])
        shown = [*inner["runs"], *inner["collections"]]
        assert inner["physical"] == project["exclusive"], (project, inner)
        assert sum(each["exclusive"] for each in shown) + inner["shared"] == inner["physical"]
        for part in (project, *shown):
            assert sum(part["kinds"].values()) == part["exclusive"], part
    return usage


def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds: a deletion leaves what takes long to the background."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def collection_usage(artifacts: Artifacts, name: str) -> Any:
    return artifacts.usage(f"local/{artifacts.project}/artifacts/{name}")


async def test_1_2_books_balance_and_parts_add_up(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        with client(server) as artifacts, client(server, "other") as others:
            shared, own = noise(300_000, 1), noise(200_000, 2)
            artifacts.run("r")
            first = artifacts.log("a", {"shared": shared, "own": own}, "r")
            books_balance(server, artifacts)
            artifacts.log("a", {"shared": shared, "new": noise(100_000, 3)}, "r")
            artifacts.log("b", {"copy": shared})
            others.log("c", {"copy": shared, "small": b"x"})
            usage = books_balance(server, artifacts)
            assert usage["shared"] >= len(shared)  # between projects
            assert collection_usage(artifacts, "b")["physical"] < 10_000  # its bytes are shared
            artifacts.delete(first)

            def gone() -> int:
                after = books_balance(server, artifacts)
                return usage["disk"] - usage["index"] - after["disk"] + after["index"]

            until(lambda: gone() >= len(own))
            assert gone() < len(own) + 10_000


async def test_3_references_count_as_size_and_not_as_storage(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        with client(server) as artifacts:
            artifacts.log("a", {"ref": "s3://bucket/key", "held": b"x" * 5000})
            [version] = artifacts.versions("a")
            assert (int(version["size"]), int(version["storageBytes"])) == (1_000_005_000, 5000)
            usage = books_balance(server, artifacts)
            assert usage["references"] == 1_000_000_000
            assert (
                usage["logical"] < 10_000 and collection_usage(artifacts, "a")["physical"] < 10_000
            )


async def test_4_manifests_are_a_kind_and_cost_what_changed(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        with client(server) as artifacts:
            for number in range(50):
                artifacts.log("small", {"data": noise(1000, number)})
            kinds = collection_usage(artifacts, "small")["kinds"]
            assert 0 < kinds["manifest"] < 0.4 * 50 * 1000
            files: dict[str, bytes | str] = {f"d/{n:05}": f"s3://b/{n}" for n in range(3000)}
            artifacts.log("large", files)
            before = collection_usage(artifacts, "large")["kinds"]["manifest"]
            for number in range(5):
                files["d/01500"] = f"s3://b/changed-{number}"
                artifacts.log("large", files)
            after = collection_usage(artifacts, "large")["kinds"]["manifest"]
            assert before > 10_000 and after - before < 0.2 * before
            books_balance(server, artifacts)


async def test_5_files_of_a_run_are_its_own_unless_manifests_are_asked_for(tmp_path: Path) -> None:
    query = """{ project(name: "p", entityName: "local") {
      run(name: "r") { files(first: 100%s) { edges { node { name %s } } } } } }"""
    async with running_server(tmp_path) as server:
        with client(server) as artifacts:
            artifacts.run("r")
            artifacts.log("a", {"x": b"1"}, "r")
            plain = artifacts.graphql(query % ("", ""), {})
            assert plain["project"]["run"]["files"]["edges"] == []
            asked = artifacts.graphql(
                query % (", includeManifests: true", "kind state ownerVersion { id }"), {}
            )
            [edge] = asked["project"]["run"]["files"]["edges"]
            [version] = artifacts.versions("a")
            assert edge["node"]["kind"] == "manifest"
            assert edge["node"]["ownerVersion"]["id"] == version["id"]
            assert edge["node"]["state"] == "COMMITTED"


async def test_6_the_manifest_of_a_living_version_cannot_be_deleted_as_a_file(
    tmp_path: Path,
) -> None:
    query = """query ($id: ID!) { artifact(id: $id) { currentManifest { file { id } } } }"""
    delete = """mutation ($input: DeleteFilesInput!) { deleteFiles(input: $input) { success } }"""
    async with running_server(tmp_path) as server:
        with client(server) as artifacts:
            version = artifacts.log("a", {"x": b"1"})
            found = artifacts.graphql(query, {"id": version})["artifact"]["currentManifest"]
            with pytest.raises(Refused, match=r"a:v0(?s:.*)deleteArtifact"):
                artifacts.graphql(delete, {"input": {"files": [found["file"]["id"]]}})
            assert artifacts.versions("a")
            artifacts.delete(version)
            until(lambda: artifacts.usage()["kinds"].get("manifest", 0) == 0)
            books_balance(server, artifacts)


async def test_7_a_loop_of_deletions_leaves_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        with client(server) as artifacts:
            before = books_balance(server, artifacts)
            ids = [artifacts.log("a", {"f": noise(1000, n)}) for n in range(VERSIONS)]
            full = books_balance(server, artifacts)
            for number, version in enumerate(ids):
                artifacts.delete(version)
                if number % max(VERSIONS // 5, 1) == 0:
                    expected = full["projects"][0]["exclusive"] * (1 - (number + 1) / VERSIONS)
                    until(partial(is_near, artifacts, expected))
            blobs = server.directory / "blobs"
            until(lambda: not any(path.is_file() for path in blobs.rglob("*")))
            after = books_balance(server, artifacts)
            used = full["physical"] - full["index"] - before["physical"] + before["index"]
            left = after["physical"] - after["index"] - before["physical"] + before["index"]
            assert left <= used * 0.001


def is_near(artifacts: Artifacts, expected: float) -> bool:
    left = artifacts.usage()["projects"][0]["exclusive"]
    return abs(left - expected) < 3000 + 0.02 * expected


async def test_8_a_kill_at_any_moment_leaves_nothing_half_done(tmp_path: Path) -> None:
    """Threads log and delete versions that share files while the server is killed and restarted."""
    dice = random.Random(SEED)
    pool = [noise(dice.choice((10, 3000, 70_000, 400_000)), n) for n in range(12)]
    for round_ in range(4):
        async with running_server(tmp_path) as server:
            with client(server) as artifacts:
                books_balance(server, artifacts)  # what the last round left
                if round_ == 3:
                    every_version_can_be_read(artifacts)
                    break
                # A slow machine may get no further than this one before the first kill.
                artifacts.log("b", {f"f{n}": pool[n] for n in range(4)})
            workers = [
                threading.Thread(target=log_and_delete, args=(server, pool, f"{SEED}.{round_}.{n}"))
                for n in range(3)
            ]
            for worker in workers:
                worker.start()
            time.sleep(dice.uniform(0.5, 1.5))
            await server.kill()
            for worker in workers:
                worker.join()


def log_and_delete(server: RunningServer, pool: list[bytes], seed: str) -> None:
    """Log and delete until the server is gone."""
    dice = random.Random(seed)
    with client(server) as artifacts, contextlib.suppress(httpx.TransportError, OSError):
        for number in range(10_000):
            picked = dice.sample(range(len(pool)), 3)
            files: dict[str, bytes | str] = {f"f{n}": pool[n] for n in picked}
            files["own"] = f"{seed} {number}".encode()
            with contextlib.suppress(Refused):  # another thread deleted it: that is the test
                artifacts.log(dice.choice("ab"), files)
            for version in dice.sample(found := artifacts.versions("a"), min(len(found), 2)):
                with contextlib.suppress(Refused):
                    artifacts.delete(version["id"])


def every_version_can_be_read(artifacts: Artifacts) -> None:
    """Read every file of every committed version."""
    query = """query ($id: ID!) { artifact(id: $id) {
      files(first: 100) { edges { node { name md5 sizeBytes directUrl } } } } }"""
    read = 0
    for collection in "ab":
        for version in artifacts.versions(collection):
            if version["state"] != "COMMITTED":
                continue
            found = artifacts.graphql(query, {"id": version["id"]})["artifact"]["files"]["edges"]
            assert len(found) == 4
            for edge in found:
                answer = artifacts.http.get(edge["node"]["directUrl"])
                assert answer.status_code == 200, answer.text
                assert len(answer.content) == int(edge["node"]["sizeBytes"])
                read += 1
    assert read


async def test_9_a_dry_run_says_what_a_deletion_frees(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        with client(server) as artifacts:
            common = {"common": noise(500_000, 1)}
            kept = artifacts.log("a", {**common, "x": noise(100_000, 2)})
            gone = artifacts.log("a", {**common, "y": noise(150_000, 3), "z": b"tiny"})
            before = books_balance(server, artifacts)
            expected = artifacts.dry_run(gone)
            assert books_balance(server, artifacts)["disk"] == before["disk"]  # nothing was done
            artifacts.delete(gone)

            def exclusive() -> int:
                projects = books_balance(server, artifacts)["projects"]
                return sum(project["exclusive"] for project in projects)

            held = sum(project["exclusive"] for project in before["projects"])
            assert expected["bytes"] > 150_000
            until(lambda: exclusive() == held - expected["bytes"])
            held -= expected["bytes"]
            last = artifacts.dry_run(kept)
            artifacts.delete(kept)
            until(lambda: exclusive() == held - last["bytes"])


async def test_10_a_full_server_warns_and_names_the_largest_owners(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        with client(server) as artifacts:
            used = artifacts.usage()["physical"]
    limit = used + 40_000_000  # the database grows meanwhile, by some 4 MB
    async with running_server(tmp_path, options=["--max-storage", str(limit)]) as server:
        with client(server) as artifacts:
            artifacts.log("light", {"x": noise(3_000_000, 0)})
            assert not artifacts.usage()["limit"]["warning"]
            artifacts.log("heavy", {"x": noise(30_000_000, 1)})
            assert artifacts.usage()["limit"]["warning"]
            with pytest.raises(Refused, match=r"artifact local/p/heavy \(3\d{7} bytes\)"):
                for number in range(6):
                    artifacts.log("light", {"x": noise(3_000_000, number + 2)})
            assert artifacts.usage()["physical"] <= limit + 2_000_000  # rows come with uploads
            for version in artifacts.versions("heavy"):
                artifacts.delete(version["id"])
            until(lambda: artifacts.usage()["physical"] < used + 20_000_000)
            time.sleep(1.1)  # so old the figure may be with which uploads are compared
            artifacts.log("light", {"x": noise(3_000_000, 9)})  # there is room again
            artifacts.post("/api/v1/gc", {"drop_pending": True})
            books_balance(server, artifacts)


async def test_11_what_was_never_committed_is_shown_and_can_be_dropped(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        with client(server) as artifacts:
            draft = artifacts.create("a", {"x": noise(200_000, 1)})
            artifacts.send_files(draft)
            usage = artifacts.usage()
            assert usage["pending"]["versions"] == 1
            assert usage["pending"]["bytes"] >= 200_000
            assert artifacts.post("/api/v1/gc", {"dry_run": True, "drop_pending": True})[
                "expired_pending"
            ]
            assert artifacts.usage()["pending"]["versions"] == 1
            artifacts.post("/api/v1/gc", {"drop_pending": True})
            assert artifacts.usage()["pending"] == {"versions": 0, "bytes": 0}
            assert not list((server.directory / "blobs").rglob("*.*"))
            books_balance(server, artifacts)


async def test_12_a_version_ends_with_its_time_to_live(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        with client(server) as artifacts:
            ending = artifacts.log("a", {"x": noise(100_000, 1)})
            update = """mutation U($input: UpdateArtifactInput!) {
              updateArtifact(input: $input) { artifact { id } } }"""
            shortened = {"input": {"artifactID": ending, "ttlDurationSeconds": 1}}
            with contextlib.suppress(Refused):  # its second is over already: it is not found
                artifacts.graphql(update, shortened)
            forever = artifacts.log("a", {"x": noise(50_000, 2)}, ttlDurationSeconds=-2)
            time.sleep(1.1)
            assert [version["id"] for version in artifacts.versions("a")] == [forever]
            until(lambda: collection_usage(artifacts, "a")["physical"] <= 100_000)
            books_balance(server, artifacts)
