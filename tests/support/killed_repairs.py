"""Repairs of a damaged storage, killed at each of their transactions: the books stay right.

`python -m tests.support.killed_repairs FOLDER`. A child of its own for each transaction dies before
it (its files are written, its rows are not) or right after it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import shutil
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.storage_load import keeper
from tests.unit.server.storage.place import new_version, opened, pieces, put

from trackd_proto import chunks
from trackd_proto.chunks import Cutter, PackEntry
from trackd_server.domain.storage import MD5
from trackd_server.domain.storage.adopting import Offer
from trackd_server.domain.storage.packing import Assembly
from trackd_server.domain.usage import Accounts, fsck

if TYPE_CHECKING:
    from collections.abc import Generator

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Storage

FILES = [random.Random(n).randbytes(250_000 + n) for n in range(3)]
#: More than the repairs have transactions.
MOST = 40


def name_of(data: bytes) -> tuple[str, bytes, int]:
    return MD5, hashlib.md5(data).digest(), len(data)


async def fill(storage: Storage) -> None:
    version = new_version(storage)
    for data in FILES:
        await put(storage, data, keeper(version))


def harm(storage: Storage) -> None:
    for path in storage.blobs.folder.glob("*/*"):
        data = bytearray(path.read_bytes())
        for at in range(1_000, len(data), 90_000):
            data[at] ^= 1
        path.write_bytes(data)
    assert fsck.check(storage, verify=True).damaged.found == len(FILES)


async def repair(storage: Storage) -> None:
    """Send the files, each in another way."""
    version = new_version(storage)
    await put(storage, FILES[0], keeper(version))
    cutter = Cutter()
    found = [*cutter.feed(FILES[1]), *cutter.finish()]
    header = chunks.pack_header([PackEntry(chunk.name, len(chunk.data)) for chunk in found])
    await storage.packs.receive(version, pieces(header + FILES[1]))
    row = [chunk.name for chunk in found]
    assert not storage.packs.assemble(version, [Assembly(name_of(FILES[1]), row)])
    (storage.adoption.inbox.folder / "file").write_bytes(FILES[2])
    assert storage.adoption.adopt(version, [Offer(name_of(FILES[2]), "file")]) == [True]
    settle(storage)


def settle(storage: Storage) -> None:
    while storage.indexer.work() or storage.reclaimer.work():
        pass


def die_at(storage: Storage, number: int) -> None:
    """Let the process be killed by a transaction: before it ends, or right after."""
    write = storage.database.freeing
    left = number

    @contextmanager
    def counted() -> Generator[Connection]:
        nonlocal left
        left -= 1
        is_last = left <= 0
        with write() as connection:
            yield connection
            if is_last and number % 2:
                os.kill(os.getpid(), signal.SIGKILL)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)

    storage.database.write = storage.database.freeing = counted  # type: ignore[method-assign]


def repair_and_die(folder: Path, number: int) -> None:
    with opened(folder) as storage:
        die_at(storage, number)
        asyncio.run(repair(storage))


def check(folder: Path) -> None:
    """See that nothing but the damage is wrong, and that it can be repaired wholly."""
    with opened(folder) as storage:
        report = fsck.check(storage)
        problems = (report.objects_without_row, report.rows_without_object, report.wrong_counts)
        assert not any(each.found for each in problems), report
        asyncio.run(repair(storage))
        report = fsck.check(storage, verify=True)
        assert report.ok, report
        with storage.database.read() as connection:
            usage = Accounts(connection).server(storage)
        assert usage.physical == usage.disk and usage.in_transit == 0


def main(folder: Path) -> None:
    """Kill at each transaction, then look at what is left; all deaths before the first thread."""
    first = folder / "first"
    first.mkdir()
    with opened(first) as storage:
        asyncio.run(fill(storage))
        harm(storage)
    killed: list[Path] = []
    for number in range(1, MOST):
        copy = folder / str(number)
        shutil.copytree(first, copy)
        child = os.fork()
        if not child:
            repair_and_die(copy, number)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        killed.append(copy)
    else:
        raise AssertionError("the repairs never ended")
    for copy in killed:
        check(copy)
    print(f"killed {len(killed)} times")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
