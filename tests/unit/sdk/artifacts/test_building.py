"""Drafts: what may be added, what it becomes, and what later changes of files do (nothing)."""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.disks import disk_of

from trackd.artifacts import Artifact, ArtifactFinalizedError, ArtifactTTL
from trackd.artifacts.manifest import Manifest, ManifestEntry
from trackd.artifacts.rules import own_name
from trackd.errors import Error

pytestmark = pytest.mark.usefixtures("place")


def write(path: str, text: str) -> Path:
    made = Path(path)
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_text(text)
    return made


def staged(artifact: Artifact, path: str) -> Path:
    return Path(artifact.manifest.entries[path].local_path or "")


def test_a_file_that_changes_later_is_in_the_artifact_as_it_was() -> None:
    source = write("weights.bin", "before")
    artifact = Artifact("a", "model")
    entry = artifact.add_file(source)
    source.write_text("after")
    assert Path(entry.local_path or "").read_text() == "before"
    assert entry.size == len("before")


def test_equal_contents_have_equal_digests_in_whatever_order() -> None:
    write("x", "1")
    write("y", "2")
    one, two = Artifact("one", "t"), Artifact("two", "u", "text", {"k": 1})
    for name in ("x", "y"):
        one.add_file(name)
    for name in ("y", "x"):
        two.add_file(name, policy="immutable")
    assert one.digest == two.digest


def test_a_path_is_a_file_or_a_folder_but_not_both() -> None:
    write("x", "1")
    artifact = Artifact("a", "t")
    artifact.add_file("x", "data/part")
    with pytest.raises(ValueError, match="folder"):
        artifact.add_file("x", "data")
    with pytest.raises(ValueError, match="'data/part' is a file"):
        artifact.add_file("x", "data/part/deep/er")
    artifact.remove("data/part")
    artifact.add_file("x", "data")
    assert list(artifact.manifest.entries) == ["data"]


def test_files_and_folders_are_told_apart_when_a_script_changed_the_entries_itself() -> None:
    manifest = Manifest()
    for path in ("a/b", "a/c", "d"):
        manifest.add_entry(ManifestEntry(path, "x"))
    del manifest.entries["a/b"]
    with pytest.raises(ValueError, match="'a' is a folder"):
        manifest.add_entry(ManifestEntry("a", "x"))
    manifest.remove_entry(manifest.entries["a/c"])
    manifest.add_entry(ManifestEntry("a", "x"))
    manifest.entries.update({"e/f": ManifestEntry("e/f", "x")})
    with pytest.raises(ValueError, match="'e' is a folder"):
        manifest.add_entry(ManifestEntry("e", "x"))
    with pytest.raises(ValueError, match="'d' is a file"):
        manifest.add_entry(ManifestEntry("d/g", "x"))
    assert sorted(manifest.entries) == ["a", "d", "e/f"]


def test_an_entry_is_shown_with_the_names_of_its_attributes() -> None:
    entry = ManifestEntry("a//b", "x", 3, birth_artifact_id="Q")
    shown = "path='a//b', digest='x', size=3, skip_cache=False, birth_artifact_id='Q'"
    assert repr(entry) == f"ManifestEntry({shown})"


def test_a_folder_with_a_conflict_adds_nothing() -> None:
    write("d/b", "other")
    write("d/a", "new")
    artifact = Artifact("a", "t")
    artifact.add_file(write("b", "first"))
    with pytest.raises(ValueError, match="'b' is in the artifact already"):
        artifact.add_dir("d")
    assert list(artifact.manifest.entries) == ["b"]
    artifact.add_dir("d", merge=True)
    assert staged(artifact, "b").read_text() == "other"


def test_a_folder_is_added_without_the_runs_and_staged_copies_below_it() -> None:
    write("code/train.py", "x")
    write("trackd/run-1/trackd-run.json", "{}")
    write("trackd/run-1/artifacts/old/weights", "large")
    write("trackd/notes.txt", "mine")
    Path("trackd/latest-run").symlink_to("run-1")
    Path("trackd/debug.log").symlink_to("run-1/logs/debug.log")
    for _ in range(2):
        artifact = Artifact("a", "t")
        artifact.add_dir(".")
        assert set(artifact.manifest.entries) == {"code/train.py", "trackd/notes.txt"}
    inside = Artifact("b", "t")
    inside.add_dir("trackd/run-1")  # asked for by name
    assert "artifacts/old/weights" in inside.manifest.entries


def test_a_replaced_or_removed_file_leaves_no_copy_behind() -> None:
    source = write("checkpoint", "0")
    artifact = Artifact("a", "t")
    copies: list[Path] = []
    for round_ in range(3):
        source.write_text(str(round_))
        artifact.add_file(source, overwrite=True)
        copies.append(staged(artifact, "checkpoint"))
    assert [copy.exists() for copy in copies] == [False, False, True]
    artifact.remove("checkpoint")
    assert not copies[-1].exists()


def test_a_name_that_is_no_utf8_is_refused_when_added() -> None:
    Path(os.fsdecode(b"caf\xe9")).write_text("x")
    artifact = Artifact("a", "t")
    with pytest.raises(ValueError, match="UTF-8"):
        artifact.add_dir(".")
    artifact.add_file(os.fsdecode(b"caf\xe9"), "cafe")
    with pytest.raises(ValueError, match="zero byte"):
        artifact.add_file(os.fsdecode(b"caf\xe9"), "a\0b")
    assert artifact.digest


def test_a_new_file_keeps_its_name_while_it_is_written() -> None:
    artifact = Artifact("a", "t")
    with artifact.new_file("images/cat.png", "wb") as file:
        assert Path(file.name).name == "cat.png"
        file.write(b"\x89")
    assert staged(artifact, "images/cat.png").read_bytes() == b"\x89"


def test_a_new_file_whose_block_fails_is_not_there_and_may_be_tried_again() -> None:
    artifact = Artifact("a", "t")
    with pytest.raises(KeyError), artifact.new_file("notes.txt"):
        raise KeyError("boom")
    assert not artifact.manifest.entries
    with artifact.new_file("notes.txt") as file:
        file.write("second try")
    assert staged(artifact, "notes.txt").read_text() == "second try"
    with pytest.raises(ValueError, match="already"), artifact.new_file("notes.txt"):
        pass


def test_a_new_file_can_go_on_with_what_is_there() -> None:
    artifact = Artifact("a", "t")
    for text in ("one ", "two"):
        with artifact.new_file("log.txt", "a") as file:
            file.write(text)
    assert staged(artifact, "log.txt").read_text() == "one two"
    with artifact.new_file("log.txt", "r+") as file:
        file.write("ONE")
    assert staged(artifact, "log.txt").read_text() == "ONE two"
    with pytest.raises(FileNotFoundError), artifact.new_file("other.txt", "r+"):
        pass
    assert list(artifact.manifest.entries) == ["log.txt"]


def test_a_final_artifact_takes_nothing_more() -> None:
    artifact = Artifact("a", "t")
    artifact.finalize()
    with pytest.raises(ArtifactFinalizedError, match="add_file"):
        artifact.add_file(write("x", "1"))
    with pytest.raises(ArtifactFinalizedError), artifact.new_file("y"):
        pass


def test_what_only_a_server_knows_is_absent_and_says_so() -> None:
    artifact = Artifact("a", "t")
    assert not hasattr(artifact, "version")
    for name in ("aliases", "ttl", "qualified_name"):
        with pytest.raises(AttributeError, match=f"{name}: no server knows"):
            getattr(artifact, name)
    with pytest.raises(AttributeError, match="download"):
        artifact.download()
    with pytest.raises(AttributeError, match="no server knows"):
        artifact.aliases = ["x"]
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = cast("Any", artifact).nonsense


def test_lifetimes_are_kept_as_the_wire_has_them() -> None:
    artifact = Artifact("a", "t")
    assert artifact.ttl_wire_seconds is None
    artifact.ttl = None
    assert artifact.ttl_wire_seconds == -2
    assert artifact.ttl is None
    artifact.ttl = ArtifactTTL.INHERIT
    assert artifact.ttl_wire_seconds == -1


def test_a_socket_is_no_file() -> None:
    write("folder/x", "1")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("folder/door")
        with pytest.raises(ValueError, match="'folder/door' is a pipe, a device or the like"):
            Artifact("a", "t").add_dir("folder")


def test_the_data_directory_is_no_part_of_the_folder_around_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It holds keys of servers, and sockets."""
    monkeypatch.setenv("TRACKD_DIR", "work/data")
    write("work/train.py", "1")
    write("work/data/agent/credentials.json", "{}")
    write("work/sub/data/x", "1")
    artifact = Artifact("a", "t")
    artifact.add_dir("work")
    assert sorted(artifact.manifest.entries) == ["sub/data/x", "train.py"]


def test_a_digest_algorithm_must_exist() -> None:
    with pytest.raises(ValueError, match="'SHA1' does not exist"):
        Artifact("a", "t", digest_algorithm="SHA1")


def test_a_missing_hash_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xxhash", None)
    artifact = Artifact("a", "t", digest_algorithm="XXH128")
    with pytest.raises(Error, match="pip install 'xxhash'"):
        artifact.add_file(write("x", "1"))


def test_a_seed_of_the_user_does_not_make_ids_repeat() -> None:
    ids: set[str] = set()
    for _ in range(3):
        random.seed(0)
        ids.add(Artifact("a", "t").client_id)
    assert len(ids) == 3


def test_names_of_our_own_artifacts_are_made_from_any_text() -> None:
    assert own_name("run-x-loss") == "run-x-loss"
    changed = {own_name("run-x-a/b"), own_name("run-x-a b"), own_name("run-x-ab")}
    assert len(changed) == 3
    assert len(own_name("x" * 300)) == 128
    made = Artifact.for_own_use("run-x-grp/sc", "run_table")
    assert made.type == "run_table"
    with pytest.raises(ValueError, match="reserved"):
        Artifact("run-x", "run_table")


def test_a_full_disk_is_named_with_what_can_be_done(tmp_path: Path) -> None:
    with disk_of(1024 * 1024, tmp_path / "small") as small:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TRACKD_DATA_DIR", str(small))
            artifact = Artifact("a", "data")
            Path("big").write_bytes(os.urandom(2_000_000))
            with pytest.raises(OSError, match="for a copy of 'big': free some space") as caught:
                artifact.add_file("big")
        assert str(small) in str(caught.value)
        assert not artifact.manifest.entries
        assert not [path for path in small.rglob("*") if path.is_file()]
