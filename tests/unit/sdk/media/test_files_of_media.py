"""Media in rows and summary: which files come about, and what stands for them."""

from __future__ import annotations

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.unit.sdk.full_disk import largest_file

import trackd
from trackd_proto.records import SummaryUpdate

if TYPE_CHECKING:
    from tests.unit.sdk.stage import Stage


def page_hash(html: str) -> str:
    return hashlib.sha256(html.encode()).hexdigest()


def test_a_file_is_named_by_key_step_and_content(stage: Stage) -> None:
    page = trackd.Html("<b>x</b>", inject=False)
    digest = page_hash("<b>x</b>")
    stage.run.log({"a": 1})
    stage.run.log({"page": page})
    path = f"media/html/page_1_{digest[:20]}.html"
    assert (stage.files / path).read_text() == "<b>x</b>"
    assert stage.rows()[1] == {
        "page": {"_type": "html-file", "sha256": digest, "size": 8, "path": path}
    }
    assert stage.published() == [(path, "now")]


def test_the_same_object_logged_again_refers_to_its_file(stage: Stage) -> None:
    page = trackd.Html("x", inject=False)
    stage.run.log({"first": page})
    stage.run.log({"second": page})
    first, second = stage.rows()
    assert first["first"] == second["second"]
    assert len(stage.media()) == 1


def test_a_list_is_one_object_and_always_has_files_of_its_own(stage: Stage) -> None:
    page = trackd.Html("x", inject=False)
    stage.run.log({"alone": page})
    stage.run.log({"list": [page, trackd.Html("y", inject=False)]})
    row = stage.rows()[1]["list"]
    assert (row["_type"], row["count"]) == ("html", 2)
    assert {Path(one["path"]).name[:6] for one in row["html"]} == {"list_1"}
    assert len(stage.media()) == 3


def test_a_mixed_list_is_a_list_of_single_objects(stage: Stage) -> None:
    stage.run.log({"mixed": [trackd.Html("x"), trackd.Histogram([1, 2], num_bins=1)]})
    first, second = stage.rows()[0]["mixed"]
    assert first["_type"] == "html-file"
    assert second == {"_type": "histogram", "values": [2], "bins": [1, 2]}


@pytest.mark.parametrize("value", [[1, "media"], [{"x": "media"}]])
def test_media_among_other_values_are_refused(stage: Stage, value: list[Any]) -> None:
    page = trackd.Html("x")
    mixed = [page if item == "media" else item for item in value]
    mixed = [{"x": page} if isinstance(item, dict) else item for item in mixed]
    with pytest.raises(TypeError, match=r"'bad' holds a value of type trackd\.media\.html\.Html"):
        stage.run.log({"bad": mixed, "good": 1})
    assert stage.rows() == [{"good": 1}]


def test_nested_media_are_named_by_their_innermost_key(stage: Stage) -> None:
    stage.run.log({"outer": {"inner": trackd.Html("x", inject=False)}})
    assert stage.rows()[0]["outer"]["inner"]["path"].startswith("media/html/inner_0_")


def test_the_summary_names_files_by_all_keys(stage: Stage) -> None:
    stage.run.summary["outer"] = {"inner": trackd.Html("x", inject=False)}
    (path, value) = stage.of_kind(SummaryUpdate)[0].set[0]
    assert path == ["outer"]
    assert value["inner"]["path"].startswith("media/html/outer.inner_summary_")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a/b", "a/b_0_"),
        ("../up", "__/up_0_"),
        ("/root", "root_0_"),
        ("a/./b", "a/_/b_0_"),
        ("a b:c", "a b:c_0_"),
        ("a//b", "a/b_0_"),
        ("x/", "x/_0_"),
        ("a\0b/c\0", "a_b/c__0_"),
        ("\ud800é", "�é_0_"),
        ("k" * 300, "k" * 200),
        ("é" * 300 + "/x", "é" * 127 + "/x_0_"),
    ],
)
def test_a_key_never_leads_out_of_the_folder(stage: Stage, key: str, name: str) -> None:
    page = trackd.Html("x", inject=False)
    stage.run.log({key: page, "in": {key: trackd.Html("y")}})
    stage.run.summary[key] = page
    row = stage.rows()[0]
    key = key.replace("\ud800", "�")
    path = row[key]["path"]
    assert path.startswith(f"media/html/{name}")
    assert row["in"][key]["path"].startswith(f"media/html/{name}")
    assert {path, row["in"][key]["path"]} == stage.media()


def test_names_follow_the_steps_of_this_process(stage: Stage) -> None:
    for step, commit in ((None, None), (7, None), (7, True), (None, False), (None, None)):
        stage.run.log({"h": trackd.Html("x", inject=False)}, step=step, commit=commit)
    steps = [Path(row["h"]["path"]).name.split("_")[1] for row in stage.rows()]
    assert steps == ["0", "1", "7", "8", "8"]


def test_a_file_that_cannot_be_written_costs_its_value_only(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    (stage.files / "media").write_text("in the way")
    stage.run.log({"page": trackd.Html("x"), "loss": 0.5})
    stage.run.summary.update({"page": trackd.Html("y"), "best": 1})
    assert stage.rows() == [{"loss": 0.5}]
    assert stage.of_kind(SummaryUpdate)[0].set == [(["best"], 1)]
    said = capfd.readouterr().err
    assert "'page' is left out: its file could not be stored" in said
    assert "summary: 'page' is left out" in said


def test_a_file_for_which_there_is_no_room_leaves_nothing_behind(stage: Stage, place: Path) -> None:
    own = place / "film.mp4"
    own.write_bytes(bytes(3_000_000))
    values = {
        "film": trackd.Video(str(own)),
        "page": trackd.Html("x" * 3_000_000),
        "table": trackd.Table(columns=["c"], data=[["x" * 3_000_000]]),
        "loss": 0.5,
    }
    with largest_file(2_000_000):
        stage.run.log(values)
    stage.run.log(values)
    first, second = stage.rows()
    assert first == {"loss": 0.5}
    assert {row["path"] for row in (second[key] for key in ("film", "page", "table"))} == (
        stage.media()
    )


def test_the_files_of_a_key_that_is_too_long_are_not_written(stage: Stage) -> None:
    stage.run.log({"k" * 2000: trackd.Html("x"), "loss": 0.5})
    assert stage.rows() == [{"loss": 0.5}]
    assert stage.media() == set()


def test_threads_may_log_one_object_at_once(stage: Stage) -> None:
    for number in range(30):
        page = trackd.Html(f"{number}" * 1000, inject=False)
        start = threading.Barrier(4)

        def log(name: str, page: trackd.Html = page, start: threading.Barrier = start) -> None:
            start.wait()
            stage.run.log({name: page})

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(log, [f"a{number}", f"b{number}", f"c{number}", f"d{number}"]))
    forms = [value for row in stage.rows() for value in row.values()]
    assert len(forms) == 120
    assert {form["path"] for form in forms} <= stage.media()


def test_a_file_of_the_user_is_copied_and_may_change_later(stage: Stage, place: Path) -> None:
    own = place / "page.html"
    own.write_text("before")
    page = trackd.Html(own, inject=False)
    stage.run.log({"page": page})
    own.write_text("after")
    assert (stage.files / stage.rows()[0]["page"]["path"]).read_text() == "before"


def test_a_file_of_the_user_that_is_gone_is_an_error(stage: Stage, place: Path) -> None:
    own = place / "page.html"
    own.write_text("before")
    page = trackd.Html(own, inject=False)
    own.unlink()
    with pytest.raises(FileNotFoundError) as caught:
        stage.run.log({"page": page, "loss": 0.5})
    assert "'page' could not be converted" in caught.value.__notes__[0]
    with pytest.raises(FileNotFoundError):
        stage.run.summary["page"] = page
    assert stage.rows() == [{"loss": 0.5}]


def test_media_are_refused_in_the_configuration(stage: Stage) -> None:
    with pytest.raises(TypeError, match=r"config: 'page' holds a value of type trackd.*Html"):
        stage.run.config["page"] = trackd.Html("x")


def test_a_finished_run_takes_no_media(stage: Stage) -> None:
    stage.run.finish()
    with pytest.raises(trackd.UsageError, match="finished"):
        stage.run.log({"page": trackd.Html("x")})
    with pytest.raises(trackd.UsageError, match="finished"):
        stage.run.summary["page"] = trackd.Html("x")


def test_large_arrays_are_histograms_in_rows_and_statistics_in_the_summary(stage: Stage) -> None:
    stage.run.log({"weights": np.arange(33)})
    stage.run.summary["weights"] = np.arange(33)
    found = stage.rows()[0]["weights"]
    assert (found["_type"], len(found["values"]), len(found["bins"])) == ("histogram", 32, 33)
    value = stage.of_kind(SummaryUpdate)[0].set[0][1]
    assert value["_type"] == "numpy.ndarray"
    assert (value["min"], value["max"], value["mean"], value["size"]) == (0, 32, 16, 33)
    assert (value["10%"], value["90%"]) == (3.2, 28.8)


def test_an_array_without_a_finite_range_is_refused_by_name(stage: Stage) -> None:
    with pytest.raises(ValueError, match=r"'grad' cannot be recorded: autodetected range"):
        stage.run.log({"grad": np.full(40, np.nan), "loss": 1.0})
    assert stage.rows() == [{"loss": 1.0}]


def test_an_artifact_holds_media_by_content(stage: Stage) -> None:
    page = trackd.Html("x", inject=False)
    artifact = trackd.Artifact("pages", "dataset")
    entry = artifact.add(page, "one")
    content = json.loads(Path(entry.local_path or "").read_text())
    md5 = hashlib.md5(b"x", usedforsecurity=False).hexdigest()[:20]
    assert entry.path == "one.html-file.json"
    assert content == {
        "_type": "html-file",
        "path": f"media/html/{md5}.html",
        "sha256": page_hash("x"),
    }
    assert content["path"] in artifact.manifest.entries
    stage.run.log_artifact(artifact)
    stage.run.log({"page": page})
    row = stage.rows()[0]["page"]
    assert row["artifact_path"].endswith("/one.html-file.json")
    assert ":latest/one.html-file.json" in row["_latest_artifact_path"]
    assert row["path"].startswith("media/html/page_0_")
