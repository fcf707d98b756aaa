"""Tables in rows: files, artifacts and log modes."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import trackd
from trackd import EvalTable, Table, UsageError
from trackd_proto.records import ArtifactLogged

if TYPE_CHECKING:
    from tests.unit.sdk.stage import Stage


def test_a_table_leaves_a_file_and_an_artifact(stage: Stage) -> None:
    stage.run.log({"t": Table(columns=["a", "b"], data=[["x", float("nan")]])})
    form = stage.rows()[0]["t"]
    assert form["_type"] == "table-file"
    assert (form["ncols"], form["nrows"], form["log_mode"]) == (2, 1, "IMMUTABLE")
    assert str(stage.content(form)["data"]) == "[['x', nan]]"
    [(name, type_, entries)] = stage.artifacts()
    assert (name, type_) == ("run-r-t", "run_table")
    assert entries["t.table.json"]["data"] == [["x", None]]
    assert form["artifact_path"].endswith("/t.table.json")


def test_an_immutable_table_is_written_once(stage: Stage, capsys: Any) -> None:
    table = Table(columns=["a"], data=[[1]])
    stage.run.log({"t": table})
    table.add_data(2)
    table.add_data(3)
    stage.run.log({"t": table})
    first, second = (row["t"] for row in stage.rows())
    assert second == {**first, "nrows": 3}
    assert len(stage.artifacts()) == len(stage.table_files()) == 1
    assert capsys.readouterr().err.count("log_mode='MUTABLE'") == 1


def test_a_mutable_table_is_written_again_after_a_change(stage: Stage) -> None:
    table = Table(columns=["a"], data=[[1]], log_mode="MUTABLE")
    stage.run.log({"t": table})
    stage.run.log({"t": table})
    table.add_data(2)
    stage.run.log({"t": table})
    first, same, last = (row["t"] for row in stage.rows())
    assert same == first
    assert last["artifact_path"] != first["artifact_path"]
    assert stage.content(last)["data"] == [[1], [2]]
    assert [name for name, *_ in stage.artifacts()] == ["run-r-t"] * 2


def test_a_chart_that_cannot_be_described_costs_its_value_only(stage: Stage) -> None:
    table = Table(columns=["a"], data=[[1]])
    chart = trackd.plot_table("a/b/v1", table, {"x": object()})
    with pytest.raises(TypeError, match=r"'chart' holds a value of type object"):
        stage.run.log({"chart": chart, "loss": 0.5})
    assert stage.rows() == [{"loss": 0.5}]


def test_threads_may_share_a_table_that_changes(stage: Stage) -> None:
    table = trackd.Table(columns=["n"], log_mode="MUTABLE")

    def work(number: int) -> None:
        for _ in range(20):
            table.add_data(number)
            stage.run.log({"t": table})

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
    finally:
        sys.setswitchinterval(interval_s)
    forms = [row["t"] for row in stage.rows()]
    assert all((stage.files / form["path"]).is_file() and "artifact_path" in form for form in forms)
    written = [json.loads((stage.files / form["path"]).read_text())["data"] for form in forms]
    assert max(map(len, written)) == 80
    copied = pickle.loads(pickle.dumps(table))
    copied.add_data(1)
    assert (len(copied.data), len(table.data)) == (81, 80)


def test_an_incremental_table_writes_new_rows_only(stage: Stage) -> None:
    table = Table(columns=["a"], data=[[1], [2]], log_mode="INCREMENTAL")
    stage.run.log({"t": table})
    table.add_data(3)
    table.add_data(4)
    stage.run.log({"t": table})
    stage.run.log({"t": table})
    first, second, third = (row["t"] for row in stage.rows())
    assert first["_type"] == "incremental-table-file"
    assert (first["increment_num"], first["previous_increments_paths"]) == (0, [])
    assert second["increment_num"] == 1
    assert second["previous_increments_paths"] == [first["artifact_path"]]
    assert (second["nrows"], stage.content(second)["data"]) == (4, [[3], [4]])
    assert third == second
    parts = stage.artifacts()
    assert {part[:2] for part in parts} == {("run-r-incr-t", "wandb-run-incremental-table")}
    names = [name for part in parts for name in part[2]]
    assert [name.partition("-")[0] for name in names] == ["None", "1"]


def test_an_incremental_table_belongs_to_one_run(stage: Stage) -> None:
    table = Table(columns=["a"], data=[[1]], log_mode="INCREMENTAL")
    stage.run.log({"t": table})
    stage.run.finish()
    table.add_data(2)
    other = trackd.init(project="p", id="other", mode="offline")
    with pytest.raises(AssertionError, match="one run"):
        other.log({"t": table})
    other.finish()


def test_a_table_logged_in_a_second_run_is_written_there_too(stage: Stage) -> None:
    table = Table(columns=["a"], data=[[1]])
    stage.run.log({"t": table})
    stage.run.finish()
    other = trackd.init(project="p", id="other", mode="offline")
    other.log({"t": table})
    assert list(Path(other.dir).rglob("*.table.json"))
    other.finish()


def test_a_table_that_cannot_be_recorded_leaves_nothing(stage: Stage) -> None:
    table = Table(columns=["a"], data=[[object()]])
    with pytest.raises(TypeError, match="a cell holds <object object"):
        stage.run.log({"t": table})
    assert not table.has_been_logged()
    assert stage.table_files() == stage.artifacts() == []


def test_copies_of_a_logged_table_know_where_it_lies(stage: Stage) -> None:
    table = Table(columns=["a"], data=[[1]])
    stage.run.log({"t": table})
    copied = copy.deepcopy(table)
    copied.add_data(2)
    assert (copied.has_been_logged(), len(table.data)) == (True, 1)
    sent = pickle.loads(pickle.dumps(table))
    stage.run.log({"sent": sent, "copied": copied})
    first, second = stage.rows()
    assert first["t"]["path"] == second["sent"]["path"] == second["copied"]["path"]
    assert second["copied"]["artifact_path"] == first["t"]["artifact_path"]


def test_too_many_rows_are_cut_or_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(Table, "MAX_ROWS", 2)
    monkeypatch.setattr(Table, "MAX_ARTIFACT_ROWS", 3)
    stage.run.log({"t": Table(columns=["a"], data=[[n] for n in range(5)])})
    form = stage.rows()[0]["t"]
    assert form["nrows"] == 5
    assert stage.content(form)["data"] == [[0], [1]]
    assert stage.artifacts()[0][2]["t.table.json"]["nrows"] == 3
    assert "truncated to 3" in capsys.readouterr().err
    strict = trackd.init(
        project="p",
        id="strict",
        mode="offline",
        settings={"table_raise_on_max_row_limit_exceeded": True},
    )
    with pytest.raises(ValueError, match="5 rows, and 3 are the limit"):
        strict.log({"t": Table(columns=["a"], data=[[n] for n in range(5)])})
    strict.finish()


def test_arrays_of_a_column_go_into_one_file(stage: Stage) -> None:
    squares = [[np.full((2, 2), n)] for n in range(3)]
    stage.run.log({"t": Table(columns=["m"], data=squares)})
    [(_, _, entries)] = stage.artifacts()
    table = entries["t.table.json"]
    assert table["data"] == [[None]] * 3
    array = next(
        one
        for one in table["column_types"]["params"]["type_map"]["m"]["params"]["allowed_types"]
        if one["wb_type"] == "ndarray"
    )
    stored = array["params"]["serialization_path"]
    entry = next(e for e in stage.of_kind(ArtifactLogged)[0].entries if e.path == stored["path"])
    loaded = np.load(stage.files.parent / (entry.local_path or ""))[stored["key"]]
    assert loaded.tolist() == [row[0].tolist() for row in squares]


def test_charts_are_described_in_the_configuration_and_leave_their_table(stage: Stage) -> None:
    table = Table(columns=["x", "y"], data=[[1, 2]])
    row: dict[str, Any] = {
        "top": trackd.plot.line(table, "x", "y"),
        "n": {"in": trackd.plot.bar(table, "x", "y")},
    }
    stage.run.log(row)
    assert set(row["n"]) == {"in"}
    logged = stage.rows()[0]
    assert set(logged) == {"top_table", "n.in_table", "n"}
    assert logged["n"] == {}


def test_an_eval_table_tells_the_roles_of_its_columns(stage: Stage) -> None:
    table = EvalTable(
        columns=["q", "a", "s"], input_columns=["q"], score_columns=["s"], data=[["?", "!", 0.5]]
    )
    stage.run.log({"t": table})
    stage.run.log({"t": table})
    first, second = (row["t"] for row in stage.rows())
    assert first == second
    assert first["eval_columns"] == {"input": ["q"], "output": ["a"], "score": ["s"]}


def test_what_an_eval_table_refuses() -> None:
    with pytest.raises(UsageError, match="IMMUTABLE"):
        EvalTable(log_mode="MUTABLE")
    with pytest.raises(UsageError, match="backend"):
        EvalTable(backend="other")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="unsupported_media_mode"):
        EvalTable(unsupported_media_mode="x")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="holds a Table"):
        EvalTable(columns=["a"], data=[[Table()]])
    with pytest.raises(TypeError, match="holds a Html"):
        EvalTable(columns=["a"], data=[[trackd.Html("x")]], unsupported_media_mode="raise")
    with pytest.raises(TypeError, match=r"run\.log"):
        trackd.Artifact("a", "t").add(EvalTable(columns=["a"], data=[[1]]), "t")


def test_a_role_for_a_column_that_is_not_there_is_refused(stage: Stage) -> None:
    table = EvalTable(columns=["a"], input_columns=["b"], data=[[1]])
    with pytest.raises(ValueError, match=r"\['b'\] have a role"):
        stage.run.log({"t": table})


def test_an_interrupt_reaches_the_training_while_copies_are_removed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a finaliser Python would print it and go on."""
    remove = shutil.rmtree

    def interrupted(folder: Any, **options: Any) -> None:
        remove(folder, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr("trackd.artifacts.drafts.staging.shutil.rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage.run.log({"t": Table(columns=["page"], data=[[trackd.Html("<p>")]])})
    monkeypatch.undo()
    assert not list((stage.files.parent / "tmp/staging").iterdir())
    assert len(stage.of_kind(ArtifactLogged)) == 1


def test_a_run_whose_folder_was_removed_says_so_at_its_end(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(stage.files.parent)
    stage.run.log({"a": 1})
    stage.run.finish()
    assert f"{stage.files.parent} was removed while the run went on" in capsys.readouterr().err
