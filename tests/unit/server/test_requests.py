"""Bad requests: typed answers, nothing lost, no traceback."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest
from tests.unit.server.serving import Http, Serving, serving

from trackd_proto.wandb_http import operations
from trackd_proto.wandb_http.operations import Operation
from trackd_server.api.graphql import Engine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path


STREAM = "/files/local/p/r/file_stream"
CREATE_FILES = """mutation($files: [String!]!) { createRunFiles(input: {projectName: "p",
  runName: "r", files: $files}) { runID uploadHeaders files { name uploadUrl } } }"""


@pytest.fixture
def server(tmp_path: Path) -> Generator[Serving]:
    with serving(tmp_path / "server") as opened:
        yield opened


@pytest.fixture
def stranger(server: Serving) -> Http:
    """A client without the key, and not on the loopback interface."""
    server.http.headers.pop("authorization")
    return server.http


@pytest.mark.parametrize("path", ["/graphql", STREAM])
@pytest.mark.parametrize("header", ["", "Basic AAAA", "Basic ///", "Bearer x", "Digest y"])
def test_a_wrong_key_is_told_with_a_message(stranger: Http, path: str, header: str) -> None:
    answer = stranger.post(path, json={}, headers={"authorization": header} if header else {})
    assert answer.status_code == 401
    assert "API key" in answer.json()["errors"][0]["message"]


def test_pages_and_documents_are_not_for_strangers(stranger: Http) -> None:
    assert stranger.get("/").status_code == 401
    assert stranger.get("/api/v1/runs/local/p/r/document").status_code == 401
    assert stranger.get("/healthz").status_code == 200
    form = stranger.get("/", headers={"accept": "text/html"})
    assert form.status_code == 401 and "<form" in form.text


def test_a_browser_logs_in_with_the_key(stranger: Http, server: Serving) -> None:
    assert stranger.post("/login", data={"key": "wrong"}).status_code == 401
    answer = stranger.post("/login", data={"key": server.key}, follow_redirects=False)
    assert answer.status_code == 303
    assert {"httponly", "samesite=strict"} <= set(answer.headers["set-cookie"].lower().split("; "))
    assert stranger.get("/").status_code == 200
    assert stranger.get("/", headers={"host": "rebound.example"}).status_code == 403


@pytest.mark.parametrize("header", ["origin", "referer"])
def test_other_sites_change_nothing(server: Serving, header: str) -> None:
    foreign = {header: "https://evil.example/x"}
    assert server.http.post(STREAM, json={}, headers=foreign).status_code == 403
    own = {header: "http://127.0.0.1:8087"}
    assert server.http.post(STREAM, json={}, headers=own).status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no GraphQL request"),
        (b"[]", "no GraphQL request"),
        (b'{"query": 5}', "no GraphQL request"),
        (b'{"query": "\xff"}', "no GraphQL request"),
        (b'{"query": "{"}', "Syntax Error"),
        (b'{"query": "{ nonsense }"}', "Cannot query field 'nonsense' on type 'Query'"),
        (b'{"query": "{ viewer { id } }", "operationName": "other"}', "Unknown operation"),
    ],
)
def test_junk_graphql_is_answered_with_errors(server: Serving, body: bytes, said: str) -> None:
    answer = server.http.post("/graphql", content=body)
    assert answer.status_code == 400
    assert said in answer.json()["errors"][0]["message"]


def test_a_deep_operation_is_refused(server: Serving) -> None:
    answer = server.post_graphql("{ viewer " * 3000 + "}" * 3000)
    assert answer.status_code == 400 and answer.json()["errors"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"files": 5}',
        b'{"files": {"wandb-history.jsonl": {"offset": -1, "content": ["{}"]}}}',
        b'{"files": {"wandb-history.jsonl": {"offset": 9007199254740993, "content": ["{}"]}}}',
        b'{"files": {"../x": {"offset": 0, "content": ["{}"]}}}',
        b'{"files": {"x": {"offset": 0, "content": [5]}}}',
        b"[" * 100_000,
    ],
)
def test_a_broken_stream_request_is_refused_whole(server: Serving, body: bytes) -> None:
    answer = server.http.post(STREAM, content=body)
    assert answer.status_code == 400 and answer.json()["errors"][0]["message"]
    assert server.http.post(STREAM, json={}).status_code == 200


def test_nan_outside_of_a_line_is_taken(server: Serving) -> None:
    body = b'{"files": {}, "exitcode": 0, "other": NaN}'
    assert server.http.post(STREAM, content=body).status_code == 200


def test_gzip_bodies_are_unpacked_and_bombs_are_not(server: Serving) -> None:
    def send(content: bytes) -> int:
        headers = {"content-encoding": "gzip"}
        return server.http.post(STREAM, content=content, headers=headers).status_code

    row = {"files": {"wandb-history.jsonl": {"offset": 0, "content": ['{"_step":0,"x":1}']}}}
    assert send(gzip.compress(json.dumps(row).encode())) == 200
    assert server.document()["history"] == [{"_step": 0, "x": 1}]
    assert send(b"not gzip") == 400
    assert send(gzip.compress(json.dumps(row).encode())[:-9]) == 400
    assert send(gzip.compress(b" " * (64 << 20), 1)) == 413


def test_a_body_beyond_the_limit_is_refused_early(server: Serving) -> None:
    headers = {"content-length": str(1 << 40)}
    assert server.http.post(STREAM, content=b"{}", headers=headers).status_code == 413


@pytest.mark.parametrize("name", ["a/b", "..", "a\x00b", "x" * 200])
def test_a_bad_run_id_is_refused_by_name(server: Serving, name: str) -> None:
    upsert = 'mutation($n: String) { upsertBucket(input: {name: $n, modelName: "p"}) { inserted } }'
    answer = server.post_graphql(upsert, {"n": name})
    assert answer.status_code == 400
    error = answer.json()["errors"][0]
    assert "Invalid run id name" in error["message"]
    assert error["extensions"]["code"] == "INVALID_REQUEST"


@pytest.mark.parametrize("field", ["config", "summaryMetrics"])
@pytest.mark.parametrize("text", ["{", "[1]", "5", "[" * 100_000])
def test_config_and_summary_must_be_objects(server: Serving, field: str, text: str) -> None:
    given = {"input": {"name": "r", field: text}}
    upsert = "mutation($input: UpsertBucketInput!) { upsertBucket(input: $input) { inserted } }"
    answer = server.post_graphql(upsert, given)
    assert answer.status_code == 400 and f"Invalid {field}"[:13] in answer.text


def test_a_damaged_line_costs_itself_only(server: Serving) -> None:
    lines = ['{"_step":0,"x":1}', "garbage", '{"_step":2,"x":NaN}', "[1]", '{"_step":4,"x":5}']
    server.stream({"files": {"wandb-history.jsonl": {"offset": 0, "content": lines}}})
    assert [row["_step"] for row in server.document()["history"]] == [0, 2, 4]
    assert server.http.get("/local/p/runs/r").status_code == 200


def test_files_are_found_by_a_pattern_that_never_searches_for_ever(server: Serving) -> None:
    server.upsert()
    names = ["a" * 200, "a.b", "d/a.txt", "axb"]
    for file in server.graphql(CREATE_FILES, {"files": names})["createRunFiles"]["files"]:
        assert server.http.put(file["uploadUrl"], content=b"x").status_code == 200
    for pattern, found in (
        ("a.b", ["a.b"]),
        ("a_b", ["a.b", "axb"]),
        ("%a.%", ["a.b", "d/a.txt"]),
        ("d/%.txt", ["d/a.txt"]),
        ("%", sorted(names)),
        ("%%a%%b%", ["a.b", "axb"]),
        ("%a" * 100 + "b", []),
    ):
        shown = server.run('files(pattern: "%s") { edges { node { name } } }' % pattern)  # noqa: UP031
        assert [edge["node"]["name"] for edge in shown["files"]["edges"]] == found, pattern


def test_pages_of_files_go_on_after_the_last_name_whatever_comes_or_goes(server: Serving) -> None:
    server.upsert()
    names = [f"f{number}" for number in range(7)] + ["g"]
    made = server.graphql(CREATE_FILES, {"files": [*names, "a"]})["createRunFiles"]["files"]
    for file in made[:-1]:
        assert server.http.put(file["uploadUrl"], content=b"x").status_code == 200
    seen: list[str] = []
    after, more = "", True
    while more:
        found = server.run(
            f'files(first: 3, after: "{after}", pattern: "f%") {{ totalCount'
            " edges { node { name } cursor } pageInfo { endCursor hasNextPage } }"
        )["files"]
        assert found["totalCount"] == 7
        seen += [edge["node"]["name"] for edge in found["edges"]]
        after, more = found["pageInfo"]["endCursor"], found["pageInfo"]["hasNextPage"]
        assert after == found["edges"][-1]["cursor"]
        # One that lies before the page repeats nothing.
        assert server.http.put(made[-1]["uploadUrl"], content=b"x").status_code == 200
    assert seen == names[:-1]
    nothing = server.run("files(first: 0) { totalCount edges { cursor } }")["files"]
    assert nothing == {"totalCount": 9, "edges": []}


def test_files_go_up_by_signed_address_without_key_and_come_down_again(server: Serving) -> None:
    server.upsert()
    wanted = ["d/name with space ü.txt", "empty.bin", "50%?#.txt"]
    made = server.graphql(CREATE_FILES, {"files": wanted})["createRunFiles"]
    assert [file["name"] for file in made["files"]] == wanted
    key = server.http.headers.pop("authorization")
    for file, content in zip(made["files"], (b"hello", b"", b"x" * 3_000_000), strict=True):
        assert file["uploadUrl"].startswith("http://127.0.0.1:8087/files/")
        assert server.http.put(file["uploadUrl"], content=content).status_code == 200
        bare = file["uploadUrl"].partition("?")[0]
        assert server.http.put(bare, content=content).status_code == 401
        assert server.http.get(file["uploadUrl"]).status_code == 401, "signed for PUT only"
    server.http.headers["authorization"] = key
    listed = server.run(
        "fileCount files(first: 9) { edges { node { id name sizeBytes md5 url directUrl } } }"
    )
    nodes = {edge["node"]["name"]: edge["node"] for edge in listed["files"]["edges"]}
    assert listed["fileCount"] == 3 and list(nodes) == sorted(wanted)
    assert nodes["d/name with space ü.txt"]["md5"] == "XUFAKrxLKna5cZ2REBfFkg=="
    assert nodes["empty.bin"]["sizeBytes"] == 0
    by_name = server.run('files(names: ["./50%?#.txt", "d"]) { edges { node { name } } }')
    assert by_name["files"]["edges"] == [{"node": {"name": "50%?#.txt"}}]
    server.http.headers.pop("authorization")
    for name, size in (("50%?#.txt", 3_000_000), ("empty.bin", 0)):
        answer = server.http.get(nodes[name]["directUrl"])
        assert answer.status_code == 200 and len(answer.content) == size
    part = server.http.get(nodes["50%?#.txt"]["directUrl"], headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, b"x" * 10)
    assert part.headers["content-range"] == "bytes 10-19/3000000"


def test_a_broken_upload_leaves_the_former_version(server: Serving) -> None:
    server.upsert()
    url = "/files/local/p/r/a.txt"
    assert server.http.put(url, content=b"first").status_code == 200

    async def torn() -> AsyncGenerator[bytes]:
        yield b"half of the sec"

    short = server.http.put(url, content=torn(), headers={"content-length": "100"})
    assert short.status_code == 400
    assert server.http.get(url).content == b"first"
    assert server.http.get("/api/v1/usage").json()["disk_blobs"] == 5


def test_html_in_a_run_file_is_never_run_by_a_browser(server: Serving) -> None:
    server.upsert()
    server.http.put("/files/local/p/r/x.html", content=b"<script>alert(1)</script>")
    answer = server.http.get("/files/local/p/r/x.html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none';"), "shown, but nothing of it runs"
    assert "allow-scripts" not in policy and "script-src" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_names_of_missing_things_are_in_the_answer(server: Serving) -> None:
    assert server.http.get("/api/v1/runs/local/p/none/document").status_code == 404
    assert server.http.get("/files/local/p/none/x").status_code == 404
    answer = server.post_graphql(CREATE_FILES, {"files": ["a"]})
    assert answer.status_code == 404 and "local/p/r does not exist" in answer.text
    server.upsert()
    answer = server.post_graphql(CREATE_FILES, {"files": ["a", "../b"]})
    assert answer.status_code == 400 and "Invalid file name" in answer.text


def test_a_project_has_a_page_of_its_runs(server: Serving) -> None:
    server.upsert(name="r1", displayName="first <b>")
    server.upsert(name="r2")
    page = server.http.get("/local/p")
    assert page.status_code == 200
    assert "first &lt;b&gt;" in page.text and 'href="/local/p/runs/r2"' in page.text
    assert 'href="/local/p"' in server.http.get("/local/p/runs/r1").text
    assert server.http.get("/local/none").status_code == 404


def test_the_page_escapes_what_runs_say(server: Serving) -> None:
    evil = "<script>alert(1)</script>"
    server.upsert(displayName=evil, notes=evil, tags=[evil], config={evil: {"value": evil}})
    server.rows({"_step": 0, evil: evil})
    console = {"offset": 0, "content": [json.dumps({"ts": "t", "content": evil})]}
    server.stream({"files": {"output.log": console}})
    server.http.put(f"/files/local/p/r/{quote('<b>.txt')}", content=b"x")
    page = server.http.get("/local/p/runs/r")
    assert page.status_code == 200 and evil not in page.text and "<b>.txt" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert 'http-equiv="refresh"' in page.text, "a living run's page loads itself again"
    server.stream({"complete": True, "exitcode": 0})
    assert 'http-equiv="refresh"' not in server.http.get("/local/p/runs/r").text
    assert urlsplit(str(page.url)).path == "/local/p/runs/r"


def test_a_full_disk_is_a_passing_state_and_loses_nothing(server: Serving) -> None:
    server.rows({"_step": 0, "x": "kept"})
    limited = server.services.database
    with limited.write() as connection:  # the pool has this one connection in a quiet server
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    lines = [json.dumps({"_step": n, "x": "y" * 1000}) for n in range(1, 2000)]
    body = {"files": {"wandb-history.jsonl": {"offset": 1, "content": lines}}}
    answer = server.http.post(STREAM, json=body)
    assert answer.status_code == 503, "a 4xx would make clients give up"
    assert [row["_step"] for row in server.document()["history"]] == [0]
    with limited.write() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert server.http.post(STREAM, json=body).status_code == 200
    assert [row["_step"] for row in server.document()["history"]] == list(range(2000))


def test_the_operations_of_our_agent_fit_the_schema() -> None:
    engine = Engine.build()
    texts = [value.text for value in vars(operations).values() if isinstance(value, Operation)]
    assert len(texts) >= 5
    for text in texts:
        assert not isinstance(engine.document(text), list), text
