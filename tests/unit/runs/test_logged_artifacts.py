"""Artifacts in the agent: kept with the state until they are taken, listed by the run document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from tests.support.frames import apply, start

from trackd_agent.runs.folders.logged_artifacts import describe
from trackd_agent.runs.state.writer_state import WriterState
from trackd_proto.records import ArtifactEntry, ArtifactLogged

if TYPE_CHECKING:
    from pathlib import Path

MD5_OF_HELLO = "XUFAKrxLKna5cZ2REBfFkg=="


def logged(*entries: ArtifactEntry, **more: Any) -> ArtifactLogged:
    return ArtifactLogged("n", "t", "c" * 128, "s" * 128, "d" * 32, list(entries), **more)


def test_artifacts_wait_in_the_state_and_in_its_snapshot() -> None:
    state = WriterState(start())
    apply(state, logged(aliases=["latest"]))
    restored = WriterState.restore(state.snapshot())
    assert [artifact.aliases for artifact in restored.take().artifacts] == [["latest"]]
    assert not restored.take().artifacts


def test_files_are_read_from_wherever_the_run_folder_is_now(tmp_path: Path) -> None:
    file = tmp_path / "artifacts" / "n" / "x.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"k": 1}')
    shown = describe(
        logged(
            ArtifactEntry("x.json", MD5_OF_HELLO, 8, local_path="artifacts/n/x.json"),
            ArtifactEntry("gone.json", MD5_OF_HELLO, 5, local_path="artifacts/n/gone.json"),
            ArtifactEntry("a", "etag", ref="s3://b/a"),
            description="",
        ),
        tmp_path,
    )
    md5 = "5d41402abc4b2a76b9719d911017c592"
    assert shown["files"] == [
        {"path": "a", "ref": "s3://b/a", "size": 0},
        {"path": "gone.json", "size": 5, "md5": md5},
        {"path": "x.json", "size": 8, "md5": md5, "json": {"k": 1}},
    ]
    assert shown["description"] is None
    assert shown["final"] is True


def test_a_large_manifest_is_read_from_the_file_beside_the_record(tmp_path: Path) -> None:
    entries = [ArtifactEntry(str(n), MD5_OF_HELLO, 5, local_path=f"/x/{n}") for n in range(3)]
    (tmp_path / "n.entries").write_bytes(msgspec.msgpack.encode(entries))
    record = logged(entries_file="n.entries")
    assert [file["path"] for file in describe(record, tmp_path)["files"]] == ["0", "1", "2"]
    assert describe(record, None)["files"] == []
    (tmp_path / "n.entries").write_bytes(b"torn")
    assert describe(record, tmp_path)["files"] == []


def test_a_digest_that_is_no_md5_is_not_shown_as_one(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello")
    digest, marked = "tenBrQcbPn/Hec+qXlI4GA==", {"alg": "XXH128"}
    there = ArtifactEntry("x", digest, 5, local_path="x", extra=marked)
    gone = ArtifactEntry("y", digest, 5, local_path="y", extra=marked)
    files = describe(logged(there, gone), tmp_path)["files"]
    assert [file["md5"] for file in files] == ["5d41402abc4b2a76b9719d911017c592", None]
