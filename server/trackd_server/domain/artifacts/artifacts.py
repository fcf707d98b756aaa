"""What clients do with artifacts: make versions, fill them, commit them, change and delete them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, bindparam, select, update

from trackd_server.domain.artifacts import (
    aliases,
    committing,
    creating,
    lifetimes,
    using,
)
from trackd_server.domain.artifacts.arrival import Manifests
from trackd_server.domain.artifacts.ending import Endings
from trackd_server.domain.artifacts.uploads import Uploads
from trackd_server.domain.errors import Conflict, NotFound
from trackd_server.store.tables import artifacts as tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from trackd_server.domain.artifacts.creating import NewVersion
    from trackd_server.domain.artifacts.using import Use
    from trackd_server.domain.storage import Storage
    from trackd_server.store import Database

#: How often a commit merges again because one more part arrived meanwhile.
MERGES = 5

# Put together once: that takes several times as long as running it.
_VERSION = select(tables.versions).where(tables.versions.c.id == bindparam("number"))


class Artifacts(Endings):
    """The artifacts of one server. Calls block; each is one transaction, or says otherwise."""

    def __init__(self, database: Database, storage: Storage) -> None:
        super().__init__(database, storage)
        self.manifests = Manifests(database, storage)
        self.uploads = Uploads(database, storage)

    def create(self, new: NewVersion) -> int:
        """Return the number of the version that a request means, made if need be."""
        with self._database.write() as connection:
            return creating.create(connection, new)

    def commit(self, version_id: int) -> None:
        """Make a version visible under the next number of its collection, with its aliases.

        A committed version stays as it is. Parts of a distributed one are merged first, in
        transactions of their own.
        """
        for _ in range(MERGES):
            with self._database.read() as connection:
                row = _version(connection, version_id)
                parts = committing.arrived(connection, version_id)
            if row.state == "COMMITTED":
                return
            if not parts:
                raise Conflict("No manifest of the artifact arrived: upload it before the commit.")
            chosen = parts[-1].id
            if parts[-1].kind == "PATCH" and len(parts) > 1:
                chosen = self.manifests.merge(version_id, parts, row.digest_algorithm)
            merged = committing.names_of(parts)
            with self._database.write() as connection:
                done = committing.commit(connection, version_id, chosen, merged)
            if done is not None:
                freed, is_done = done
                self.finish(freed, is_done=is_done)
                return
        raise Conflict("Parts of the artifact keep arriving: commit it when all ranks are done.")

    def use(self, use: Use) -> None:
        """Note that a run used a version."""
        with self._database.write() as connection:
            using.note(connection, use)

    def edit(self, version_id: int, changes: dict[str, Any]) -> None:
        """Change a version: description, metadata, ttl_seconds, tags_to_add, tags_to_remove."""
        values = {name: changes[name] for name in ("description", "metadata") if name in changes}
        creating.check_texts(values.get("description"), values.get("metadata"))
        if "ttl_seconds" in changes:
            values["ttl_seconds"] = lifetimes.checked(changes["ttl_seconds"])
        with self._database.write() as connection:
            _version(connection, version_id)
            connection.execute(
                update(tables.versions)
                .where(tables.versions.c.id == version_id)
                .values(**values, updated_at=time.time())
            )
            creating.tag(connection, version_id, changes.get("tags_to_add", ()))
            creating.untag(connection, version_id, changes.get("tags_to_remove", ()))
            lifetimes.refresh(connection, [version_id])

    def change_aliases(
        self, version_id: int, by_collection: Mapping[int, Sequence[str]], *, remove: bool
    ) -> None:
        """Set or remove aliases of a version in collections that show it."""
        with self._database.write() as connection:
            for collection_id, names in by_collection.items():
                membership = connection.execute(
                    select(tables.memberships.c.id).where(
                        tables.memberships.c.version_id == version_id,
                        tables.memberships.c.collection_id == collection_id,
                    )
                ).scalar()
                if membership is None:
                    raise NotFound("The collection does not show this artifact version.")
                if remove:
                    aliases.drop(connection, membership, names)
                else:
                    aliases.set_(connection, membership, names)

    def set_ttl_default(self, entity: str, seconds: int | None) -> None:
        """Set how long versions of an entity live that say nothing of it."""
        with self._database.write() as connection:
            lifetimes.set_default(connection, entity, seconds)


def _version(connection: Connection, version_id: int) -> Row[Any]:
    row = connection.execute(_VERSION, {"number": version_id}).one_or_none()
    if row is None:
        raise NotFound("The artifact version does not exist (any more).")
    return row
