"""Artifacts of offline runs: a folder is synced when they are there, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fakes.wandb_server import fake_server, status
from tests.support.artifact_records import logged
from tests.support.frames import row, start
from tests.unit.artifacts.saves.test_save_faults import for_the_first, in_place
from tests.unit.artifacts.saves.test_saves import FILES
from tests.unit.runs.test_document import EXIT, journal, make_run
from tests.unit.runs.test_sync import sync

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_folder_brings_its_artifacts_and_keeps_their_files(tmp_path: Path) -> None:
    run_dir, data = make_run(tmp_path)
    given = [logged(run_dir, FILES), logged(run_dir, {"b": b"2"})]
    journal(run_dir, 7, start(), row({"a": 1}), *given, EXIT)
    async with fake_server() as server:
        server.faults["put"] = for_the_first(2, status(503))
        report = await sync(run_dir, data, server.base_url)
        assert (report.state, report.is_whole) == ("synced", True)
        assert len(server.artifacts.committed("model")) == 2
        assert (await sync(run_dir, data, server.base_url)).state == "already_synced"
        assert len(server.artifacts.versions) == 2
    kept = [path for path in (run_dir / "artifacts").rglob("*") if path.is_file()]
    assert len(kept) == len(FILES) + 1  # for another server


async def test_a_sync_that_was_stopped_goes_on_with_its_artifacts(tmp_path: Path) -> None:
    run_dir, data = make_run(tmp_path)
    journal(run_dir, 7, start(), logged(run_dir, FILES), EXIT)
    async with fake_server() as server:
        server.faults["put"] = status(503)
        report = await sync(run_dir, data, server.base_url, stall_s=0.3)
        assert report.state == "incomplete"
        assert not server.artifacts.committed("model")
        server.faults.clear()
        assert (await sync(run_dir, data, server.base_url)).is_whole
        assert len(server.artifacts.versions) == 1
        assert server.artifacts.committed("model")


async def test_a_folder_whose_artifact_failed_is_not_synced_and_can_be_tried_again(
    tmp_path: Path,
) -> None:
    run_dir, data = make_run(tmp_path)
    given = in_place(tmp_path / "mine", b"right")
    (tmp_path / "mine").write_bytes(b"wrong")
    journal(run_dir, 7, start(), given, EXIT)
    async with fake_server() as server:
        for _ in range(2):
            report = await sync(run_dir, data, server.base_url)
            assert report.state == "incomplete"
            assert "was changed after it was added" in report.problem
        (tmp_path / "mine").write_bytes(b"right")
        assert (await sync(run_dir, data, server.base_url)).is_whole
        assert len(server.artifacts.committed("model")) == 1
