"""Who stores how much: kinds, owners and what they share add up to what lies on the disk."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.unit.server.storage.place import new_version, opened, pieces, put

from trackd_proto import chunks
from trackd_proto.chunks import Cutter, PackEntry
from trackd_server.domain.storage import contents
from trackd_server.domain.usage import Accounts, deletions, forecast
from trackd_server.domain.usage.ledger import stream_kind

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Keep, Storage
    from trackd_server.domain.usage import ServerUsage

COMMON, OWN = random.Random(1).randbytes(50_000), random.Random(2).randbytes(30_000)


def usage_of(storage: Storage) -> ServerUsage:
    with storage.database.read() as connection:
        usage = Accounts(connection).server(storage)
    assert usage.physical == usage.disk
    parts = sum(part.exclusive for part in usage.projects)
    assert parts + usage.shared + usage.index + usage.in_transit == usage.physical
    return usage


def keeper(version: int) -> Keep:
    def keep(connection: Connection, content_id: int) -> None:
        contents.hold(connection, version, [content_id])

    return keep


async def test_what_projects_share_belongs_to_none_of_them(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        first, second = new_version(storage), new_version(storage)
        await put(storage, COMMON, keeper(first))
        await put(storage, OWN, keeper(first))
        assert usage_of(storage).shared == 0
        await put(storage, COMMON, keeper(second))
        usage = usage_of(storage)
        assert [part.exclusive for part in usage.projects] == [len(OWN), 0]
        assert [part.logical for part in usage.projects] == [80_000, 50_000]
        assert usage.shared == len(COMMON)
        assert usage.kinds == {"file": 80_000}
        assert usage.pending == {"versions": 2, "bytes": len(OWN)}
        gone = forecast(storage.database, deletions.of_version(first, delete_aliases=True))
        assert (gone.bytes, gone.kinds, gone.files) == (30_000, {"file": 30_000}, 1)
        assert usage_of(storage) == usage  # nothing was done
        both = usage_of(storage).kinds["file"]
        with storage.database.write() as connection:
            freed, _ = contents.settle(connection, first, 1_000)
        storage.finish(freed)
        assert both - usage_of(storage).kinds["file"] == gone.bytes == freed.bytes
        assert [part.exclusive for part in usage_of(storage).projects] == [50_000, 0]


async def test_chunks_that_no_file_needs_yet_are_a_kind_of_their_own(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        version = new_version(storage)
        cutter = Cutter()
        cut = [*cutter.feed(OWN), *cutter.finish()]
        header = chunks.pack_header([PackEntry(chunk.name, len(chunk.data)) for chunk in cut])
        await storage.packs.receive(version, pieces(header + OWN))
        assert usage_of(storage).kinds == {"chunk": len(OWN)}
        await put(storage, OWN, keeper(version))
        assert usage_of(storage).kinds == {"file": len(OWN)}


async def test_a_file_on_its_way_in_is_in_transit(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        stored = await put(storage, COMMON)
        with storage.database.write() as connection:
            contents.begin(connection)
        usage = usage_of(storage)  # kept by nobody that the ledger knows
        assert usage.in_transit == len(COMMON) and usage.kinds == {}
        assert stored.bytes == len(COMMON)


def test_kinds_of_streams() -> None:
    files = ("output.log", "wandb-history.jsonl", "wandb-events.jsonl", "something")
    assert [stream_kind(file) for file in files] == ["console", "history", "events", "other"]
