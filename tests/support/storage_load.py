"""Uploads and deletions at random, all at once, until somebody kills the process.

`python -m tests.support.storage_load FOLDER SEED`: works on the storage in FOLDER as the server
does, and prints a line for each thing done. Several versions are filled with whole files, chunks
and files that are taken over, all made of a few pieces so that they share a lot; others are dropped
meanwhile, or made smaller.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.unit.server.storage.place import new_version, opened, pieces

from trackd_proto import chunks
from trackd_proto.chunks import Cutter, PackEntry
from trackd_server.domain import threads
from trackd_server.domain.errors import DomainError
from trackd_server.domain.storage import (
    MD5,
    NOTHING_FREED,
    Expected,
    compressing,
    contents,
    indexing,
    moving,
)
from trackd_server.domain.storage.adopting import Offer
from trackd_server.domain.storage.packing import Assembly

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Storage

#: The first half is noise, the other one shrinks to a fraction.
PIECES = [random.Random(n).randbytes(n * 37_000 + 5) for n in range(12)] + [
    b"".join(b"step %d of run %d\n" % (line, n) for line in range(n * 2_000)) for n in range(12)
]
WORKERS = 6


def some_file(dice: random.Random) -> bytes:
    """Return a file of up to 2 MB that shares pieces with others, or a small one."""
    if dice.random() < 0.3:
        return dice.randbytes(dice.randrange(200)) if dice.random() < 0.5 else PIECES[0]
    return b"".join(dice.choices(PIECES, k=dice.randrange(1, 8)))


def keeper(version: int) -> Callable[[Connection, int], None]:
    """Return what keeps a content for a version; sometimes the version is gone by then."""

    def keep(connection: Connection, content_id: int) -> None:
        found = connection.exec_driver_sql("SELECT 1 FROM versions WHERE id = ?", (version,))
        if found.first() is None:
            raise LookupError
        contents.hold(connection, version, [content_id])

    return keep


async def upload_whole(storage: Storage, dice: random.Random, version: int) -> None:
    """Send a file as other clients do; some announce wrong bytes."""
    data = some_file(dice)
    digest = hashlib.md5(data if dice.random() < 0.9 else b"other").digest()
    await storage.receive(pieces(data), Expected(MD5, digest), keeper(version))


async def upload_chunks(storage: Storage, dice: random.Random, version: int) -> None:
    """Send a file as our agent does."""
    data = some_file(dice)
    cutter = Cutter()
    found = [*cutter.feed(data), *cutter.finish()]
    name = (MD5, hashlib.md5(data).digest(), len(data))
    row = [chunk.name for chunk in found]
    for _ in range(4):
        lacking = await threads.call(storage.packs.assemble, version, [Assembly(name, row)])
        if not lacking:
            return
        sent = [chunk for chunk in found if chunk.name in lacking or dice.random() < 0.2]
        header = chunks.pack_header([PackEntry(chunk.name, len(chunk.data)) for chunk in sent])
        body = header + b"".join(chunk.data for chunk in sent)
        await storage.packs.receive(version, pieces(body))


async def adopt(storage: Storage, dice: random.Random, version: int) -> None:
    """Hand a file over as our agent does on the same machine; sometimes it is not what was said."""
    data = b"".join(dice.choices(PIECES, k=dice.randrange(3, 12)))
    name = secrets.token_hex(8)
    (storage.adoption.inbox.folder / name).write_bytes(data)
    size = len(data) - (dice.random() < 0.1)
    offer = Offer((MD5, hashlib.md5(data).digest(), size), name)
    await threads.call(storage.adoption.adopt, version, [offer])


def drop(storage: Storage, version: int) -> None:
    """Drop a version with all that it holds."""
    with storage.database.write() as connection:
        freed, is_done = NOTHING_FREED, False
        while not is_done:
            more, is_done = contents.settle(connection, version, 1_000)
            freed += more
        connection.exec_driver_sql("DELETE FROM versions WHERE id = ?", (version,))
    storage.finish(freed)


async def work(storage: Storage, dice: random.Random) -> None:
    """Do one thing after another."""
    while True:
        with storage.database.read() as connection:
            query = "SELECT id FROM versions ORDER BY id"
            versions = [row.id for row in connection.exec_driver_sql(query)]
        if len(versions) < 4:
            await threads.call(new_version, storage)
            continue
        act = dice.random()
        try:
            if act < 0.15:
                await threads.call(drop, storage, dice.choice(versions))
            elif act < 0.6:
                await upload_whole(storage, dice, dice.choice(versions))
            elif act < 0.8:
                await upload_chunks(storage, dice, dice.choice(versions))
            elif act < 0.87:
                await adopt(storage, dice, dice.choice(versions))
            elif act < 0.93:
                await threads.call(storage.indexer.work)
            elif act < 0.97:
                await threads.call(storage.compressor.work)
            else:
                await threads.call(storage.reclaimer.work)
        except (DomainError, LookupError):
            pass  # refused: the version was dropped, or the digest was wrong
        print("done", flush=True)


async def main() -> None:
    """Work until killed."""
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    indexing.STEP_BYTES = moving.SLICE_BYTES = 700_000  # so that a file takes several steps
    compressing.WAIT_S = 0.0
    with opened(folder) as storage:
        print("ready", flush=True)
        async with asyncio.TaskGroup() as tasks:
            for number in range(WORKERS):
                tasks.create_task(work(storage, random.Random(seed * 100 + number)))


if __name__ == "__main__":
    asyncio.run(main())
