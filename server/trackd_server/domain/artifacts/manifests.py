"""Manifests of versions: announced, found, and sent as the compatible JSON."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Row, bindparam, func, insert, select, update

from trackd_server.domain import names
from trackd_server.domain.artifacts import lifetimes, segments
from trackd_server.domain.errors import Conflict, InvalidRequest, NotFound
from trackd_server.store.tables import artifacts as tables
from trackd_server.store.tables.artifacts import manifests, versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Connection

    from trackd_server.domain.artifacts.entries import Entry
    from trackd_server.store import Database

FULL, INCREMENTAL, PATCH = "FULL", "INCREMENTAL", "PATCH"
#: Segments read at once: about 4,000 entries.
SEGMENTS_AT_ONCE = 64

# Statements are put together once: that takes several times as long as running one.
_FIND = select(manifests).where(manifests.c.id == bindparam("number"))
_VERSION = select(versions).where(versions.c.id == bindparam("number"))
_ANNOUNCE = insert(manifests).returning(manifests.c.id)
_GOES_ON = "UPDATE versions SET updated_at = ? WHERE id = ?"


def announce(connection: Connection, version_id: int, kind: str, base_id: int | None) -> int:
    """Make the place for a manifest of a pending version; return its number.

    Only an INCREMENTAL one has a base, which neither goes nor expires meanwhile; clients name one
    with every kind.

    Raises:
        NotFound: The version or its base is gone.
        Conflict: The version is committed.
    """
    require_pending(connection, version_id)
    if kind not in (FULL, INCREMENTAL, PATCH):
        raise InvalidRequest(f"Invalid manifest type {kind[:50]!r}.")
    base = base_id if kind == INCREMENTAL else None
    if base is not None:
        _require_committed(connection, base)
    now = time.time()
    values = {"version_id": version_id, "kind": kind, "base_version_id": base, "created_at": now}
    number = connection.execute(_ANNOUNCE, values).scalar_one()
    connection.exec_driver_sql(_GOES_ON, (now, version_id))
    if base is not None:
        lifetimes.refresh(connection, [base])
    return number


def rebase(connection: Connection, manifest_id: int, base_id: int | None) -> Row[Any]:
    """Return an announced manifest; an INCREMENTAL one with another base, if one is given."""
    slot = find(connection, manifest_id)
    require_pending(connection, slot.version_id)
    if base_id is not None and slot.kind == INCREMENTAL:
        _require_committed(connection, base_id)
        changed = update(manifests).where(manifests.c.id == manifest_id)
        connection.execute(changed.values(base_version_id=base_id))
        former = slot.base_version_id
        lifetimes.refresh(connection, [base_id] if former is None else [base_id, former])
    return slot


def _require_committed(connection: Connection, version_id: int) -> None:
    query = select(versions.c.state).where(
        versions.c.id == version_id, lifetimes.alive(time.time())
    )
    if connection.execute(query).scalar() != "COMMITTED":
        raise NotFound("The base version does not exist (any more).")


def find(connection: Connection, manifest_id: int) -> Row[Any]:
    """Return a manifest's row."""
    row = connection.execute(_FIND, {"number": manifest_id}).one_or_none()
    if row is None:
        raise NotFound("The manifest does not exist (any more): its version was deleted.")
    return row


def stored_bytes(connection: Connection, manifest_id: int) -> int:
    """Return the bytes of a manifest's segments, those that others hold, too, included."""
    query = (
        select(func.coalesce(func.sum(tables.segments.c.bytes), 0))
        .join(
            tables.manifest_segments,
            tables.manifest_segments.c.segment_id == tables.segments.c.id,
        )
        .where(tables.manifest_segments.c.manifest_id == manifest_id)
    )
    return int(connection.execute(query).scalar_one())


def json_pieces(database: Database, manifest_id: int) -> Iterator[bytes]:
    """Yield the compatible JSON of a committed manifest, some 4,000 entries at a time."""
    with database.read() as connection:
        slot = find(connection, manifest_id)
        query = select(versions.c.storage_region).where(versions.c.id == slot.version_id)
        region = connection.execute(query).scalar()
    config = {"storageLayout": "V2"} | ({"storageRegion": region} if region else {})
    head = {"version": 1, "storagePolicy": "wandb-storage-policy-v1", "storagePolicyConfig": config}
    yield json.dumps(head, separators=(",", ":"))[:-1].encode() + b',"contents":{'
    position, comma = 0, b""
    while True:
        with database.read() as connection:
            find(connection, manifest_id)
            some = segments.read(connection, manifest_id, position, SEGMENTS_AT_ONCE)
            listed = [entry for segment in some for entry in segment]
            numbers = segments.birth_versions(connection, (e.content for e in listed if e.content))
        if listed:
            ids = {number: names.storage_id("Artifact", number) for number in set(numbers.values())}
            births = {content: ids[number] for content, number in numbers.items()}
            yield comma + b",".join([_shown(entry, births) for entry in listed])
            comma = b","
        position += len(some)
        if len(some) < SEGMENTS_AT_ONCE:
            break
    yield b"}}"


def _shown(entry: Entry, births: Mapping[int, str]) -> bytes:
    value = entry.shown(births.get(entry.content))
    if entry.extra:  # may hold numbers that only Python's json writes
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    else:
        text = msgspec.json.encode(value)
    return msgspec.json.encode(entry.path) + b":" + text


def require_pending(connection: Connection, version_id: int) -> Row[Any]:
    """Return a version's row if it can still be written."""
    row = connection.execute(_VERSION, {"number": version_id}).one_or_none()
    if row is None:
        raise NotFound("The artifact version does not exist (any more).")
    if row.state != "PENDING":
        raise Conflict(
            "The artifact version is committed: it cannot change. Log a new version instead."
        )
    return row
