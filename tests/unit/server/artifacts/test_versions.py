"""Making versions: the no-op rule, ids of clients, digests, what a commit wants."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.server.artifact_client import Logger, base64_md5, entry
from tests.unit.server.serving import Serving, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path / "server") as server:
        yield server


def _fsck(server: Serving) -> None:
    answer = server.http.get("/api/v1/fsck?verify=true").json()
    assert answer["ok"], answer


def _logical(files: dict[str, bytes]) -> str:
    lines = "".join(f"{path}:{base64_md5(data)}\n" for path, data in sorted(files.items()))
    return hashlib.md5(b"wandb-artifact-manifest-v1\n" + lines.encode()).hexdigest()


def test_a_version_has_the_files_the_digest_and_the_sizes_that_were_logged(
    server: Serving,
) -> None:
    files = {"b/ü.txt": b"two", "a": b"one" * 1000, "a b#?%": b"", "line\nend\n": b"x"}
    artifact = Logger(server).log(files)
    fields = (
        "digest commitHash size storageBytes fileCount state versionIndex files { totalCount edges "
    )
    shown = Logger(server).read(artifact, fields + "{ node { name directUrl url sizeBytes } } }")
    assert shown["digest"] == _logical(files)
    assert shown["commitHash"]  # without one, the real client's `commit_hash` fails
    assert (shown["size"], shown["storageBytes"], shown["fileCount"]) == (3004, 3004, 4)
    assert (shown["state"], shown["versionIndex"]) == ("COMMITTED", 0)
    nodes = [edge["node"] for edge in shown["files"]["edges"]]
    assert [node["name"] for node in nodes] == sorted(files)
    for node in nodes:
        signed = server.http.get(node["directUrl"], headers={"authorization": ""})
        assert signed.content == server.http.get(node["url"]).content == files[node["name"]]
        refused = server.http.get(node["url"], headers={"authorization": ""})
        assert refused.status_code == 401
    part = server.http.get(nodes[0]["directUrl"], headers={"range": "bytes=1-4"})
    assert (part.status_code, part.content) == (206, b"neon")
    _fsck(server)


def test_the_manifest_names_birth_versions_and_no_place_on_the_writers_machine(
    server: Serving,
) -> None:
    logger = Logger(server)
    first = logger.log({"a": b"one"})
    second = logger.create()["id"]
    assert logger.upload(second, b"one", b"two") == 1
    secret = {"local_path": "/home/somebody/a", "skip_cache": True, "birthArtifactID": "bogus"}
    contents = {
        "a": entry(b"one", **secret),
        "b": entry(b"two"),
        "r": {"digest": "etag", "ref": "s3://bucket/key", "size": 7, "extra": {"etag": "etag"}},
    }
    assert logger.put_manifest(logger.announce(second), contents).status_code == 200
    logger.commit(second)
    assert logger.manifest(second) == {
        "a": entry(b"one", birthArtifactID=first),
        "b": entry(b"two", birthArtifactID=second),
        "r": contents["r"],
    }
    assert logger.read(second, "size storageBytes") == {"size": 13, "storageBytes": 6}


def test_the_digest_of_the_latest_version_gets_that_version(server: Serving) -> None:
    logger = Logger(server)
    one, two = {"a": b"one"}, {"a": b"two"}
    first = logger.log(one, _logical(one))
    aliases = [{"alias": "again"}, {"alias": "latest"}]
    assert logger.create(_logical(one), aliases=aliases)["state"] == "COMMITTED"
    assert logger.named("again") == {"id": first, "versionIndex": 0}
    second = logger.log(two, _logical(two))
    third = logger.log(one, _logical(one))  # the latest is another one by now
    assert len({first, second, third}) == 3
    assert logger.named("latest", "id")["id"] == third
    forced = logger.create(_logical(one), enableDigestDeduplication=False)
    assert forced["state"] == "PENDING"


def test_a_clients_id_always_means_the_version_it_made(server: Serving) -> None:
    logger = Logger(server)
    made = logger.create(clientID="c" * 128)
    again = logger.create("another", clientID="c" * 128)
    assert (again["id"], again["state"]) == (made["id"], "PENDING")
    assert logger.put_manifest(logger.announce(made["id"]), {}).status_code == 200
    logger.commit(made["id"])
    assert logger.create(clientID="c" * 128)["state"] == "COMMITTED"
    # Another client whose artifact turned out to be this one may be referred to, too.
    empty = "64e7c61456b10382e2f3b571ac24b659"
    assert logger.create(empty, clientID="d" * 128)["id"] == made["id"]
    query = "query Q($id: ID!) { clientIDMapping(clientID: $id) { serverID } }"
    for client in ("c", "d"):
        mapped = server.graphql(query, {"id": client * 128})["clientIDMapping"]
        assert mapped == {"serverID": made["id"]}
    assert server.graphql(query, {"id": "e"})["clientIDMapping"] is None
    logger.delete(made["id"])
    assert server.graphql(query, {"id": "c" * 128})["clientIDMapping"] is None


def test_other_bytes_than_announced_are_refused_and_leave_nothing(server: Serving) -> None:
    logger = Logger(server)
    artifact = logger.create()["id"]
    target = logger.targets(artifact, b"right")[0]
    assert target["uploadHeaders"][0] == f"Content-MD5:{base64_md5(b'right')}"
    answer = logger.put(target["uploadUrl"], b"wrong")
    assert answer.status_code == 400 and "DIGEST_MISMATCH" in answer.text
    assert logger.targets(artifact, b"right")[0]["uploadUrl"] is not None
    _fsck(server)


def test_a_manifest_without_its_files_is_refused(server: Serving) -> None:
    logger = Logger(server)
    artifact = logger.create()["id"]
    url = logger.announce(artifact)
    logger.upload(artifact, b"there")
    answer = logger.put_manifest(url, {"a": entry(b"there"), "gone": entry(b"not there")})
    assert answer.status_code == 409 and "'gone'" in answer.text
    body = server.post_graphql(
        "mutation M($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }",
        {"id": artifact},
    )
    assert body.status_code == 409 and "manifest" in body.text
    assert logger.named("latest") is None
    assert logger.put_manifest(url, {"a": entry(b"there")}).status_code == 200  # tried again
    logger.commit(artifact)
    _fsck(server)


def test_a_committed_version_takes_nothing_more(server: Serving) -> None:
    logger = Logger(server)
    artifact = logger.create()["id"]
    url = logger.announce(artifact)
    target = logger.targets(artifact, b"late")[0]
    logger.put_manifest(url, {})
    committed = logger.commit(artifact)
    assert logger.commit(artifact) == committed
    assert logger.put_manifest(url, {"a": entry(b"late")}).status_code == 409
    assert logger.put(target["uploadUrl"], b"late").status_code == 409
    assert logger.manifest(artifact) == {}
    _fsck(server)


def test_an_upload_needs_the_signature_made_for_it(server: Serving) -> None:
    logger = Logger(server)
    artifact = logger.create()["id"]
    url = logger.targets(artifact, b"one")[0]["uploadUrl"]
    other = url.replace(hashlib.md5(b"one").hexdigest(), hashlib.md5(b"two").hexdigest())
    assert logger.put(other, b"two").status_code == 401
    manifest = logger.announce(artifact)
    moved = manifest.replace("/artifact_manifests/", "/artifact_manifests/9")
    assert logger.put(moved, b"{}").status_code == 401
    assert logger.put(manifest.partition("?")[0], b"{}").status_code == 401


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("aliases", [{"alias": "a/b"}], "alias"),
        ("aliases", [{"alias": "v3"}], "means a version"),
        ("tags", [{"tagName": "a,b"}], "tag"),
        ("metadata", json.dumps({str(i): 0 for i in range(101)}), "101 keys"),
        ("tags", [{"tagName": f"t{i}"} for i in range(101)], "100 tags"),
        ("aliases", [{"alias": f"a{i}"} for i in range(101)], "101 aliases"),
        ("distributedID", "x" * 513, "distributed_id"),
        ("metadata", "[1]", "object"),
        ("metadata", "{", "no JSON"),
        ("metadata", '{"a": [1e999]}', "1e999"),
        ("metadata", '{"a": -Infinity}', "finite number"),
        ("metadata", '{"a": ["\\ud800"]}', "no Unicode"),
        ("metadata", '{"a": ' + "[" * 200 + "]" * 200 + "}", "201 levels"),
        ("metadata", '{"a": ' + "[" * 10_000 + "]" * 10_000 + "}", "no JSON"),
        ("ttlDurationSeconds", 0, "ttlDurationSeconds"),
        ("digest", "", "digest"),
        ("projectName", "wandb-registry-model", "link"),
        ("artifactCollectionName", "a/b", "collection"),
        ("artifactTypeName", "", "type"),
        ("runName", "nobody", "nobody"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    server: Serving, field: str, value: Any, words: str
) -> None:
    given = {
        "projectName": "p",
        "artifactTypeName": "t",
        "artifactCollectionName": "a",
        "digest": "d",
        field: value,
    }
    query = "mutation M($i: CreateArtifactInput!) { createArtifact(input: $i) { artifact { id } } }"
    answer = server.post_graphql(query, {"i": given})
    assert answer.status_code in (400, 404) and words in answer.text, answer.text
    assert Logger(server).server.graphql('{ project(name: "p") { name } }')["project"] is None


def test_another_type_under_the_name_is_a_conflict(server: Serving) -> None:
    Logger(server).log({"a": b"1"})
    query = "mutation M($i: CreateArtifactInput!) { createArtifact(input: $i) { artifact { id } } }"
    given = {
        "projectName": "p",
        "artifactTypeName": "model",
        "artifactCollectionName": "a",
        "digest": "d",
    }
    answer = server.post_graphql(query, {"i": given})
    assert answer.status_code == 409 and "'data'" in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/artifact_manifests/{10**30}"),
        ("PUT", f"/artifact_manifests/{10**30}"),
        ("DELETE", f"/artifact_manifests/{10**30}"),
        ("PUT", f"/artifact_files/{10**30}/MD5/{'0' * 32}"),
        ("PUT", f"/artifact_files/1/SHA/{'0' * 32}"),
        ("PUT", f"/artifact_parts/x/{10**30}"),
        ("GET", f"/artifactsV2/default/e/p/c/QXJ0aWZhY3Q6OTk5/x/{'0' * 32}/f"),
        ("GET", "/artifactsV2/default/e/p/c/x/y/z"),
        ("GET", "/artifacts/e/zz"),
    ],
)
def test_an_address_of_nothing_is_not_found(server: Serving, method: str, path: str) -> None:
    assert server.http.request(method, path).status_code == 404
