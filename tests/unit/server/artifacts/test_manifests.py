"""Manifests: hostile ones, partial ones, many entries, and what equal runs of entries cost."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.server.artifact_client import Logger, entry
from tests.unit.server.serving import Serving, serving

from trackd_server.domain.artifacts import segments
from trackd_server.domain.artifacts.arrival import Totals
from trackd_server.domain.artifacts.entries import MAX_SIZE, MD5, Entry, read_manifest
from trackd_server.domain.artifacts.segments import MAX_ENTRIES, cut
from trackd_server.domain.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = {"digest": "1B2M2Y8AsgTpgAmY7PhCfg==", "size": 0}
UPDATE = """mutation U($id: ID!) { updateArtifactManifest(input: {artifactManifestID: $id}) {
  artifactManifest { file { uploadUrl } } } }"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path / "server") as server:
        yield server


def _reference(number: int) -> dict[str, Any]:
    return {"digest": f"etag{number}", "ref": f"s3://bucket/{number}", "size": 1}


def _fsck(server: Serving) -> None:
    answer = server.http.get("/api/v1/fsck?verify=true").json()
    assert answer["ok"], answer["wrong_counts"]


def _kept(server: Serving) -> int:
    with server.services.database.read() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM segments").scalar_one()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"version": 1}',
        b'{"contents": {}}',
        b'{"version": 2, "contents": {}}',
        b'{"version": true, "contents": {}}',
        b'{"version": "1", "contents": {}}',
        b'{"version": 1, "contents": []}',
        b'{"version": 1, "contents": {}} and more',
        b'{"version": 1, "contents": {"a": 1}}',
        b'{"version": 1, "contents": {"a": {"size": 1}}}',
        b'{"version": 1, "contents": {"a": {"digest": "abc", "size": 1}}}',
        b'{"version": 1, "contents": {"a": {"digest": 1, "ref": "s3://x"}}}',
        b'{"version": 1, "contents": {"a": {"digest": "x", "ref": "s3://x", "size": -1}}}',
        b'{"version": 1, "contents": {"a": {"digest": "x", "ref": "s3://x", "size": 1e99}}}',
        b'{"version": 1, "contents": {"a": {"digest": "\\ud800", "ref": "s3://x"}}}',
        b'{"version": 1, "contents": {"a": {"digest": "x", "ref": "s3://x"},}}',
        b'{"version": 1, "contents": {"\xff": {"digest": "x", "ref": "s3://x"}}}',
        b'{"version": 1, "x": ' + b"[" * 100_000 + b'], "contents": {}}',
    ],
)
def test_what_is_no_manifest_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        list(read_manifest(io.BytesIO(body)))


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "/a",
        "a//b",
        "a/",
        "a/../b",
        "../a",
        "a/./b",
        "\\a",
        "C:a",
        "C:\\a",
        "a\\..\\b",
        "\0",
        "\ud800",
        "x" * 5_000,
        "\\\\host\\share\\x",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    body = json.dumps({"version": 1, "contents": {path: FILE}}).encode()
    with pytest.raises(InvalidRequest):
        list(read_manifest(io.BytesIO(body)))


@pytest.mark.parametrize("path", ["a b", "a\tb", "a\nb", "ab:c", "*?<>&%", "a\\b", "é", "é", "..."])
def test_an_odd_path_that_stays_inside_is_taken(path: str) -> None:
    body = json.dumps({"contents": {path: FILE}, "version": 1}).encode()
    assert [found.path for found in read_manifest(io.BytesIO(body))] == [path]


def test_entries_in_any_order_are_sorted_and_two_of_one_path_are_refused(server: Serving) -> None:
    logger = Logger(server)
    artifact = logger.create()["id"]
    url = logger.announce(artifact)
    contents = {f"{number}": _reference(number) for number in range(3_000)}
    twice = json.dumps({"version": 1, "contents": contents})[:-2] + ', "7": {"digest": "x", '
    adjacent = '{"version": 1, "contents": {"a": {"digest": "", "ref": "r://"}, "a": '
    for body in (twice + '"ref": "r://"}}}', adjacent + '{"digest": "", "ref": "r://"}}}'):
        answer = logger.put(url, body.encode())
        assert answer.status_code == 400 and "two entries" in answer.text, answer.text
    assert logger.put_manifest(url, contents).status_code == 200
    logger.commit(artifact)
    assert list(logger.manifest(artifact)) == sorted(contents)
    assert logger.manifest(artifact) == contents


def test_bytes_that_are_not_those_of_content_md5_are_refused(server: Serving) -> None:
    logger = Logger(server)
    url = logger.announce(logger.create()["id"])
    answer = logger.put(url, b'{"version": 1, "contents": {}}', **{"content-md5": "x"})
    assert answer.status_code == 400 and "Content-MD5" in answer.text


def test_a_manifest_that_is_sent_again_is_not_written_again(
    server: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that did not wait for the answer sends the same: that has to be cheap."""
    written: list[int] = []
    append = segments.append

    def noted(connection: Any, number: int, *more: Any) -> None:
        written.append(number)
        append(connection, number, *more)

    monkeypatch.setattr(segments, "append", noted)
    logger = Logger(server)
    artifact = logger.create()["id"]
    url = logger.announce(artifact)
    first, second = {"a": _reference(1)}, {"a": _reference(2)}
    for contents, count in ((first, 1), (first, 1), (second, 2), (first, 3), (first, 3)):
        assert logger.put_manifest(url, contents).status_code == 200
        assert len(written) == count
    logger.commit(artifact)
    assert logger.manifest(artifact)["a"]["ref"] == first["a"]["ref"]
    _fsck(server)


def test_a_version_that_differs_in_k_entries_costs_about_k_segments(server: Serving) -> None:
    logger = Logger(server)
    contents = {f"d/{number:05}": _reference(number) for number in range(20_000)}

    def log() -> int:
        before = _kept(server)
        artifact = logger.create()["id"]
        assert logger.put_manifest(logger.announce(artifact), contents).status_code == 200
        logger.commit(artifact)
        return _kept(server) - before

    assert log() > 150
    for number in (3, 7_777, 19_999):
        contents[f"d/{number:05}"] = {**_reference(number), "digest": "changed"}
    contents["d/12345-new"] = _reference(0)
    del contents["d/00500"]
    assert log() <= 5
    assert log() == 0


def test_files_are_paged_by_place_and_found_by_name(server: Serving) -> None:
    logger = Logger(server)
    artifact = logger.create()["id"]
    contents = {f"{number:05}": _reference(number) for number in range(1_000)}
    logger.put_manifest(logger.announce(artifact), contents)
    logger.commit(artifact)
    names: list[str] = []
    cursor = "null"
    while True:
        fields = "pageInfo { endCursor hasNextPage } edges { node { name } } totalCount"
        page = logger.read(artifact, f"files(first: 333, after: {cursor}) {{ {fields} }}")["files"]
        names += [edge["node"]["name"] for edge in page["edges"]]
        cursor = json.dumps(page["pageInfo"]["endCursor"])
        assert page["totalCount"] == 1_000
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert names == list(contents)
    wanted = 'files(names: ["00999", "00000", "no", "00500"]) { edges { node { name } } }'
    found = logger.read(artifact, wanted)["files"]["edges"]
    assert [edge["node"]["name"] for edge in found] == ["00000", "00500", "00999"]


def test_an_incremental_manifest_is_laid_over_its_base(server: Serving) -> None:
    logger = Logger(server)
    base = logger.log({"a": b"old", "b": b"kept", "d/c": b"kept"})
    artifact = logger.create()["id"]
    url = logger.announce(artifact, "INCREMENTAL", base)
    refused = logger.delete(base)
    assert refused.status_code == 409 and "base" in refused.text
    logger.upload(artifact, b"new", b"more")
    assert logger.put_manifest(url, {"a": entry(b"new"), "e": entry(b"more")}).status_code == 200
    logger.commit(artifact)
    assert {path: shown["size"] for path, shown in logger.manifest(artifact).items()} == {
        "a": 3,
        "b": 4,
        "d/c": 4,
        "e": 4,
    }
    assert logger.delete(base).status_code == 200
    assert len(logger.manifest(artifact)) == 4
    _fsck(server)


def test_ranks_of_one_distributed_artifact_fill_one_version(server: Serving) -> None:
    logger = Logger(server)
    logger.log({"former": b"version"})
    ids: set[str] = set()
    urls: list[str] = []
    for rank in range(4):
        made = logger.create(distributedID="group", clientID=f"{rank}", aliases=[])
        ids.add(made["id"])
        data = b"%d" % rank
        logger.upload(made["id"], data, b"same")
        urls.append(logger.announce(made["id"], "PATCH"))
        if rank < 3:
            contents = {f"rank{rank}": entry(data), "all": entry(data), "same": entry(b"same")}
            assert logger.put_manifest(urls[-1], contents).status_code == 200
    (artifact,) = ids
    logger.commit(artifact)
    contents = logger.manifest(artifact)
    assert sorted(contents) == ["all", "rank0", "rank1", "rank2", "same"]
    assert contents["all"]["digest"] == contents["rank2"]["digest"]  # the last to arrive
    assert logger.put_manifest(urls[3], {}).status_code in (404, 409)  # too late: not silently lost
    assert logger.create(distributedID="group")["id"] != artifact
    _fsck(server)


@given(st.lists(st.text(min_size=1, max_size=5), max_size=300, unique=True))
def test_cuts_keep_all_entries_and_move_only_where_entries_changed(paths: list[str]) -> None:
    given_ = [Entry(path, b"x" * 16) for path in sorted(paths)]
    whole = list(cut(given_))
    assert [found for segment in whole for found in segment.entries] == given_
    assert all(1 <= len(segment.entries) <= MAX_ENTRIES for segment in whole)
    if len(whole) > 1:
        without_first = list(cut(whole[0].entries[1:] + given_[len(whole[0].entries) :]))
        assert {s.hash for s in whole[1:]} <= {s.hash for s in without_first}


def test_sizes_that_no_column_holds_are_refused() -> None:
    totals = Totals(MD5)
    for path in "ab":
        totals.add(Entry(path, b"x", MAX_SIZE, 0, "s3://a"))
    with pytest.raises(InvalidRequest, match="sum up"):
        totals.columns()
