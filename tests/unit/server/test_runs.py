"""What requests do to a run."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.server.serving import Serving, serving

from trackd_server.domain import run_records
from trackd_server.domain.run_records import SILENCE_S

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Generator[Serving]:
    with serving(tmp_path / "server") as opened:
        yield opened


WRAPPED = {"lr": {"value": 0.1}, "_wandb": {"value": {"t": {"1": 1}}}}


def test_an_upsert_makes_a_run_in_the_default_entity_with_a_readable_name(server: Serving) -> None:
    made = server.upsert(entityName=None, config=WRAPPED)
    assert made["inserted"] is True
    assert made["bucket"]["project"] == {"name": "p", "entity": {"name": "local"}}
    assert made["bucket"]["historyLineCount"] == 0
    assert made["bucket"]["displayName"].endswith("-1")
    assert server.upsert("other", entityName="")["bucket"]["displayName"].endswith("-2")
    assert server.upsert()["inserted"] is False


def test_null_leaves_a_field_unchanged_and_ids_name_runs(server: Serving) -> None:
    run_id = server.upsert(displayName="a", notes="n", tags=["x"], config=WRAPPED)["bucket"]["id"]
    server.upsert(id=run_id, displayName="b", notes=None)
    shown = server.run("displayName notes tags config")
    assert shown["displayName"] == "b" and shown["notes"] == "n" and shown["tags"] == ["x"]
    assert json.loads(shown["config"]) == WRAPPED
    server.upsert(tags=[])
    assert server.run("tags") == {"tags": []}


def test_a_plain_writer_replaces_its_config_and_shared_writers_merge(server: Serving) -> None:
    server.upsert(config={"a": {"value": 1}})
    server.upsert(config={"b": {"value": 2}})
    assert json.loads(server.run("config")["config"]) == {"b": {"value": 2}}
    for client, rank in (("c0", 0), ("c1", 1)):
        config: dict[str, Any] = {
            f"rank{rank}": {"value": rank},
            "_wandb": {"value": {"e": {client: {}}}},
        }
        server.upsert("shared", client=client, config=config)
    merged = json.loads(server.run("config", "shared")["config"])
    assert merged["rank0"] == {"value": 0} and merged["rank1"] == {"value": 1}
    assert merged["_wandb"]["value"]["e"] == {"c0": {}, "c1": {}}


def test_an_edit_by_id_speaks_for_all_writers(server: Serving) -> None:
    made = server.upsert(client="c0", config={"a": {"value": 1}}, summaryMetrics={"x": 1})
    server.upsert(id=made["bucket"]["id"], config={"b": {"value": 2}}, summaryMetrics={"y": 2})
    shown = server.run("config summaryMetrics")
    assert json.loads(shown["config"]) == {"b": {"value": 2}}
    assert json.loads(shown["summaryMetrics"]) == {"y": 2}


def test_a_run_ends_once_and_begins_again_only_with_a_new_process(server: Serving) -> None:
    server.upsert(host="h")
    assert server.stream({"complete": True, "exitcode": 0})["exitcode"] == 0
    server.rows({"_step": 0, "late": 1})  # data after the end is taken
    server.upsert(config={"late": {"value": 1}})
    assert server.run("state historyLineCount") == {"state": "finished", "historyLineCount": 1}
    assert server.upsert(host="h")["bucket"] | {"id": ""} == {
        **server.upsert()["bucket"],
        "id": "",
        "state": "running",
        "historyLineCount": 1,
    }
    server.stream({"complete": True, "exitcode": 3})
    assert server.run("state")["state"] == "failed"
    assert server.document()["run"]["exit_code"] == 3


def test_late_config_of_a_shared_writer_does_not_reopen_the_run(server: Serving) -> None:
    server.upsert(client="c0", host="h")
    server.upsert(client="c1", host="h")
    server.stream({"complete": True, "exitcode": 0}, client="c0")
    server.upsert(client="c1", host="h", config={"a": {"value": 1}})
    assert server.run("state")["state"] == "finished"


def test_an_unknown_run_is_made_rather_than_refused(server: Serving) -> None:
    server.rows({"_step": 0, "x": 1}, name="never-announced")
    assert server.run("state historyLineCount", "never-announced") == {
        "state": "running",
        "historyLineCount": 1,
    }


def test_preempting_lasts_until_the_next_ordinary_request(server: Serving) -> None:
    server.stream({"preempting": True})
    assert server.run("state")["state"] == "preempting"
    server.stream({})
    assert server.run("state")["state"] == "running"
    assert server.document()["run"]["preempting"] is True


def test_a_stop_is_told_with_every_answer_until_the_run_begins_again(server: Serving) -> None:
    run_id = server.upsert()["bucket"]["id"]
    assert "stopped" not in server.stream({})
    stop = "mutation($id: ID!) { stopRun(input: {id: $id}) { success } }"
    server.graphql(stop, {"id": run_id})
    assert server.stream({})["stopped"] is True
    assert server.stream({"complete": True, "exitcode": 1})["stopped"] is True
    server.upsert(host="h")
    assert "stopped" not in server.stream({})


def test_a_silent_run_has_crashed_and_lives_again_with_its_next_request(
    server: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.upsert()
    later = time.time() + SILENCE_S + 1
    monkeypatch.setattr(server.services.runs, "_clock", lambda: later)
    assert server.run("state")["state"] == "crashed"
    # A server that was down itself must not call everybody dead at its start.
    monkeypatch.setattr(server.services.runs, "_serving_since", later - 1)
    assert server.run("state")["state"] == "running"


def test_each_writer_has_its_own_lines_and_summary(server: Serving) -> None:
    for client, label in (("c10", "rank_10"), ("c2", "rank_2"), ("", "")):
        server.rows({"_step": 0, "x": 0}, {"_step": 1, "x": 1}, client=client, label=label)
        summary = {"offset": 0, "content": [json.dumps({label or "plain": 1, "same": label})]}
        server.stream({"files": {"wandb-summary.json": summary}}, client=client)
    document = server.document()
    labels = [row.get("_label") for row in document["history"]]
    assert labels == [None, None, "rank_2", "rank_2", "rank_10", "rank_10"]
    assert document["summary"] == {"rank_10": 1, "rank_2": 1, "plain": 1, "same": ""}
    assert server.upsert(client="c2")["bucket"]["historyLineCount"] == 2
    assert server.upsert(client="new")["bucket"]["historyLineCount"] == 0


def test_the_label_of_a_shared_wandb_writer_is_found_in_its_lines(server: Serving) -> None:
    events = {"offset": 0, "content": ['{"_wandb":true,"system.cpu/l:rank_1":3}']}
    server.stream({"files": {"wandb-events.jsonl": events}}, client="c1")
    console = {"offset": 0, "content": ['{"ts":"t","label":"r\\"2","content":"x"}']}
    server.stream({"files": {"output.log": console}}, client="c2")
    server.rows({"_step": 0}, client="c1")
    assert server.document()["history"] == [{"_label": "rank_1", "_step": 0}]
    with server.services.database.read() as connection:
        run = run_records.by_path(connection, run_records.RunPath("local", "p", "r"))
        assert [w.label for w in run_records.writers_of(connection, run.id)] == ['r"2', "rank_1"]


def test_what_happened_to_devices_is_in_the_document(server: Serving) -> None:
    server.upsert()
    event = '{"system.gpu.0.xid/l:r":79,"_event":"xid","_text":"Xid 79","_wandb":true,'
    event += '"_timestamp":1010.5,"_runtime":10.5}'
    odd = '{"_event":"x","_timestamp":"now","system.a":NaN,"system.b":1}'
    lines = [event, '{"system.cpu":1}', '{"_event":5}', '{"a":"\\"_event\\""}', '{"_event":', odd]
    server.stream({"files": {"wandb-events.jsonl": {"offset": 0, "content": lines}}})
    assert server.document()["events"] == [
        {
            "timestamp": 1010.5,
            "runtime": 10.5,
            "name": "xid",
            "text": "Xid 79",
            "key": "gpu.0.xid/l:r",
            "value": 79,
        },
        {"timestamp": 0, "runtime": 0, "name": "x", "text": "", "key": "a", "value": None},
    ]


def test_console_lines_are_overwritten_by_number(server: Serving) -> None:
    def say(offset: int, *texts: str) -> None:
        lines = [json.dumps({"ts": "2026-01-01T00:00:00", "content": text}) for text in texts]
        server.stream({"files": {"output.log": {"offset": offset, "content": lines}}})

    say(0, "start", "10 %")
    say(1, "100 %", "end")
    say(5, "ERROR far away")
    assert server.document()["console"] == ["start", "100 %", "end", "ERROR far away"]
    text = {"offset": 6, "content": ["ERROR 2026-01-01T00:00:00.5 in text form\n"]}
    server.stream({"files": {"output.log": text}})
    page = server.run("logLines(last: 1) { edges { node { number level line timestamp } } }")
    assert page["logLines"]["edges"][0]["node"] == {
        "number": 6,
        "level": "error",
        "line": "in text form",
        "timestamp": "2026-01-01T00:00:00.5",
    }


def test_resume_finds_counts_tails_and_config(server: Serving) -> None:
    query = """query($n: String!) { model(name: "p", entityName: null) { bucket(name: $n,
      missingOk: true) { name historyLineCount eventsLineCount logLineCount historyTail eventsTail
      config summaryMetrics tags notes wandbConfig(keys: ["t"]) } } }"""
    assert server.graphql(query, {"n": "r"}) == {"model": None}
    server.upsert(config=WRAPPED, notes="n")
    server.rows(*({"_step": n, "x": n} for n in range(5)))
    bucket: Any = server.graphql(query, {"n": "r"})["model"]["bucket"]
    assert [json.loads(line) for line in json.loads(bucket["historyTail"])] == [
        {"_step": 4, "x": 4}
    ]
    assert bucket["eventsTail"] == "[]" and bucket["historyLineCount"] == 5
    assert json.loads(bucket["wandbConfig"]) == {"t": {"1": 1}}
    assert server.graphql(query, {"n": "none"})["model"]["bucket"] is None


def test_rewind_drops_the_rows_after_a_step(server: Serving) -> None:
    server.upsert(host="h")
    server.rows(*({"_step": n, "x": n} for n in range(0, 20, 2)))
    rewind = """mutation($step: Float!) { rewindRun(input: {runName: "r", projectName: "p",
      metricName: "_step", metricValue: $step}) { rewoundRun { historyLineCount } } }"""
    done = server.graphql(rewind, {"step": 7})
    assert done["rewindRun"]["rewoundRun"]["historyLineCount"] == 4
    assert [row["_step"] for row in server.document()["history"]] == [0, 2, 4, 6]


def test_history_is_read_by_step_sampled_and_by_keys(server: Serving) -> None:
    for client in ("c0", "c1"):
        server.rows(*({"_step": n, "x": n, "n": {"y": n}} for n in range(100)), client=client)
    server.rows({"_step": 100, "bad": float("nan"), "x": 1}, offset=100, client="c0")
    steps = server.run("history(minStep: 10, maxStep: 12, samples: 3)")["history"]
    assert [json.loads(line)["_step"] for line in steps] == [10, 10, 11, 11]
    sampled = [json.loads(line) for line in server.run("history(samples: 10)")["history"]]
    assert len(sampled) <= 10 and sampled == sorted(sampled, key=lambda row: row["_step"])
    assert len(server.run("history(samples: 1000)")["history"]) == 201
    spec = json.dumps({"keys": ["_step", "n.y"], "minStep": 98, "maxStep": 99})
    query = RUN_SAMPLED % json.dumps(spec)
    assert server.run(query)["sampledHistory"] == [
        [{"_step": 98, "n.y": 98}] * 2 + [{"_step": 99, "n.y": 99}] * 2
    ]
    only_bad = RUN_SAMPLED % json.dumps(json.dumps({"keys": ["bad"], "samples": 5}))
    assert server.run(only_bad)["sampledHistory"] == [[{"bad": "NaN"}]]
    keys = server.run("historyKeys")["historyKeys"]
    assert keys["lastStep"] == 100
    assert keys["keys"]["n.y"] == {
        "typeCounts": [{"type": "number", "count": 199}], "previousValue": 99,
    }  # fmt: skip
    assert keys["keys"]["bad"]["previousValue"] == "NaN"


def test_what_wandb_verify_asks_is_answered(server: Serving) -> None:
    server.upsert()
    long = """query($long: String!) { project(name: "p") { run(name: "r", desc: $long) { name } }
      serverInfo { cliVersionInfo } }"""
    answer = server.graphql(long, {"long": "a" * 10**7})
    assert answer["project"]["run"] == {"name": "r"}
    assert answer["serverInfo"]["cliVersionInfo"] == {"max_cli_version": "0.31.0"}


RUN_SAMPLED = "sampledHistory(specs: [%s])"


def test_alerts_are_in_the_document(server: Serving) -> None:
    server.upsert()
    alert = """mutation { notifyScriptableRunAlert(input: {runName: "r", projectName: "p",
      title: "T", text: "x", severity: WARN, waitDuration: 60000}) { success } }"""
    server.graphql(alert)
    assert server.document()["alerts"] == [
        {"title": "T", "text": "x", "level": "WARN", "wait_ms": 60000}
    ]


def test_runs_are_filtered_ordered_and_paged(server: Serving) -> None:
    for number in range(5):
        server.upsert(
            f"r{number}",
            config={
                "lr": {"value": number / 10},
                "kind": {"value": "a" if number % 2 else "b"},
                "opt": {"value": {"rate": number}},
            },
            summaryMetrics={"loss": 5 - number} if number else {},
            tags=[f"t{number}", "all"],
        )

    def names(filters: Any = None, order: str | None = None) -> list[str]:
        query = """query($f: JSONString, $o: String) { project(name: "p") { runCount(filters: $f)
          runs(filters: $f, order: $o) { edges { node { name } } } } }"""
        found = server.graphql(query, {"f": json.dumps(filters or {}), "o": order})["project"]
        listed = [edge["node"]["name"] for edge in found["runs"]["edges"]]
        assert found["runCount"] == len(listed)
        return listed

    assert names() == ["r0", "r1", "r2", "r3", "r4"]
    assert names(order="-summary_metrics.loss") == ["r1", "r2", "r3", "r4", "r0"]
    assert names({"config.lr.value": {"$gte": 0.3}}) == ["r3", "r4"]
    assert names({"$or": [{"config.kind": "b"}, {"tags": "t1"}]}) == ["r0", "r1", "r2", "r4"]
    assert names({"tags": {"$in": ["t1", "t3"]}, "state": "running"}) == ["r1", "r3"]
    assert names({"summary_metrics.loss": {"$exists": False}}) == ["r0"]
    assert names({"display_name": {"$regex": "-2$"}, "state": {"$ne": "finished"}}) == ["r1"]
    assert names({"created_at": {"$gt": "2001-01-01"}}) == names()
    assert names({"config.opt.value.rate": 3}) == ["r3"] == names({"config.opt.rate": 3})
    assert names({"display_name": {"$contains": "-2"}}) == ["r1"]
    assert names({"tags": {"$all": ["t2", "all"]}}) == ["r2"]
    page = """query($a: String) { project(name: "p") { runs(first: 2, after: $a) {
      edges { cursor node { name } } pageInfo { hasNextPage endCursor } } } }"""
    first = server.graphql(page)["project"]["runs"]
    second = server.graphql(page, {"a": first["pageInfo"]["endCursor"]})["project"]["runs"]
    assert [edge["node"]["name"] for edge in second["edges"]] == ["r2", "r3"]
    assert first["pageInfo"]["hasNextPage"] is True


def test_a_deleted_run_leaves_nothing(server: Serving, tmp_path: Path) -> None:
    run_id = server.upsert(config=WRAPPED)["bucket"]["id"]
    server.rows(*({"_step": n, "x": "y" * 1000} for n in range(2000)))
    url = "/files/local/p/r/model.bin"
    assert server.http.put(url, content=b"x" * 100_000).status_code == 200
    server.graphql(
        "mutation($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }", {"id": run_id}
    )
    assert server.run("name") is None
    usage = server.http.get("/api/v1/usage").json()
    assert usage["kinds"] == {} and usage["disk_blobs"] == usage["in_transit"] == 0
    with server.services.database.read() as connection:
        for table in ("runs", "writers", "streams", "chunks", "files"):
            count = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()
            assert count == 0, table
    assert server.rows({"_step": 0})["exitcode"] is None, "a client that goes on begins anew"


def test_the_ledger_knows_every_stored_byte(server: Serving) -> None:
    server.rows({"_step": 0, "x": 1}, {"_step": 1, "x": 2})
    server.rows({"_step": 1, "x": 2}, offset=1)
    for content in (b"first version", b"second"):
        assert server.http.put("/files/local/p/r/a.txt", content=content).status_code == 200
    usage = server.http.get("/api/v1/usage").json()
    assert usage["kinds"]["run_file"] == usage["disk_blobs"] == 6
    assert usage["physical"] == usage["disk"]
    with server.services.database.read() as connection:
        stored = connection.exec_driver_sql("SELECT sum(length(content)) FROM chunks").scalar()
    assert usage["kinds"]["history"] == stored
