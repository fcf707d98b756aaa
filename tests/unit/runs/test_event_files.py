"""TensorBoard files of a writer: what is noted of them in its journals and facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.event_files import event, event_file, framed, message, scalars
from tests.support.rank import Rank
from tests.support.runs import running_registry

from trackd_agent.core.errors import JournalFull
from trackd_agent.runs.writer_facts import WriterFacts
from trackd_agent.tensorboard import Follower
from trackd_proto.records import FileSaved, Followed, Kind, TensorboardLogs, decode

if TYPE_CHECKING:
    from pathlib import Path

    from trackd_agent.runs.registry import RunRegistry
    from trackd_agent.runs.writer import Writer

#: Nobody answers there; offline runs ask nobody.
NOWHERE = "http://127.0.0.1:9"


async def follow(registry: RunRegistry, data: Path, *folders: Path) -> tuple[Rank, Writer]:
    """Attach an offline rank whose records name some folders."""
    rank = Rank(data, mode="offline")
    for folder in folders:
        rank.add(TensorboardLogs(str(folder), root=str(folder)))
    writer = await rank.attach(registry)
    rank.send()
    return rank, writer


def noted(writer: Writer) -> list[Followed]:
    reader = writer.agent_journal.reader(0)
    found = [decode(f.kind, f.payload) for f in reader.read() if f.kind == Kind.FOLLOWED]
    reader.close()
    return [record for record in found if isinstance(record, Followed)]


async def test_folders_are_noted_beside_the_journal_and_rows_in_it(tmp_path: Path) -> None:
    path = event_file(tmp_path / "logs", scalars(0, 3))
    async with running_registry(tmp_path, NOWHERE, tensorboard_interval_s=60.0) as registry:
        rank, writer = await follow(registry, tmp_path, path.parent)
        stored = WriterFacts.load(writer.folder)
        assert stored is not None
        assert [logs.folder for logs in stored.tensorboard] == [str(path.parent)]
        assert await writer.event_files.finish()
        begun, read = noted(writer)
        assert begun.files == [FileSaved(path.name, "end")]
        assert [row.data["loss"] for row in read.rows] == [0.0, 1.0, 2.0]
        assert (read.after_seq, read.offset) == (rank.last_seq, path.stat().st_size)


async def test_a_full_disk_costs_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = event_file(tmp_path / "logs", scalars(0, 3))
    async with running_registry(tmp_path, NOWHERE, tensorboard_interval_s=60.0) as registry:
        _, writer = await follow(registry, tmp_path, path.parent)

        def full(*_: object) -> int:
            raise JournalFull("JOURNAL_UNWRITABLE", "no space")

        with monkeypatch.context() as patched:
            patched.setattr(writer.agent_journal, "append", full)
            with pytest.raises(JournalFull):
                await writer.event_files.finish()
        assert await writer.event_files.finish()
        assert [row.data["loss"] for record in noted(writer) for row in record.rows] == [0, 1, 2]


async def test_an_image_that_finds_no_room_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_registry(tmp_path, NOWHERE, tensorboard_interval_s=60.0) as registry:
        _, writer = await follow(registry, tmp_path, tmp_path / "logs")

        def full(*_: object, **__: object) -> list[Followed]:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(Follower, "read", full)
            with pytest.raises(JournalFull, match="No space"):
                await writer.event_files.finish()
        event_file(tmp_path / "logs", scalars(0, 1))
        assert await writer.event_files.finish()
        assert noted(writer)[-1].rows[0].data["loss"] == 0


async def test_a_row_that_no_journal_holds_is_told_and_costs_only_itself(tmp_path: Path) -> None:
    # A text of 9 MB: field 8 of the value is a tensor, its field 8 holds texts; 9 names the plugin.
    tensor = message(8, message(8, b"x" * 9_000_000))
    text = message(1, message(1, b"note") + tensor + message(9, message(1, message(1, b"text"))))
    path = event_file(tmp_path / "logs", framed(event(0, text)) + scalars(1, 2))
    async with running_registry(tmp_path, NOWHERE, tensorboard_interval_s=60.0) as registry:
        _, writer = await follow(registry, tmp_path, path.parent)
        assert await writer.event_files.finish(10.0)
        rows = [row.data for record in noted(writer) for row in record.rows]
        assert [row["global_step"] for row in rows] == [1, 2]
        assert "too large" in writer.take_notices()[0].text


async def test_hyperparameters_that_no_journal_holds_are_told_and_cost_only_themselves(
    tmp_path: Path,
) -> None:
    pair = message(1, b"note") + message(2, message(3, b"x" * 9_000_000))
    plugin = message(1, b"hparams") + message(2, message(3, message(1, pair)))
    value = message(1, message(1, b"_hparams_/session_start_info") + message(9, message(1, plugin)))
    path = event_file(tmp_path / "logs", framed(event(0, value)) + scalars(1, 2))
    async with running_registry(tmp_path, NOWHERE, tensorboard_interval_s=60.0) as registry:
        _, writer = await follow(registry, tmp_path, path.parent)
        assert await writer.event_files.finish(10.0)
        rows = [row.data for record in noted(writer) for row in record.rows]
        assert [row["global_step"] for row in rows] == [1, 2]
        assert "too large" in "".join(notice.text for notice in writer.take_notices())


async def test_folders_without_end_are_not_followed(tmp_path: Path) -> None:
    async with running_registry(tmp_path, NOWHERE, tensorboard_interval_s=60.0) as registry:
        _, writer = await follow(registry, tmp_path)
        for start in range(0, 3000, 500):
            names = [TensorboardLogs(f"/logs/{start + n}") for n in range(500)]
            writer.event_files.note(names)
        assert len(writer.facts.tensorboard) == 1000


async def test_a_failure_that_nobody_foresaw_does_not_keep_a_run_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_registry(tmp_path, NOWHERE, tensorboard_interval_s=60.0) as registry:
        rank, writer = await follow(registry, tmp_path, tmp_path / "logs")

        def fail(*_: object, **__: object) -> list[Followed]:
            raise RuntimeError("not foreseen")

        monkeypatch.setattr(Follower, "read", fail)
        await rank.finish()
        assert writer.state == "exited"
