"""What a logged artifact leaves in the run folder, and what goes with its draft."""

from __future__ import annotations

import gc
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.sdk.full_disk import largest_file

from trackd.artifacts import Artifact
from trackd.artifacts.drafts.staging import staging_root
from trackd_proto.entries import read_blocks
from trackd_proto.records import encode

if TYPE_CHECKING:
    from trackd_proto.records import ArtifactLogged


@pytest.fixture
def run_dir(place: Path) -> Path:
    return place / "trackd" / "offline-run-1"


def draft(**files: str) -> Artifact:
    artifact = Artifact("data", "t")
    for name, text in files.items():
        with artifact.new_file(f"in/{name}") as file:
            file.write(text)
    return artifact


def large_draft() -> Artifact:
    """Return an artifact whose manifest has more than a mebibyte, with one file."""
    artifact = draft(x="1")
    for number in range(1_000):
        artifact.add_reference(f"x://{number}/{'y' * 1_000}", name=f"{number}")
    return artifact


def contents(record: ArtifactLogged, run_dir: Path) -> dict[str, str]:
    return {e.path: (run_dir / (e.local_path or "")).read_text() for e in record.entries}


def test_the_files_of_a_record_lie_in_the_run_folder_and_outlive_the_draft(run_dir: Path) -> None:
    artifact = draft(x="1", y="2")
    record = artifact.to_record(run_dir, aliases=["best"], tags=["t"])
    assert staging_root().exists()
    del artifact
    gc.collect()
    assert not list(staging_root().iterdir())
    moved = run_dir.with_name("moved")
    run_dir.rename(moved)
    assert contents(record, moved) == {"in/x": "1", "in/y": "2"}
    assert record.aliases == ["best", "latest"]


def test_an_artifact_logged_twice_has_files_for_each_record(run_dir: Path) -> None:
    artifact = draft(x="1")
    first, second = artifact.to_record(run_dir), artifact.to_record(run_dir)
    assert first.entries[0].local_path != second.entries[0].local_path
    (run_dir / (first.entries[0].local_path or "")).unlink()
    assert contents(second, run_dir) == {"in/x": "1"}


def test_an_artifact_logged_by_several_threads_at_once_has_files_for_each(run_dir: Path) -> None:
    artifact = draft(x="1")
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(artifact.to_record, run_dir) for _ in range(16)]
    made = [future.result() for future in asked]
    assert len({record.entries[0].local_path for record in made}) == 16
    assert all(contents(record, run_dir) == {"in/x": "1"} for record in made)


def test_files_used_in_place_are_named_where_they_are(run_dir: Path, place: Path) -> None:
    (place / "big").write_text("x")
    artifact = Artifact("data", "t")
    artifact.add_file(place / "big", policy="immutable")
    [entry] = artifact.to_record(run_dir).entries
    assert entry.local_path == str(place / "big")


def test_a_manifest_too_large_for_a_record_lies_beside_it(run_dir: Path) -> None:
    artifact = large_draft()
    record = artifact.to_record(run_dir)
    assert not record.entries
    assert len(encode(record)) < 2000
    beside = run_dir / record.entries_file
    with beside.open("rb") as file:
        assert sum(len(block) for block in read_blocks(file)) == 1_001
    assert record.digest == artifact.digest


def test_without_room_for_a_large_manifest_nothing_is_left_behind(run_dir: Path) -> None:
    artifact = large_draft()
    with largest_file(100_000), pytest.raises(OSError, match="too large"):
        artifact.to_record(run_dir)
    assert list((run_dir / "artifacts").iterdir()) == []
    assert contents(artifact.to_record(run_dir), run_dir) == {}
    assert len(list((run_dir / "artifacts").iterdir())) == 2


def test_without_room_in_the_run_folder_files_stay_in_the_staging_folder(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    artifact = draft(x="1")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "hardlink_to", full)
        patched.setattr("trackd.artifacts.drafts.staging.shutil.copy2", full)
        record = artifact.to_record(run_dir)
    del artifact
    gc.collect()
    assert contents(record, run_dir) == {"in/x": "1"}


@pytest.mark.parametrize("path", ["n" * 300, "with\nnewline"])
def test_a_path_that_no_file_system_takes_is_one_of_the_artifact_still(
    run_dir: Path, path: str
) -> None:
    Path("x").write_text("1")
    artifact = Artifact("data", "t")
    artifact.add_file("x", path)
    assert contents(artifact.to_record(run_dir), run_dir) == {path: "1"}


@pytest.mark.filterwarnings("ignore:os.fork")  # of JAX, where another test imported it
def test_a_forked_child_leaves_the_copies_of_its_parent(place: Path) -> None:
    artifact = draft(x="1")
    copy = Path(artifact.manifest.entries["in/x"].local_path or "")
    (place / "y").write_text("2")
    child = os.fork()
    if not child:
        artifact.add_file(place / "y")
        del artifact
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    assert copy.read_text() == "1"
    artifact.add_file(place / "y")  # where the child's copy was not


def test_the_staging_folder_is_where_the_environment_says(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert staging_root() == place / "data" / "artifacts" / "staging"
    monkeypatch.setenv("WANDB_DATA_DIR", str(place / "other"))
    assert staging_root() == place / "other" / "artifacts" / "staging"
    monkeypatch.setenv("TRACKD_DATA_DIR", str(place / "mine"))
    assert staging_root() == place / "mine" / "artifacts" / "staging"


def test_metadata_changed_into_something_refused_is_refused_when_logged(run_dir: Path) -> None:
    artifact = draft(x="1")
    artifact.metadata["loss"] = float("inf")
    with pytest.raises(ValueError, match="metadata holds an infinite number"):
        artifact.to_record(run_dir)
