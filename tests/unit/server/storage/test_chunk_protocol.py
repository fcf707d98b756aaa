"""The chunk protocol over HTTP, against a real server."""

from __future__ import annotations

import base64
import hashlib
import random
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import xxhash
from tests.support.server import running_server
from tests.unit.server.storage.place import new_version, opened, pieces

from trackd_proto import chunks
from trackd_proto.chunks import Chunk, Cutter, PackEntry
from trackd_server.domain.storage import DigestMismatch, contents, packing
from trackd_server.domain.storage.packing import Assembly
from trackd_server.domain.usage import fsck

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

DATA = random.Random(2).randbytes(3_000_000)
NEW_VERSION = """
INSERT INTO projects (id, entity, name, created_at) VALUES (1, 'local', 'p', 0);
INSERT INTO artifact_types (id, project_id, name, created_at) VALUES (1, 1, 'data', 0);
INSERT INTO collections (id, project_id, name, kind, type_id, created_at, updated_at)
    VALUES (1, 1, 'c', 'sequence', 1, 0, 0);
INSERT INTO versions (id, collection_id, state, digest, digest_algorithm, created_at, updated_at)
    VALUES (1, 1, 'PENDING', '', 'MANIFEST_MD5', 9e9, 9e9),
           (2, 1, 'COMMITTED', '', 'MANIFEST_MD5', 9e9, 9e9);
"""


def cut(data: bytes) -> list[Chunk]:
    cutter = Cutter()
    return [*cutter.feed(data), *cutter.finish()]


def pack(pieces: list[Chunk]) -> bytes:
    header = chunks.pack_header([PackEntry(piece.name, len(piece.data)) for piece in pieces])
    return header + b"".join(piece.data for piece in pieces)


def names(pieces: list[Chunk]) -> bytes:
    return b"".join(piece.name for piece in pieces)


class Caller:
    """Calls of one artifact."""

    def __init__(self, client: httpx.Client, version: int = 1) -> None:
        self.client = client
        opaque = base64.b64encode(f"Artifact:{version}".encode()).decode()
        self.path = f"/api/v1/artifacts/{opaque}"

    def post(self, call: str, **body: object) -> dict[str, Any]:
        answer = self.client.post(f"{self.path}/{call}", content=msgspec.msgpack.encode(body))
        assert answer.status_code == 200, answer.text
        return msgspec.msgpack.decode(answer.content)

    def status(self, call: str, body: bytes) -> tuple[int, str]:
        method = "PUT" if call == "packs" else "POST"
        answer = self.client.request(method, f"{self.path}/{call}", content=body)
        return answer.status_code, answer.text

    def put(self, body: bytes) -> int:
        answer = self.client.put(f"{self.path}/packs", content=body)
        assert answer.status_code == 200, answer.text
        return msgspec.msgpack.decode(answer.content)["stored"]


async def test_chunks_and_files_are_sent_once(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        with sqlite3.connect(server.directory / "trackd.sqlite") as connection:
            connection.executescript(NEW_VERSION)
        connection.close()
        with server.client() as client:
            caller = Caller(client)
            pieces, small = cut(DATA), cut(b"small")
            large_md5, small_md5 = (hashlib.md5(d).digest() for d in (DATA, b"small"))
            xxh = xxhash.xxh3_128(b"small").digest()
            empty = hashlib.md5(b"").digest()
            wanted = [
                ["large", "MD5", large_md5, len(DATA)],
                ["small", "MD5", small_md5, 5],
                ["again", "XXH128", xxh, 5],
                ["empty", "MD5", empty, 0],
            ]
            assert caller.post("known", files=wanted)["stored"] == [False] * 4
            every = list(range(len(pieces)))
            assert caller.post("missing", chunks=names(pieces))["missing"] == every
            assert caller.put(pack(pieces[:9])) == 9
            assert caller.put(pack(pieces[:9])) == 0
            assert caller.post("missing", chunks=names(pieces))["missing"] == every[9:]
            rows = [names(pieces), names(small), names(small), b""]
            files = [[*file, row] for file, row in zip(wanted, rows, strict=True)]
            lacking = caller.post("contents", files=files[:1])["missing"]
            assert sorted(lacking) == sorted({piece.name for piece in pieces[9:]})
            caller.put(pack(pieces[9:] + small + small))
            assert caller.post("contents", files=files) == {"missing": []}
            assert caller.post("contents", files=files) == {"missing": []}
            assert caller.post("known", files=wanted)["stored"] == [True] * 4
            place = msgspec.msgpack.decode(
                client.get(f"/api/v1/contents/MD5/{large_md5.hex()}?size={len(DATA)}").content
            )
            read = b""
            for key, offset, stored, encoding, blake3, length in place["extents"]:
                with open(f"{place['folder']}/{key}", "rb") as file:
                    file.seek(offset)
                    chunk = file.read(stored)
                assert (encoding, length, chunks.chunk_name(chunk)) == ("raw", stored, blake3)
                read += chunk
            assert read == DATA and place["next"] is None


async def test_files_of_many_chunks_are_made_in_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "CHUNKS_AT_ONCE", 7)
    files = [random.Random(seed).randbytes(size) for seed, size in enumerate((3_000_000, 90_000))]
    with opened(tmp_path) as storage:
        version = new_version(storage)

        def assembly(data: bytes) -> Assembly:
            name = ("MD5", hashlib.md5(data).digest(), len(data))
            return Assembly(name, [piece.name for piece in cut(data)])

        assert len(assembly(files[0]).chunks) > 20
        wanted = [assembly(data) for data in files]
        every = {name for file in wanted for name in file.chunks}
        assert set(storage.packs.assemble(version, wanted)) == every
        for data in files:
            await storage.packs.receive(version, pieces(pack(cut(data))))
        wrong = replace(wanted[0], name=("MD5", b"x" * 16, 1))
        with pytest.raises(DigestMismatch):
            storage.packs.assemble(version, [wrong])
        for _ in range(2):  # the second time everything is there
            assert storage.packs.assemble(version, wanted) == []
            assert fsck.check(storage, verify=True).ok
        with storage.database.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM held_contents").one()[0] == 2
            assert not contents.arriving(connection)


async def test_wrong_requests_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        with sqlite3.connect(server.directory / "trackd.sqlite") as connection:
            connection.executescript(NEW_VERSION)
        connection.close()
        with server.client() as client:
            caller = Caller(client)
            good = pack(cut(DATA[:200_000]))
            bad = good[:-1] + bytes([good[-1] ^ 1])
            assert caller.status("packs", bad)[0] == 400
            for body in (b"", b"TPK1", good[:-5], good + b"x", b"TPK9" + good[4:]):
                assert caller.status("packs", body)[0] == 400, body[:20]
            for body in (b"nonsense", b"\x81\xa5files\x91\x94\xa2\xff\xfe\xa3MD5\xc4\x01x\x05"):
                assert caller.status("known", body)[0] == 400
            for query in ("size=" + "9" * 19, "size=1&start=" + "9" * 5_000, "size=-1"):
                assert client.get(f"/api/v1/contents/MD5/00?{query}").status_code == 400
            encode = msgspec.msgpack.encode
            for file in (["a", "SHA", b"x" * 16, 1], ["a", "MD5", b"x", 1], ["a", "MD5", "t", 1]):
                assert caller.status("known", encode({"files": [file]}))[0] == 400
            assert caller.status("missing", encode({"chunks": b"x" * 33}))[0] == 400
            assert caller.put(pack(cut(b"small"))) == 1
            for digest, size in ((b"x" * 16, 5), (hashlib.md5(b"small").digest(), 6)):
                file = ["a", "MD5", digest, size, names(cut(b"small"))]
                status, text = caller.status("contents", encode({"files": [file]}))
                assert status == 400 and "announced" in text
            assert Caller(client, 2).status("packs", good)[0] == 409
            assert Caller(client, 3).status("packs", good)[0] == 404
            client.headers.pop("authorization")
            assert caller.status("packs", good)[0] == 401
        blobs = [path for path in (server.directory / "blobs").rglob("*") if path.is_file()]
        assert [path.stat().st_size for path in blobs] == [5]


@pytest.mark.parametrize("count", [chunks.MAX_FILES_AT_ONCE + 1])
async def test_requests_are_bounded(tmp_path: Path, count: int) -> None:
    async with running_server(tmp_path) as server:
        with server.client() as client:
            file = ["a", "MD5", b"x" * 16, 1]
            body = msgspec.msgpack.encode({"files": [file] * count})
            status, text = Caller(client).status("known", body)
            assert status == 400 and "at most 10000" in text
