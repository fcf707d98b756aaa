"""Nonsense that must be refused by name, and data that must not break what others read."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
from starlette.requests import Request
from tests.unit.server.serving import Serving, serving

from trackd_server.api import operation_limits
from trackd_server.api.access import _peer_uid  # pyright: ignore[reportPrivateUsage]
from trackd_server.domain import history
from trackd_server.domain.streams import MAX_EXIT_CODE, MAX_LINE_NUMBER

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

STREAM = "/files/local/p/r/file_stream"


@pytest.fixture
def server(tmp_path: Path) -> Generator[Serving]:
    with serving(tmp_path / "server") as opened:
        yield opened


def _nested(levels: int) -> str:
    inner = "{ project { name } }"
    for _ in range(levels):
        inner = "{ project { runs { edges { node " + inner + " } } } }"
    return 'query { project(name: "p") { run(name: "r") ' + inner + " } }"


def _doubling(levels: int) -> str:
    parts = [
        f'fragment F{n} on Run {{ a: project {{ run(name: "r") {{ ...F{n + 1} }} }}'
        f' b: project {{ run(name: "r") {{ ...F{n + 1} }} }} }}'
        for n in range(levels)
    ]
    parts.append(f"fragment F{levels} on Run {{ id }}")
    return 'query { project(name: "p") { run(name: "r") { ...F0 } } } ' + " ".join(parts)


@pytest.mark.parametrize(
    "text",
    [
        _nested(20),
        _doubling(9),
        "query { " + " ".join(f"a{n}: viewer {{ id }}" for n in range(1000)) + " }",
        "query { " + "viewer { id } " * 3000 + " }",
        "query { " + "{" * 5000,
        "fragment A on Run { ...B } fragment B on Run { ...A } query { viewer { ...A } }",
        "x" * 300_000,
        "",
    ],
    ids=["deep", "doubling", "aliases", "repeated", "braces", "circle", "long", "empty"],
)
def test_operations_that_stand_for_too_much_are_refused(server: Serving, text: str) -> None:
    server.upsert()
    answer = server.post_graphql(text)
    assert answer.status_code == 400 and answer.json()["errors"][0]["message"]


_DEEP_JSON = b"[" * 100_000 + b"]" * 100_000
#: Something else, nested; then what the call asks for.
_DEEP_MAP = b"\x82\xa1z" + b"\x91" * 100_000 + b"\xc0\xa5files\x90"


def test_bodies_that_are_nested_without_end_are_refused(server: Serving) -> None:
    artifact = "/api/v1/artifacts/QXJ0aWZhY3Q6MQ=="
    query = b'{"query": "{ viewer { id } }", "variables": {"a": '
    for path, body, said in (
        ("/graphql", query + _DEEP_JSON + b"}}", "no GraphQL request"),
        (STREAM, b'{"z": ' + _DEEP_JSON + b"}", "no file_stream request"),
        (STREAM, b'{"files": {"a": {"z": ' + _DEEP_JSON + b"}}}", "no file_stream request"),
        ("/api/v1/contents/extents", _DEEP_MAP, "what this call takes"),
        ("/api/v1/contents/read", _DEEP_MAP, "what this call takes"),
        (f"{artifact}/known", _DEEP_MAP, "what this call takes"),
    ):
        answer = server.http.post(path, content=body)
        assert answer.status_code == 400 and said in answer.text, (path, answer.text)


def test_a_row_that_is_nested_without_end_costs_itself_only(server: Serving) -> None:
    for name, depth, steps in (
        ("deep", 900, [0, 1, 2]),
        ("deeper", 1_100, [0, 2]),
        ("endless", 100_000, [0, 2]),
    ):
        nested = '{"_step": 1, "x": ' + "[" * depth + "]" * depth + "}"
        lines = ['{"_step": 0, "x": 1}', nested, '{"_step": 2, "x": 3}']
        rows = {"files": {"wandb-history.jsonl": {"offset": 0, "content": lines}}}
        server.stream(rows, name=name)
        assert [row["_step"] for row in server.document(name)["history"]] == steps
        run = server.run('historyKeys history sampledHistory(specs: ["{}"])', name)
        assert run["historyKeys"]["lastStep"] == 2 and len(run["history"]) == 3
        assert [row["_step"] for row in run["sampledHistory"][0] if row] == steps


def test_an_operation_may_not_read_for_ever(
    server: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackd_server.api.resolvers.context.MAX_OPERATION_S", -1.0)
    answer = server.post_graphql('{ project(name: "p") { name } }')
    assert answer.status_code == 400 and "ask for less" in answer.text
    assert operation_limits.MAX_WRITTEN_FIELDS >= 500


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ('history(minStep: "abc")', "no whole number"),
        ("history(minStep: 1e300)", "no whole number"),
        ("history(samples: 1099511627776)", "32-bit"),
        ('sampledHistory(specs: ["{\\"minStep\\": \\"x\\"}"])', "Invalid history spec"),
        ('sampledHistory(specs: ["[]"])', "Invalid history spec"),
        ('sampledHistory(specs: ["{\\"keys\\": 5}"])', "Invalid history spec"),
        (f'sampledHistory(specs: ["{{\\"z\\": {"[" * 5_000}"])', "Invalid history spec"),
    ],
)
def test_wrong_arguments_are_named(server: Serving, field: str, said: str) -> None:
    server.upsert()
    answer = server.post_graphql(
        'query { project(name: "p") { run(name: "r") { %s } } }' % field  # noqa: UP031
    )
    assert answer.status_code == 400 and said in answer.text


#: Python's own `re` would search 60 letters for it until the sun is cold.
ENDLESS = "((((((((((a{1,99}){1,99}){1,99}){1,99}))))))){1,99}b"


@pytest.mark.parametrize(
    "filters", ['{"$and": 5}', '{"state": {"$in": "x"}}', '{"state": {"$x": 1}}', "[" * 100_000]
)
def test_wrong_filters_are_named(server: Serving, filters: str) -> None:
    server.upsert()
    text = 'query($f: JSONString) { project(name: "p") { runCount(filters: $f) } }'
    answer = server.post_graphql(text, {"f": filters})
    assert answer.status_code == 400 and "filters" in answer.text


def test_a_regular_expression_may_not_search_for_ever(server: Serving) -> None:
    server.upsert(displayName="a" * 60)
    text = 'query($f: JSONString) { project(name: "p") { runCount(filters: $f) } }'
    for pattern, status in ((ENDLESS, 400), ("(a|a)*$x", 200), ("^a+$", 200)):
        wanted = json.dumps({"display_name": {"$regex": pattern}})
        answer = server.post_graphql(text, {"f": wanted})
        assert answer.status_code == status, answer.text
    assert answer.json()["data"]["project"]["runCount"] == 1


@pytest.mark.parametrize("cursor", ["²", "9" * 5000, "1:²", "-1", "\x00"])
def test_foreign_cursors_start_at_the_beginning(server: Serving, cursor: str) -> None:
    server.stream({"files": {"output.log": {"offset": 0, "content": ["a"]}}})
    text = """query($c: String) { project(name: "p") { runs(after: $c) { edges { node { name } } }
      run(name: "r") { logLines(after: $c) { edges { node { line } } } } } }"""
    project = server.graphql(text, {"c": cursor})["project"]
    assert project["runs"]["edges"] and project["run"]["logLines"]["edges"]


@pytest.mark.parametrize(
    "body",
    [
        {"complete": True, "exitcode": MAX_EXIT_CODE + 1},
        {"files": {"wandb-history.jsonl": {"offset": MAX_LINE_NUMBER, "content": ["{}"]}}},
        {"files": {"../x": {"offset": 0, "content": ["{}"]}}},
        {"files": {"a\u0000b": {"offset": 0, "content": ["{}"]}}},
    ],
)
def test_numbers_and_names_that_nobody_can_store_are_refused(
    server: Serving, body: dict[str, Any]
) -> None:
    assert server.http.post(STREAM, json=body).status_code == 400
    assert server.stream({"complete": True, "exitcode": -(2**31)})["exitcode"] == -(2**31)


def test_pages_show_whatever_a_program_printed_or_logged(server: Serving) -> None:
    console: list[dict[str, Any]] = [
        {"content": "half a pair \ud800", "ts": 5, "level": ["x"], "label": {}},
        {"content": "<script>alert(1)</script>", "ts": "2026-11-21T00:00:00"},
        {"content": 7},
    ]
    rows = [
        {"_step": 0, "_timestamp": "soon", "<b>key</b>": "\udc80"},
        {"_step": "x", "_timestamp": 1.5, "big": 10**30},
        {"_timestamp": None, "nan": float("nan")},
    ]
    server.rows(*rows)
    lines = [json.dumps(entry) for entry in console]
    server.stream({"files": {"output.log": {"offset": 0, "content": lines}}})
    page = server.http.get("/local/p/runs/r")
    assert page.status_code == 200
    assert "<script>" not in page.text and "<b>key" not in page.text
    fields = 'history sampledHistory(specs: ["{}"]) logLines { edges { node { line timestamp } } }'
    assert len(server.run(fields)["sampledHistory"][0]) == 3
    assert server.http.get("/").status_code == 200


def test_a_label_that_is_no_text_does_not_stop_the_intake(server: Serving) -> None:
    line = '{"ts": "t", "label": "\\ud800", "content": "x"}'
    body = {"files": {"output.log": {"offset": 0, "content": [line]}}}
    server.stream(body, client="c0")
    assert server.document()["console"] == ["x"]


def test_the_document_tells_the_system_metrics_of_every_writer(server: Serving) -> None:
    for client, label in (("", ""), ("c1", "rank_1")):
        events = [json.dumps({"system.cpu": n, "_timestamp": n}) for n in range(2)]
        body = {"files": {"wandb-events.jsonl": {"offset": 0, "content": [*events, "{ }"]}}}
        server.stream(body, client=client, label=label)
    plain = [{"system.cpu": n, "_timestamp": n} for n in range(2)]
    labelled = [{"_label": "rank_1", **row} for row in plain]
    assert server.document()["system"] == plain + labelled


def test_a_file_that_is_gone_does_not_break_the_document(server: Serving) -> None:
    server.upsert()
    assert server.http.put("/files/local/p/r/a.json", content=b"{}").status_code == 200
    for blob in server.services.blobs._folder.rglob("*"):  # pyright: ignore[reportPrivateUsage]
        if blob.is_file():
            blob.unlink()
    assert "json" not in server.document()["files"][0]


def test_a_range_outside_of_the_file_is_told_so(server: Serving) -> None:
    server.upsert()
    server.http.put("/files/local/p/r/a.bin", content=b"12345")
    for wanted in ("bytes=5-", "bytes=9-10"):
        answer = server.http.get("/files/local/p/r/a.bin", headers={"range": wanted})
        assert answer.status_code == 416
    huge = "bytes=" + "9" * 5000 + "-"
    assert server.http.get("/files/local/p/r/a.bin", headers={"range": huge}).status_code == 200


def test_one_of_several_processes_that_failed_is_not_forgotten(server: Serving) -> None:
    server.stream({"complete": True, "exitcode": 3}, client="c0")
    assert server.stream({"complete": True, "exitcode": 0}, client="c1")["exitcode"] == 3
    assert server.run("state")["state"] == "failed"


def test_errors_of_the_database_do_not_tell_what_was_stored(server: Serving) -> None:
    with (
        pytest.raises(Exception) as told,
        server.services.database.write() as connection,
    ):
        connection.exec_driver_sql("INSERT INTO nowhere VALUES (?)", ("secret words",))
    assert "secret words" not in str(told.value)


def test_a_full_database_is_told_as_passing_by_graphql_too(server: Serving) -> None:
    server.upsert()
    with server.services.database.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    text = "mutation($i: UpsertBucketInput!) { upsertBucket(input: $i) { inserted } }"
    config = json.dumps({"big": {"value": "x" * 1_000_000}})
    answer = server.post_graphql(text, {"i": {"name": "r", "modelName": "p", "config": config}})
    assert answer.status_code == 503 and "full" in answer.text


def test_samples_are_even_over_many_chunks_and_writers(server: Serving) -> None:
    for client in ("c0", "c1"):
        for start in range(0, 100, 7):
            rows = [{"_step": n, "x": n, "a.b": n} for n in range(start, min(start + 7, 100))]
            server.rows(*rows, offset=start, client=client)
    with server.services.database.read() as connection:
        number = connection.exec_driver_sql("SELECT id FROM runs").scalar_one()
        for samples in (1, 2, 3, 7, 50, 199, 200, 500):
            lines = history.sampled(connection, number, "wandb-history.jsonl", samples)
            assert 1 <= len(lines) <= min(samples, 200)
            assert len(lines) >= min(samples, 200) // 2
            assert json.loads(lines[-1])["_step"] == 99
        picked = history.sampled_objects(connection, number, history.Spec(["x", "a.b"], 50))
        assert len(picked) == 50 and set(picked[0]) == {"x", "a.b"}
        assert history.sampled_objects(connection, number, history.Spec(["nowhere"])) == []
        spec = history.Spec(["x"], minStep=10, maxStep=11)
        assert [row["x"] for row in history.sampled_objects(connection, number, spec)] == [
            *(10, 10, 11, 11)
        ]


def test_pages_of_a_long_list_of_runs_join_without_gap_or_repetition(server: Serving) -> None:
    for number in range(7):
        server.upsert(f"r{number}")
    text = """query($c: String, $o: String, $f: JSONString) { project(name: "p") {
      runs(after: $c, first: 3, order: $o, filters: $f) { edges { node { name } cursor }
      totalCount pageInfo { endCursor hasNextPage } } } }"""
    for order, filters in [(None, None), ("-created_at", "{}"), ("-name", None), (None, '{"a":1}')]:
        seen: list[str] = []
        cursor, more = None, True
        while more:
            given = {"c": cursor, "o": order, "f": filters}
            page = server.graphql(text, given)["project"]["runs"]
            seen += [edge["node"]["name"] for edge in page["edges"]]
            cursor, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
        names = [f"r{number}" for number in range(7)]
        wanted = [] if filters == '{"a":1}' else names
        assert seen == (wanted[::-1] if (order or "").startswith("-") else wanted)


def test_whose_connection_it_is_depends_on_both_ends() -> None:
    """Another user's connection may have our local port; only one to this server counts."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.connect(listener.getsockname())
        own, other = client.getsockname(), listener.getsockname()

        def uid(server: tuple[str, int]) -> int | None:
            scope: dict[str, Any] = {"type": "http", "client": own, "server": server, "headers": []}
            return _peer_uid(Request(scope))

        assert uid(other) == os.getuid()
        assert uid(("127.0.0.1", other[1] ^ 1)) is None
