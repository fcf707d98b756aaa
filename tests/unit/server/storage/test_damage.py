"""What is found damaged is not taken for stored, and the same bytes, sent again, replace it."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.storage_load import keeper
from tests.unit.server.artifact_client import Logger
from tests.unit.server.serving import serving
from tests.unit.server.storage.place import get, let_go, new_version, opened, pieces, put
from tests.unit.server.storage.test_adopting import index_all, offered
from tests.unit.server.storage.test_chunk_protocol import cut, pack
from tests.unit.server.storage.test_crash import assert_exact, settle

from trackd_server.domain.errors import DomainError
from trackd_server.domain.storage import MD5
from trackd_server.domain.storage.packing import Assembly
from trackd_server.domain.storage.reading import DamagedContent
from trackd_server.domain.usage import Accounts, fsck

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from trackd_server.domain.storage import Storage

DATA = random.Random(31).randbytes(1_500_000)
SMALL = random.Random(32).randbytes(20_000)


def packs(storage: Storage) -> list[Path]:
    with storage.database.read() as connection:
        keys = connection.exec_driver_sql("SELECT blob_key FROM packs ORDER BY id").scalars()
        return [storage.blobs.folder / key for key in keys]


def rewrite(path: Path, data: bytes) -> None:
    path.unlink()  # what was taken over may not be written to
    path.write_bytes(data)


def rot(storage: Storage, places: int = 3) -> None:
    """Turn bits all over the packs."""
    for path in packs(storage):
        data = bytearray(path.read_bytes())
        for place in range(places):
            data[len(data) * (2 * place + 1) // (2 * places)] ^= 1
        rewrite(path, bytes(data))


def cut_short(storage: Storage) -> None:
    for path in packs(storage):
        rewrite(path, path.read_bytes()[: path.stat().st_size // 2])


def remove(storage: Storage) -> None:
    for path in packs(storage):
        path.unlink()


def replace_by_a_pipe(storage: Storage) -> None:
    for path in packs(storage):
        path.unlink()
        os.mkfifo(path)


def is_known(storage: Storage, version: int, data: bytes) -> bool:
    name = (MD5, hashlib.md5(data).digest(), len(data))
    return storage.packs.known(version, [name]) == [True]


async def send_whole(storage: Storage, version: int, data: bytes) -> None:
    await put(storage, data, keeper(version))


async def send_chunks(storage: Storage, version: int, data: bytes) -> None:
    """Send what the server says is missing."""
    found = cut(data)
    for _ in range(2):
        missing = storage.packs.missing([chunk.name for chunk in found])
        if missing:
            await storage.packs.receive(version, pieces(pack([found[n] for n in missing])))
        name = (MD5, hashlib.md5(data).digest(), len(data))
        lacking = storage.packs.assemble(version, [Assembly(name, [c.name for c in found])])
        if not lacking:
            return
    raise AssertionError("the server never had enough")


async def hand_over(storage: Storage, version: int, data: bytes) -> None:
    assert storage.adoption.adopt(version, [offered(storage, data)]) == [True]


@pytest.mark.parametrize(
    ("harm", "send"),
    [
        (rot, send_whole),
        (rot, send_chunks),
        (rot, hand_over),
        (cut_short, send_whole),
        (remove, send_chunks),
        (replace_by_a_pipe, hand_over),
    ],
)
async def test_the_same_bytes_repair_every_content_that_has_them(
    tmp_path: Path,
    harm: Callable[[Storage], None],
    send: Callable[[Storage, int, bytes], Awaitable[None]],
) -> None:
    files = [DATA, DATA[:800_000] + b"another end", SMALL, b""]
    with opened(tmp_path) as storage:
        version = new_version(storage)
        ids = [(await put(storage, data, keeper(version))).content_id for data in files]
        harm(storage)
        report = fsck.check(storage, verify=True)
        assert report.damaged.found == 3 and not report.repaired.found
        told = fsck.check(storage)
        assert not told.ok and told.damaged.found == 3
        later = new_version(storage)
        assert [is_known(storage, later, data) for data in files] == [False, False, False, True]
        for data in (DATA, SMALL):
            await send(storage, later, data)
        index_all(storage)
        # Of the other one only chunks of its own are still damaged.
        assert [each["content"] for each in fsck.check(storage).damaged.listed] == [ids[1]]
        await send(storage, later, files[1])
        settle(storage)
        for content_id, data in zip(ids, files, strict=True):
            assert await get(storage, content_id, 0, len(data)) == data
            assert is_known(storage, later, data)
        report = fsck.check(storage, verify=True)
        assert report.ok and report.repaired.found == 3
        assert not fsck.check(storage, verify=True).repaired.found, "told once"
        assert_exact(storage)
        assert storage.blobs.total_bytes() < len(DATA) + len(SMALL) + 300_000


@pytest.mark.parametrize("send", [send_whole, send_chunks, hand_over])
async def test_a_content_whose_chunks_are_right_but_not_its_digest_gets_others(
    tmp_path: Path, send: Callable[[Storage, int, bytes], Awaitable[None]]
) -> None:
    """As a file is that was taken over and changed before it was cut."""
    with opened(tmp_path) as storage:
        version = new_version(storage)
        await hand_over(storage, version, DATA)
        rot(storage)
        index_all(storage)
        report = fsck.check(storage, verify=True)
        assert "not" in report.damaged.listed[0]["error"]
        assert not is_known(storage, version, DATA)
        await send(storage, version, DATA)
        assert is_known(storage, version, DATA)
        settle(storage)
        report = fsck.check(storage, verify=True)
        assert report.ok and report.repaired.found == 1
        assert_exact(storage)


async def test_an_uncut_file_that_cannot_be_read_comes_again(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        version = new_version(storage)
        await hand_over(storage, version, DATA)
        cut_short(storage)
        assert fsck.check(storage, verify=True).damaged.found == 1
        await hand_over(storage, version, DATA)
        index_all(storage)
        assert_exact(storage)


async def test_chunks_that_are_damaged_are_repaired_by_another_file_that_has_them(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as storage:
        version = new_version(storage)
        first = await put(storage, DATA, keeper(version))
        rot(storage)
        assert fsck.check(storage, verify=True).damaged.found == 1
        await send_chunks(storage, version, b"before" + DATA + b"behind")
        assert is_known(storage, version, DATA)
        assert await get(storage, first.content_id, 0, len(DATA)) == DATA
        settle(storage)
        assert_exact(storage)


async def test_marks_end_where_the_bytes_are_right_again_or_gone(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        first = await put(storage, DATA)
        (path,) = packs(storage)
        path.rename(tmp_path / "elsewhere")
        assert fsck.check(storage, verify=True).damaged.found == 1
        shutil.copy(tmp_path / "elsewhere", path)
        assert fsck.check(storage, verify=True).damaged.found == 0
        assert fsck.check(storage).damaged.found == 0
        rot(storage)
        assert fsck.check(storage, verify=True).damaged.found == 1
        let_go(storage, first.content_id)
        assert fsck.check(storage, verify=True).ok and fsck.check(storage).ok
        assert storage.blobs.total_bytes() == 0


async def test_the_servers_own_trouble_is_told_and_not_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(key: str) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), key)

    with opened(tmp_path) as storage:
        version = new_version(storage)
        await put(storage, DATA, keeper(version))
        with monkeypatch.context() as patched:
            patched.setattr(storage.blobs, "open", refuse)
            report = fsck.check(storage, verify=True)
            assert report.damaged.found == 1 and "open files" in report.damaged.listed[0]["error"]
        assert fsck.check(storage, verify=True).ok
        assert is_known(storage, version, DATA)


@pytest.mark.parametrize("harm", [cut_short, remove])
async def test_a_read_that_fails_marks_what_it_found(
    tmp_path: Path, harm: Callable[[Storage], None]
) -> None:
    with opened(tmp_path) as storage:
        version = new_version(storage)
        first = await put(storage, DATA, keeper(version))
        small = await put(storage, SMALL, keeper(version))
        harm(storage)
        with pytest.raises(DamagedContent, match="log them again"):
            await get(storage, first.content_id, 0, len(DATA))
        with pytest.raises(DamagedContent, match="log them again"):
            storage.read(small.content_id, 0, len(SMALL))
        assert not is_known(storage, version, DATA) and not is_known(storage, version, SMALL)
        await send_whole(storage, version, SMALL)
        assert storage.read(small.content_id, 0, len(SMALL)) == SMALL


@pytest.mark.parametrize("harm", [rot, cut_short, remove])
async def test_a_small_file_that_is_damaged_unnoticed_is_asked_for(
    tmp_path: Path, harm: Callable[[Storage], None]
) -> None:
    """The agent does not ask for small files: it sends them, and the server reads what it has."""
    found = cut(SMALL)
    files = [Assembly((MD5, hashlib.md5(SMALL).digest(), len(SMALL)), [c.name for c in found])]
    with opened(tmp_path) as storage:
        version = new_version(storage)
        await put(storage, SMALL, keeper(version))
        harm(storage)
        assert await storage.packs.receive(version, pieces(pack(found))) == 0
        assert storage.packs.assemble(version, files) == [found[0].name]
        assert await storage.packs.receive(version, pieces(pack(found))) == 1
        assert storage.packs.assemble(version, files) == []
        assert_exact(storage)
        wrong = [Assembly((MD5, b"x" * 16, len(SMALL)), [c.name for c in found])]
        with pytest.raises(DomainError, match="announced"):
            storage.packs.assemble(version, wrong)
        assert fsck.check(storage).ok, "a wrong digest is no damage of the chunk"


def test_a_version_is_whole_again_after_the_same_files_are_logged(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        storage = server.services.storage
        files = {"folder/data.bin": DATA, "small": SMALL}
        digest = "0123456789abcdef0123456789abcdef"
        first = Logger(server).log(files)
        Logger(server, "b").log({"other": DATA[:900_000] + SMALL})

        def got(data: bytes, **headers: str) -> Any:
            return server.http.get(
                f"/artifacts/local/{hashlib.md5(data).hexdigest()}", headers=headers
            )

        assert server.http.get("/api/v1/fsck?verify=true").json()["ok"]
        digest = Logger(server).read(first, "digest")["digest"]
        assert Logger(server).create(digest)["id"] == first
        rot(storage, places=12)
        found = server.http.get("/api/v1/fsck?verify=1").json()
        assert not found["ok"] and found["found"]["damaged"] == 3
        named = {name for each in found["damaged"] for name in each["files"]}
        assert named == {"local/p/a:v0/folder/data.bin", "local/p/a:v0/small", "local/p/b:v0/other"}
        for headers in ({}, {"range": "bytes=0-9"}):
            refused = got(DATA, **headers)
            assert refused.status_code == 410 and "CONTENT_DAMAGED" in refused.text
        again = Logger(server).log(files, digest)
        assert again != first, "a version of its own, for which the files came"
        assert Logger(server).log(files, digest) == again
        assert got(DATA).content == DATA and got(SMALL).content == SMALL
        Logger(server, "c").log({"other": DATA[:900_000] + SMALL})
        settle(storage)
        told = server.http.get("/api/v1/fsck").json()
        assert told["ok"] and told["found"]["repaired"] == 3
        assert {name for each in told["repaired"] for name in each["files"]} > named
        with storage.database.read() as connection:
            usage = Accounts(connection).server(storage)
        assert usage.physical == usage.disk
        assert fsck.check(storage, verify=True).ok


def test_a_server_that_is_killed_while_it_repairs_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.killed_repairs", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed" in done.stdout
