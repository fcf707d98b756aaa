"""How versions change and end: aliases, edits, times to live, deletion, uploads in parts."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.server.artifact_client import FILES, Logger, base64_md5, entry
from tests.unit.server.serving import Serving, serving

from trackd_server.domain import names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UPDATE = """mutation UpdateArtifact($input: UpdateArtifactInput!) {
  result: updateArtifact(input: $input) { artifact {
    description metadata ttlDurationSeconds ttlIsInherited tags { name } } } }"""
COMPLETE = """mutation C($parts: [UploadPartsInput!]!, $a: ID!, $path: String!, $id: String!) {
  completeMultipartUploadArtifact(input: {completeMultipartAction: Complete,
    completedParts: $parts, artifactID: $a, storagePath: $path, uploadID: $id}) { digest } }"""
DAY_S = 86_400


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path / "server") as server:
        yield server


def _update(server: Serving, artifact: str, **changes: Any) -> Any:
    answer = server.graphql(UPDATE, {"input": {"artifactID": artifact, **changes}})
    return answer["result"]["artifact"]


def _aliases(server: Serving, artifact: str, verb: str, *names: str) -> None:
    query = "mutation M($i: %sAliasesInput!) { %sAliases(input: $i) { success } }"
    given = {"artifactID": artifact, "aliases": [{"alias": name} for name in names]}
    server.graphql(query % (verb.title(), verb), {"i": given})


def _set_default(server: Serving, seconds: int | None) -> None:
    query = """mutation D($s: Int64) {
      updateArtifactTTLDefault(input: {ttlDurationSeconds: $s}) { success } }"""
    server.graphql(query, {"s": seconds})


def _is_empty(server: Serving) -> bool:
    tables = ("versions", "manifests", "segments", "contents", "cdc_chunks", "packs", "aliases")
    with server.services.database.read() as connection:
        counts = [
            connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
            for table in tables
        ]
    return not any(counts) and server.http.get("/api/v1/fsck").json()["ok"]


def test_what_is_said_of_a_version_changes_alone(server: Serving) -> None:
    artifact = Logger(server).log({"a": b"1"}, tags=[{"tagName": "one"}], description="first")
    changed = _update(server, artifact, metadata='{"x": NaN}', tagsToAdd=[{"tagName": "two"}])
    assert changed["description"] == "first" and changed["metadata"] == '{"x": NaN}'
    assert [tag["name"] for tag in changed["tags"]] == ["one", "two"]
    changed = _update(server, artifact, description="", tagsToDelete=[{"tagName": "one"}])
    assert changed["description"] == "" and changed["tags"] == [{"name": "two"}]


def test_an_alias_is_at_one_version_of_its_collection(server: Serving) -> None:
    logger = Logger(server)
    first, second = logger.log({"a": b"1"}), logger.log({"a": b"2"})
    _aliases(server, first, "add", "best", "x")
    _aliases(server, second, "add", "best")
    assert logger.named("best", "id")["id"] == second
    assert logger.named("x", "id")["id"] == logger.named("v0", "id")["id"] == first
    _aliases(server, first, "delete", "x", "never there")
    assert logger.named("x") is None


def test_a_version_with_aliases_is_deleted_only_together_with_them(server: Serving) -> None:
    logger = Logger(server)
    first, second = logger.log({"a": b"1"}), logger.log({"a": b"2"})
    refused = logger.delete(second, aliases=False)
    assert refused.status_code == 409 and "latest" in refused.text
    assert logger.delete(second).status_code == 200
    assert logger.named("latest", "id")["id"] == first
    assert logger.read(second, "id") is None and logger.named("v1") is None
    third = logger.log({"a": b"3"})
    assert logger.named("latest") == {"id": third, "versionIndex": 2}  # numbers are not used again
    for artifact in (first, third):
        assert logger.delete(artifact).status_code == 200
    assert _is_empty(server)


def test_a_shared_content_stays_as_long_as_one_version_has_it(server: Serving) -> None:
    logger = Logger(server)
    first = logger.log({"a": b"shared", "b": b"own"})
    second = logger.log({"other/name": b"shared"})
    logger.delete(first)
    (edge,) = logger.read(second, "files { edges { node { directUrl } } }")["files"]["edges"]
    assert server.http.get(edge["node"]["directUrl"]).content == b"shared"
    logger.delete(second)
    assert server.http.get(edge["node"]["directUrl"]).status_code == 404
    assert _is_empty(server)


def test_a_draft_can_be_dropped_with_all_that_came_for_it(server: Serving) -> None:
    logger = Logger(server)
    artifact = logger.create(clientID="c")["id"]
    logger.upload(artifact, b"one", b"two" * 50_000)
    logger.put_manifest(logger.announce(artifact), {"a": entry(b"one")})
    assert logger.delete(artifact).status_code == 200
    assert _is_empty(server)


def test_a_manifest_cannot_be_deleted_alone(server: Serving) -> None:
    logger = Logger(server)
    artifact = logger.log({"a": b"1"})
    fields = "currentManifest { file { id url } }"
    file = logger.read(artifact, fields)["currentManifest"]["file"]
    delete_files = "mutation D($ids: [ID!]!) { deleteFiles(input: {files: $ids}) { success } }"
    for answer in (
        server.http.request("DELETE", file["url"]),
        server.post_graphql(delete_files, {"ids": [file["id"]]}),
    ):
        assert answer.status_code == 409
        assert "local/p/a:v0" in answer.text and "deleteArtifact" in answer.text
    assert logger.manifest(artifact)


def test_a_version_is_hidden_when_its_time_is_over_and_then_swept(server: Serving) -> None:
    logger = Logger(server)
    kept = logger.log({"a": b"kept"})
    artifact = logger.log({"a": b"1"}, ttlDurationSeconds=3_600)
    assert logger.read(artifact, "ttlDurationSeconds ttlIsInherited") == {
        "ttlDurationSeconds": 3_600,
        "ttlIsInherited": False,
    }
    sweep = server.services.artifacts.sweep
    assert sweep(7 * DAY_S, time.time() + 3_500) == 0
    shortened = {"input": {"artifactID": artifact, "ttlDurationSeconds": 1}}
    server.post_graphql(UPDATE, shortened)  # not found in the answer, if its second is over
    time.sleep(1.1)
    for found in (logger.read(artifact, "id"), logger.named("v1")):
        assert found is None
    assert sweep(7 * DAY_S) == 1
    assert logger.named("latest", "id")["id"] == kept
    assert server.http.get("/api/v1/fsck").json()["ok"]


def test_an_inherited_time_follows_the_default(server: Serving) -> None:
    logger = Logger(server)
    inherits = logger.log({"a": b"1"})
    own = logger.log({"a": b"2"}, ttlDurationSeconds=30 * DAY_S)
    never = logger.log({"a": b"3"}, ttlDurationSeconds=-2)
    sweep = server.services.artifacts.sweep
    assert sweep(7 * DAY_S, time.time() + 1_000 * DAY_S) == 1  # only the one with its own time
    assert logger.read(own, "id") is None
    _set_default(server, 1_000)
    assert logger.read(inherits, "ttlDurationSeconds ttlIsInherited") == {
        "ttlDurationSeconds": 1_000,
        "ttlIsInherited": True,
    }
    assert sweep(7 * DAY_S, time.time() + 500) == 0
    _set_default(server, None)
    assert sweep(7 * DAY_S, time.time() + 2_000) == 0
    _set_default(server, 1_000)
    assert sweep(7 * DAY_S, time.time() + 2_000) == 1
    assert logger.read(inherits, "id") is None and logger.read(never, "id")


def test_a_version_linked_in_a_registry_does_not_expire(server: Serving) -> None:
    logger = Logger(server)
    artifact = logger.log({"a": b"1"}, ttlDurationSeconds=3_600)
    create = """mutation U($input: UpsertModelInput!) { upsertModel(input: $input) {
      project { id } } }"""
    registry = {"name": "wandb-registry-r", "entityName": "local", "access": "PRIVATE"}
    registry |= {"allowAllArtifactTypesInRegistry": True}
    server.graphql(create, {"input": registry})
    link = """mutation L($input: LinkArtifactInput!) { linkArtifact(input: $input) {
      artifactMembership { artifactCollection { id } } } }"""
    given = {"artifactID": artifact, "artifactPortfolioName": "c", "entityName": "local"}
    made = server.graphql(link, {"input": {**given, "projectName": "wandb-registry-r"}})
    portfolio = made["linkArtifact"]["artifactMembership"]["artifactCollection"]["id"]
    sweep = server.services.artifacts.sweep
    assert sweep(7 * DAY_S, time.time() + 7_200) == 0
    unlink = (
        "mutation U($input: UnlinkArtifactInput!) { unlinkArtifact(input: $input) { success } }"
    )
    server.graphql(unlink, {"input": {"artifactID": artifact, "artifactPortfolioID": portfolio}})
    assert sweep(7 * DAY_S, time.time() + 7_200) == 1
    assert _is_empty(server)


def test_an_abandoned_draft_goes_after_a_week(server: Serving) -> None:
    logger = Logger(server)
    artifact = logger.create()["id"]
    logger.upload(artifact, b"one")
    sweep = server.services.artifacts.sweep
    assert sweep(7 * DAY_S, time.time() + 6.9 * DAY_S) == 0
    assert sweep(7 * DAY_S, time.time() + 7.1 * DAY_S) == 1
    assert _is_empty(server)


def test_a_file_in_parts_is_one_file_when_all_are_there(server: Serving) -> None:
    logger = Logger(server)
    artifact = logger.create()["id"]
    parts = [bytes([number]) * 300_000 for number in range(3)]
    data = b"".join(parts)
    md5s = [hashlib.md5(part).hexdigest() for part in parts]
    wanted = {
        "artifactID": artifact,
        "name": "big",
        "md5": base64_md5(data),
        "uploadPartsInput": [{"partNumber": n, "hexMD5": m} for n, m in enumerate(md5s, 1)],
    }
    made = server.graphql(FILES, {"input": {"artifactFiles": [wanted]}})["createArtifactFiles"]
    node = made["files"]["edges"][0]["node"]
    multipart = node["uploadMultipartUrls"]
    urls = [part["uploadUrl"] for part in multipart["uploadUrlParts"]]
    given = {
        "parts": wanted["uploadPartsInput"],
        "a": artifact,
        "path": node["storagePath"],
        "id": multipart["uploadID"],
    }
    assert logger.put(urls[0], parts[1]).status_code == 400
    for url, part, md5 in list(zip(urls, parts, md5s, strict=True))[:2]:
        assert logger.put(url, part).headers["etag"].strip('"') == md5
    missing = server.post_graphql(COMPLETE, given)
    assert missing.status_code == 409 and "Part 3" in missing.text
    for _ in range(2):  # a part may be sent again
        assert logger.put(urls[2], parts[2]).status_code == 200
    assert server.http.get("/api/v1/fsck").json()["ok"]
    for _ in range(2):  # and so may the end
        done = server.graphql(COMPLETE, given)["completeMultipartUploadArtifact"]
        assert done == {"digest": base64_md5(data)}
    logger.put_manifest(logger.announce(artifact), {"big": entry(data)})
    logger.commit(artifact)
    (edge,) = logger.read(artifact, "files { edges { node { directUrl } } }")["files"]["edges"]
    url = edge["node"]["directUrl"]
    assert server.http.get(url).content == data
    part = server.http.get(url, headers={"range": "bytes=299999-600000"})
    assert part.content == data[299_999:600_001]
    logger.delete(artifact)
    assert _is_empty(server)


def test_parts_are_joined_by_one_request_at_a_time(server: Serving) -> None:
    logger = Logger(server)
    whole, md5 = b"ab", hashlib.md5
    parts = [
        {"partNumber": place + 1, "hexMD5": md5(whole[place : place + 1]).hexdigest()}
        for place in range(2)
    ]
    draft = logger.create()["id"]
    file = {"artifactID": draft, "name": "f", "md5": base64_md5(whole), "uploadPartsInput": parts}
    made = server.graphql(FILES, {"input": {"artifactFiles": [file]}})
    target = made["createArtifactFiles"]["files"]["edges"][0]["node"]
    urls = target["uploadMultipartUrls"]
    for place, part in enumerate(urls["uploadUrlParts"]):
        assert logger.put(part["uploadUrl"], whole[place : place + 1]).status_code == 200
    given = {"parts": parts, "a": draft, "path": target["storagePath"], "id": urls["uploadID"]}
    uploads = server.services.artifacts.uploads
    with uploads._alone(urls["uploadID"]):  # pyright: ignore[reportPrivateUsage]
        assert server.post_graphql(COMPLETE, given).status_code == 503
    for _ in range(2):
        assert server.post_graphql(COMPLETE, given).status_code == 200


def test_an_open_upload_in_parts_goes_with_its_draft(server: Serving) -> None:
    logger = Logger(server)
    artifact = logger.create()["id"]
    part = b"x" * 100_000
    wanted = {
        "artifactID": artifact,
        "name": "big",
        "md5": base64_md5(part * 2),
        "uploadPartsInput": [
            {"partNumber": n, "hexMD5": hashlib.md5(part).hexdigest()} for n in (1, 2)
        ],
    }
    made = server.graphql(FILES, {"input": {"artifactFiles": [wanted]}})["createArtifactFiles"]
    multipart = made["files"]["edges"][0]["node"]["uploadMultipartUrls"]
    assert logger.put(multipart["uploadUrlParts"][1]["uploadUrl"], part).status_code == 200
    logger.delete(artifact)
    assert _is_empty(server)


def test_a_deletion_tells_of_the_version_as_it_was(server: Serving) -> None:
    logger = Logger(server)
    query = """mutation D($id: ID!) {
      deleteArtifact(input: {artifactID: $id, deleteAliases: true}) {
        artifact { id versionIndex aliases { alias } } } }"""
    first, second = logger.log({"a": b"1"}), logger.log({"a": b"2"})
    told = server.graphql(query, {"id": second})["deleteArtifact"]["artifact"]
    assert told == {"id": second, "versionIndex": 1, "aliases": [{"alias": "latest"}]}
    answer = logger.delete(first)  # asks for no more than the id
    assert answer.json()["data"]["result"] == {"artifact": {"id": first}}
    for gone in (first, second):  # whose answer was lost: asked for again
        again = logger.delete(gone)
        assert again.json()["data"]["result"] == {"artifact": {"id": gone}}
        assert server.post_graphql(query, {"id": gone}).status_code == 404
    never = logger.delete(names.storage_id("Artifact", 99))
    assert never.status_code == 404 and "does not exist" in never.text
