"""Files on their way into a pending version: announced, taken in whole or in parts."""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio.from_thread
from sqlalchemy import Row, insert, select, update

from trackd_server.domain import threads
from trackd_server.domain.artifacts import manifests, pending, segments
from trackd_server.domain.artifacts.entries import DIGEST_BYTES, MD5, encode_digest
from trackd_server.domain.errors import Conflict, InvalidRequest, NotFound, Unavailable
from trackd_server.domain.storage import Expected, contents
from trackd_server.store.tables.artifacts import held_contents, multipart_parts, multipart_uploads
from trackd_server.store.tables.storage import contents as contents_table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Sequence

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Freed, Storage
    from trackd_server.store import Database

MAX_PARTS = 10_000
#: Hex MD5 of parts by number.
Parts = dict[int, str]


@dataclass(frozen=True)
class Announced:
    """A file that a client has: what names it, and the MD5 of its parts, if it comes in parts."""

    algorithm: str
    digest: bytes
    md5: bytes
    parts: dict[int, bytes] = field(default_factory=dict[int, bytes])


@dataclass(frozen=True)
class Target:
    """What the server says to it: the bytes are here, or where they are awaited."""

    file: Announced
    is_stored: bool
    birth: int
    upload_id: str | None = None


class Uploads:
    """Takes files in. Calls block unless they are coroutines."""

    def __init__(self, database: Database, storage: Storage) -> None:
        self._database = database
        self._storage = storage
        self._joining: set[str] = set()
        self._lock = threading.Lock()

    def announce(self, version_id: int, files: Sequence[Announced]) -> list[Target]:
        """Say for each file whether its bytes are here; those that are are held from now on."""
        with self._database.write() as connection:
            manifests.require_pending(connection, version_id)
            wanted = [(file.algorithm, file.digest, None) for file in files]
            found = contents.find_whole(connection, list(dict.fromkeys(wanted)))
            contents.hold(connection, version_id, found.values())
            births = segments.birth_versions(connection, found.values())
            targets: list[Target] = []
            for file, name in zip(files, wanted, strict=True):
                content_id = found.get(name)
                if content_id is not None:
                    targets.append(Target(file, True, births.get(content_id, version_id)))
                else:
                    upload = _open(connection, version_id, file) if file.parts else None
                    targets.append(Target(file, False, version_id, upload))
            return targets

    async def receive(
        self, version_id: int, algorithm: str, digest: bytes, body: AsyncIterator[bytes]
    ) -> None:
        """Store a whole file for a pending version.

        Raises:
            DigestMismatch: Other bytes came than were announced.
            Conflict: The version is committed.
        """
        keep = partial(_hold, version_id)
        await self._storage.receive(body, Expected(algorithm, digest), keep)

    async def receive_part(self, part: Row[Any], body: AsyncIterator[bytes]) -> str:
        """Store one part of a file; return its hex MD5."""

        def keep(connection: Connection, content_id: int) -> None:
            known = _part(connection, part.upload_id, part.number)
            if known.content_id == content_id:
                return
            contents.retain(connection, {content_id: 1})
            if known.content_id is not None:
                former = contents.release(connection, {known.content_id: 1})
                freed.append(former)
            connection.execute(
                update(multipart_parts)
                .where(
                    multipart_parts.c.upload_id == part.upload_id,
                    multipart_parts.c.number == part.number,
                )
                .values(content_id=content_id)
            )

        freed: list[Freed] = []
        received = await self._storage.receive(body, Expected(MD5, part.md5), keep)
        for former in freed:
            await threads.call(self._storage.finish, former)
        return received.md5.hex()

    def part(self, upload_id: str, number: int) -> Row[Any]:
        """Return the row of an awaited part."""
        with self._database.read() as connection:
            return _part(connection, upload_id, number)

    def complete(self, version_id: int, upload_id: str, storage_path: str, parts: Parts) -> str:
        """Join the parts of a file; return its digest in base64. For worker threads of anyio.

        An upload that is complete already is answered again.

        Raises:
            NotFound: There is no such upload, and no such file for the version.
            Conflict: Parts are missing.
            InvalidRequest: The client means other parts than came.
            DigestMismatch: Together they are not the file that was announced.
            Unavailable: Another request is joining them.
        """
        with self._alone(upload_id):
            return self._complete(version_id, upload_id, storage_path, parts)

    @contextmanager
    def _alone(self, upload_id: str) -> Generator[None]:
        """Let nobody else join the same parts: a client that waits too long asks again."""
        with self._lock:
            if upload_id in self._joining:
                raise Unavailable("The parts are being joined by another request; try again later.")
            self._joining.add(upload_id)
        try:
            yield
        finally:
            self._joining.discard(upload_id)

    def _complete(self, version_id: int, upload_id: str, storage_path: str, parts: Parts) -> str:
        with self._database.read() as connection:
            upload = connection.execute(
                select(multipart_uploads).where(multipart_uploads.c.id == upload_id)
            ).one_or_none()
            if upload is None:
                return _completed(connection, version_id, storage_path)
            rows = _parts(connection, upload_id)
        for row in rows:
            if row.content_id is None:
                raise Conflict(f"Part {row.number} of the file did not arrive.")
            if parts.get(row.number, "").strip('"').lower() != row.md5.hex():
                raise InvalidRequest(f"Part {row.number} is not the one that arrived.")
        expected = Expected(upload.algorithm, upload.digest)
        pieces = [(row.content_id, row.bytes) for row in rows]
        keep = partial(_hold, upload.version_id)
        anyio.from_thread.run(self._storage.join, pieces, expected, keep)
        with self._database.write() as connection:
            freed = pending.drop_uploads(connection, [upload_id])
        self._storage.finish(freed)
        return encode_digest(upload.digest)


def path_of(version_id: int, file: Announced) -> str:
    """Return where a file of a pending version is put, on this server."""
    return f"/artifact_files/{version_id}/{file.algorithm}/{file.digest.hex()}"


def _completed(connection: Connection, version_id: int, storage_path: str) -> str:
    """Return the digest of a file that was complete before."""
    held = (
        select(contents_table)
        .join(held_contents, held_contents.c.content_id == contents_table.c.id)
        .where(held_contents.c.version_id == version_id)
    )
    end = storage_path.rpartition("/")[2]
    for row in connection.execute(held.where(contents_table.c.digest == _bytes(end))):
        return encode_digest(row.digest)
    raise NotFound("The upload does not exist (any more): announce the file again.")


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _hold(version_id: int, connection: Connection, content_id: int) -> None:
    pending.hold(connection, version_id, [content_id])


def _open(connection: Connection, version_id: int, file: Announced) -> str:
    """Make the places for a file's parts; return the upload's id."""
    if sorted(file.parts) != list(range(1, len(file.parts) + 1)) or len(file.parts) > MAX_PARTS:
        raise InvalidRequest(f"Parts of a file must be numbered from 1 to at most {MAX_PARTS}.")
    if any(len(md5) != DIGEST_BYTES for md5 in file.parts.values()):
        raise InvalidRequest(f"hexMD5 of a part must have {DIGEST_BYTES} bytes.")
    upload_id = secrets.token_hex(16)
    row = {
        "id": upload_id,
        "version_id": version_id,
        "algorithm": file.algorithm,
        "digest": file.digest,
        "created_at": time.time(),
    }
    connection.execute(insert(multipart_uploads), row)
    rows = [{"upload_id": upload_id, "number": n, "md5": md5} for n, md5 in file.parts.items()]
    connection.execute(insert(multipart_parts), rows)
    return upload_id


def _part(connection: Connection, upload_id: str, number: int) -> Row[Any]:
    row = connection.execute(
        select(multipart_parts).where(
            multipart_parts.c.upload_id == upload_id, multipart_parts.c.number == number
        )
    ).one_or_none()
    if row is None:
        raise NotFound("The upload does not exist (any more), or has no such part.")
    return row


def _parts(connection: Connection, upload_id: str) -> Sequence[Row[Any]]:
    query = (
        select(multipart_parts, contents_table.c.bytes)
        .outerjoin(contents_table, contents_table.c.id == multipart_parts.c.content_id)
        .where(multipart_parts.c.upload_id == upload_id)
        .order_by(multipart_parts.c.number)
    )
    return connection.execute(query).all()
