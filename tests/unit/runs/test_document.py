"""The run document, made from journals and spools on the disk."""

from __future__ import annotations

import fcntl
import json
from typing import TYPE_CHECKING, Any

from tests.support.frames import row, start, write_segment

from trackd_agent.daemon.exporting import folder_document
from trackd_agent.runs.folders.document import replay, run_document
from trackd_agent.runs.folders.run_folder import find_writers
from trackd_proto import layout, records

if TYPE_CHECKING:
    from pathlib import Path

    import msgspec
    import pytest

EXIT = records.Exit(0, 1010.0, 10.0)


def make_run(root: Path, mode: str = "offline") -> tuple[Path, Path]:
    """Return a run folder and the data directory that its facts name."""
    run_dir, data = root / "trackd" / "offline-run-20260101_000000-r1", root / "data"
    (run_dir / "files").mkdir(parents=True)
    layout.RunFolderFacts("r1", "p", "", mode, str(data)).write(run_dir)
    return run_dir, data


def document(run_dir: Path) -> dict[str, Any]:
    facts = layout.RunFolderFacts.read(run_dir)
    replays = [replay(source, facts) for source in find_writers(run_dir, facts)]
    return run_document([made for made in replays if made], run_dir / "files")


def journal(run_dir: Path, producer: int, *given: msgspec.Struct, first: int = 1) -> None:
    folder = run_dir / "journal" / layout.producer_name(producer)
    write_segment(folder, producer, given, first)


def values(doc: dict[str, Any], key: str) -> list[Any]:
    return [data.get(key) for data in doc["history"]]


def test_everything_of_one_writer_is_there(tmp_path: Path) -> None:
    run_dir, _ = make_run(tmp_path)
    (run_dir / "files" / "a.json").write_text('{"x": 1}')
    (run_dir / "files" / "sub").mkdir()
    (run_dir / "files" / "sub" / "b.bin").write_bytes(b"12")
    (run_dir / "files" / "output.log").write_text("not listed")
    reserved: Any = (["_wandb", "visualize"], {"v": 1})
    journal(
        run_dir,
        7,
        start(name="n", group="g", tags=["t"], config={"lr": 1}, run_dir=str(run_dir)),
        records.ConfigUpdate([(["opt"], {"b": 2}), reserved, (["_wandb", "code"], "x")]),
        records.MetricDefinition("a", summary=["max"], step_metric="s"),
        row({"a": 2, "n": {"b": 1}}),
        row({"a": 1}),
        records.SummaryUpdate([(["best"], 5)]),
        records.ConsoleOutput(1001.0, 1, "one\ntwo\n"),
        records.FileSaved("a.json", "end"),
        records.FileSaved("folder", "now"),
        records.RunUpdate(notes="changed"),
        records.Alert("t", "x", "INFO", 60000),
        records.Preempting(1002.0),
        records.Exit(3, 1010.0, 10.0),
    )
    doc = document(run_dir)
    assert doc["run"] == {
        "id": "r1",
        "name": "n",
        "project": "p",
        "group": "g",
        "job_type": None,
        "tags": ["t"],
        "notes": "changed",
        "state": "failed",
        "exit_code": 3,
        "preempting": True,
    }
    assert doc["config"] == {"lr": 1, "opt": {"b": 2}, "_wandb": {"visualize": {"v": 1}}}
    assert doc["summary"] == {"_step": 1, "a": {"max": 2}, "n": {"b": 1}, "best": 5, "s": 0}
    clock = {"_timestamp": 1001.0, "_runtime": 1.5}
    assert doc["history"] == [
        {"a": 2, "n": {"b": 1}, "s": 0, "_step": 0, **clock},
        {"a": 1, "s": 0, "_step": 1, **clock},
    ]
    assert [entry["name"] for entry in doc["metrics"]] == ["a"]
    assert [(f["name"], f["size"], f["policy"]) for f in doc["files"]] == [
        ("a.json", 8, "end"),
        ("folder", None, "now"),
        ("sub/b.bin", 2, None),
    ]
    assert doc["files"][0]["json"] == {"x": 1}
    assert doc["console"] == ["one", "two"]
    assert doc["alerts"] == [{"title": "t", "text": "x", "level": "INFO", "wait_ms": 60000}]
    assert doc["artifacts"] == []


def test_what_is_damaged_is_told_once_and_the_rest_is_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir, data = make_run(tmp_path)
    odd: Any = {"b": b"raw", "list": [b"raw"], "n": {1: 2}}
    keys: Any = {"n": {b"raw": 2}}
    metric = records.MetricDefinition("n*", summary=["max"])
    journal(
        run_dir,
        7,
        start(run_dir=str(run_dir)),
        row({"a": 1}),
        row(odd),
        metric,
        records.Row(1001.0, 1.5, keys, None, False),  # stays open until the next one
        records.Row(1001.0, 1.5, odd, None, False),
        row({"a": 2}, step=9),
        row({"a": 3}),
        EXIT,
    )
    found = folder_document(run_dir, data)
    assert [row.get("a") for row in found["history"]] == [1, None, 3]
    assert found["history"][1]["b"] == "cmF3"
    assert found["summary"]["a"] == 3
    assert found["run"]["state"] == "finished"
    assert json.loads(json.dumps(found)) == found
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("0000000007: not recorded: records whose content is damaged (1)")


def test_what_happened_to_devices_is_there_and_samples_are_not(tmp_path: Path) -> None:
    run_dir, _ = make_run(tmp_path)
    noted = (
        records.Stats(1001.0, {"cpu": 1.0}),
        records.Event(1002.0, "xid", "GPU 0 reports Xid 79.", "gpu.0.xid", 79.0),
    )
    journal(run_dir, 7, start(run_dir=str(run_dir), label="r"), row({"a": 2}), EXIT)
    write_segment(run_dir / "journal" / f"{layout.producer_name(7)}-agent", ~7 % 2**64, noted)
    assert document(run_dir)["events"] == [
        {
            "timestamp": 1002.0,
            "runtime": 2.0,
            "name": "xid",
            "text": "GPU 0 reports Xid 79.",
            "key": "gpu.0.xid/l:r",
            "value": 79.0,
        }
    ]


def test_the_spool_completes_the_journal_and_nothing_counts_twice(tmp_path: Path) -> None:
    run_dir, data = make_run(tmp_path)
    first = start(run_dir=str(run_dir))
    journal(run_dir, 7, first, row({"a": 1}), row({"a": 2}))
    write_segment(
        layout.spool_folder(data, "r1", 7), 7, [row({"a": 2}), row({"a": 3}), row({"a": 4})], 3
    )
    doc = document(run_dir)
    assert values(doc, "a") == [1, 2, 3, 4]
    assert (doc["run"]["state"], doc["run"]["exit_code"]) == ("crashed", None)


def test_a_spool_alone_is_enough(tmp_path: Path) -> None:
    run_dir, data = make_run(tmp_path)
    given = [start(run_dir=str(run_dir)), row({"a": 1}), EXIT]
    write_segment(layout.spool_folder(data, "r1", 7), 7, given)
    other = [start(run_dir=str(tmp_path / "elsewhere")), row({"a": 9}), EXIT]
    write_segment(layout.spool_folder(data, "r1", 8), 8, other)
    doc = document(run_dir)
    assert values(doc, "a") == [1]
    assert doc["run"]["state"] == "finished"


def test_an_open_row_of_a_killed_writer_is_kept(tmp_path: Path) -> None:
    run_dir, _ = make_run(tmp_path)
    journal(run_dir, 7, start(), row({"a": 1}, commit=False))
    assert values(document(run_dir), "a") == [1]


def test_several_writers_are_told_apart_by_label(tmp_path: Path) -> None:
    run_dir, _ = make_run(tmp_path)
    journal(run_dir, 9, start(label="r0", config={"x": 1}, name="n"), row({"a": 1}), EXIT)
    journal(
        run_dir, 7, start(label="r1", config={"y": 2}), row({"a": 5, "b": 1}), row({"a": 6}), EXIT
    )
    doc = document(run_dir)
    labels = [(data["_label"], data["a"], data["_step"]) for data in doc["history"]]
    assert labels == [("r0", 1, 0), ("r1", 5, 0), ("r1", 6, 1)]
    assert doc["config"] == {"x": 1, "y": 2}
    assert doc["run"]["name"] == "n"
    assert doc["summary"]["b"] == 1
    assert doc["run"]["state"] == "finished"


def test_one_crashed_writer_makes_a_crashed_run_but_a_forked_child_does_not(
    tmp_path: Path,
) -> None:
    run_dir, _ = make_run(tmp_path)
    journal(run_dir, 7, start(), row({"a": 1}), EXIT)
    journal(run_dir, 8, start(parent_producer=7, update_finish_state=False), row({"a": 2}))
    assert document(run_dir)["run"]["state"] == "finished"
    journal(run_dir, 9, start(label="r9"), row({"a": 2}))
    assert document(run_dir)["run"]["state"] == "crashed"


def test_a_crash_that_the_agent_recorded_is_a_crash(tmp_path: Path) -> None:
    run_dir, _ = make_run(tmp_path)
    journal(run_dir, 7, start(), row({"a": 1}))
    agent_folder = run_dir / "journal" / f"{layout.producer_name(7)}-agent"
    write_segment(agent_folder, 99, [records.Exit(255, 1.0, 1.0, crashed=True)])
    run = document(run_dir)["run"]
    assert (run["state"], run["exit_code"]) == ("crashed", None)


def test_a_living_writer_makes_a_running_run(tmp_path: Path) -> None:
    run_dir, data = make_run(tmp_path)
    spool = layout.spool_folder(data, "r1", 7)
    write_segment(spool, 7, [start(run_dir=str(run_dir)), row({"a": 1})])
    with (spool / layout.SPOOL_LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert document(run_dir)["run"]["state"] == "running"
    assert document(run_dir)["run"]["state"] == "crashed"


def test_damage_costs_the_damaged_record_only(tmp_path: Path) -> None:
    run_dir, _ = make_run(tmp_path)
    journal(run_dir, 7, start(), row({"a": 1}), row({"b": 2}), row({"a": 3}), EXIT)
    (segment,) = (run_dir / "journal").glob("*/*.seg")
    content = bytearray(segment.read_bytes())
    content[content.index(b"\xa1b\x02")] ^= 1
    segment.write_bytes(content)
    facts = layout.RunFolderFacts.read(run_dir)
    (source,) = find_writers(run_dir, facts)
    made = replay(source, facts)
    assert made is not None
    assert len(made.history) == 2
    assert source.missing == 1
    assert source.damaged_bytes > 0


def test_a_damaged_first_record_costs_its_facts_only(tmp_path: Path) -> None:
    run_dir, _ = make_run(tmp_path)
    journal(run_dir, 7, start(name="lost"), row({"a": 1}), EXIT)
    (segment,) = (run_dir / "journal").glob("*/*.seg")
    content = bytearray(segment.read_bytes())
    content[content.index(b"lost")] ^= 1
    segment.write_bytes(content)
    doc = document(run_dir)
    assert (doc["run"]["id"], doc["run"]["name"]) == ("r1", None)
    assert values(doc, "a") == [1]


def test_a_folder_without_records_holds_no_run(tmp_path: Path) -> None:
    run_dir, _ = make_run(tmp_path)
    assert find_writers(run_dir, layout.RunFolderFacts.read(run_dir)) == []
    assert find_writers(tmp_path, None) == []


def test_no_record_shows_a_file_from_outside_of_the_run(tmp_path: Path) -> None:
    run_dir, _ = make_run(tmp_path)
    secret = tmp_path / "secret.json"
    secret.write_text('{"key": 1}')
    names = ["../../../secret.json", str(secret), "a/../../../../secret.json", "a\0b"]
    journal(run_dir, 7, start(run_dir=str(run_dir)), *(records.FileSaved(n, "now") for n in names))
    listed = document(run_dir)["files"]
    assert [file["name"] for file in listed] == sorted(names)
    assert all(file["size"] is None and "json" not in file for file in listed)
