"""What a download reads: the content behind a digest, the manifest behind a number."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackd_server.domain.artifacts import manifests, versions
from trackd_server.domain.artifacts.entries import MD5, XXH128
from trackd_server.domain.errors import Conflict, NotFound
from trackd_server.domain.storage.reading import readable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from trackd_server.store import Database


@dataclass(frozen=True)
class StoredFile:
    """One content, as a download needs it."""

    id: int
    digest: bytes
    bytes: int


def content(database: Database, version_id: int | None, digest: bytes) -> StoredFile:
    """Return the content of a digest; of a version that can be read, if one is named.

    Raises:
        NotFound: There is none.
        DamagedContent: It is known to be damaged.
    """
    with database.read() as connection:
        if version_id is not None:
            _require_alive(connection, version_id)
        for algorithm in (MD5, XXH128):
            found = readable(connection, algorithm, digest, None)
            if found is not None:
                return StoredFile(found.id, digest, found.bytes)
    raise NotFound("The file does not exist (any more).")


def require_readable(database: Database, manifest_id: int) -> None:
    """Refuse a manifest that did not arrive, or whose version is gone or expired."""
    with database.read() as connection:
        slot = manifests.find(connection, manifest_id)
        _require_alive(connection, slot.version_id)
        if slot.arrived is None:
            raise NotFound("The manifest did not arrive yet.")


def owner_of(database: Database, manifest_id: int) -> str:
    """Return the name of the version that a manifest is of."""
    with database.read() as connection:
        slot = manifests.find(connection, manifest_id)
        return versions.view(connection, slot.version_id).name


def refuse_deletion(database: Database, manifest_id: int) -> None:
    """Refuse to delete a manifest by itself.

    Raises:
        Conflict: Always; it names the version and the call that deletes it.
        NotFound: There is no such manifest.
    """
    raise Conflict(
        f"This is the manifest of {owner_of(database, manifest_id)}: it cannot be deleted alone. "
        "deleteArtifact deletes the version with it."
    )


# Text, not SQLAlchemy's: each small file that is downloaded asks it.
_ALIVE = "SELECT 1 FROM versions WHERE id = ? AND (expires_at IS NULL OR expires_at > ?)"


def _require_alive(connection: Connection, version_id: int) -> None:
    if connection.exec_driver_sql(_ALIVE, (version_id, time.time())).first() is None:
        raise NotFound("The artifact version does not exist (any more), or has expired.")
