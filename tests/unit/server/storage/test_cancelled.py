"""An upload whose task is cancelled while a thread hands its bytes over: books and disk agree."""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.server.storage.place import held_writer, new_version, opened, pieces

from trackd_proto import chunks
from trackd_proto.chunks import Cutter, PackEntry
from trackd_server.domain.storage import MD5, Expected, contents
from trackd_server.domain.usage import fsck

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from trackd_server.domain.storage import Storage


def send_pack(storage: Storage, data: bytes) -> Coroutine[Any, Any, object]:
    cutter = Cutter()
    found = [*cutter.feed(data), *cutter.finish()]
    header = chunks.pack_header([PackEntry(chunk.name, len(chunk.data)) for chunk in found])
    body = header + b"".join(chunk.data for chunk in found)
    return storage.packs.receive(new_version(storage), pieces(body))


def send_file(storage: Storage, data: bytes) -> Coroutine[Any, Any, object]:
    version = new_version(storage)
    expected = Expected(MD5, hashlib.md5(data).digest())
    return storage.receive(
        pieces(data),
        expected,
        lambda connection, content_id: contents.hold(connection, version, [content_id]),
    )


@pytest.mark.parametrize("send", [send_pack, send_file])
@pytest.mark.parametrize("size", [50_000, 3_000_000])
async def test_the_task_is_cancelled_while_a_thread_waits_to_write_rows(
    tmp_path: Path, send: Callable[[Storage, bytes], Coroutine[Any, Any, object]], size: int
) -> None:
    with opened(tmp_path) as storage:
        storage.doomed.new_key()  # reserves the keys that the upload takes
        sending = send(storage, random.Random(size).randbytes(size))
        async with asyncio.TaskGroup() as tasks:
            with held_writer(storage.database) as is_wanted:
                task = tasks.create_task(sending)
                assert await asyncio.to_thread(is_wanted.wait, 40)  # a thread is at its transaction
                task.cancel()
                await asyncio.sleep(0.1)
                assert not task.done()
        assert task.cancelled()
        report = fsck.check(storage, verify=True)
        assert report.ok, report
