"""New versions: the rules by which a client's request makes one, or gets one that is there."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or

from trackd_server.domain import metadata, run_records
from trackd_server.domain.artifacts import aliases, collections, entries, lifetimes
from trackd_server.domain.artifacts.versions import by_client_id
from trackd_server.domain.damaged_versions import is_damaged
from trackd_server.domain.errors import Conflict, InvalidRequest
from trackd_server.domain.run_records import RunPath
from trackd_server.store.tables.artifacts import aliases as aliases_table
from trackd_server.store.tables.artifacts import (
    client_ids,
    memberships,
    version_tags,
    versions,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

#: Internal artifacts of clients have digests of their own making; none is longer.
MAX_DIGEST_CHARS = 128
MAX_ALIASES = 100
MAX_DESCRIPTION_CHARS = 1_000_000
_MAX_CHARS = {
    "client_id": 512,
    "distributed_id": 512,
    "storage_region": 128,
}
_DIGEST = re.compile(r"[!-~]+")

# Statements are put together once: that takes several times as long as running one.
_LATEST = (
    select(versions.c.id, versions.c.digest, memberships.c.id.label("membership_id"))
    .join(memberships, memberships.c.version_id == versions.c.id)
    .join(aliases_table, aliases_table.c.membership_id == memberships.c.id)
    .where(
        aliases_table.c.collection_id == bindparam("made_in"),
        aliases_table.c.alias == aliases.LATEST,
        lifetimes.alive(bindparam("moment")),
    )
)
_INSERT = insert(versions).returning(versions.c.id)
_NOTE_CLIENT = insert_or(client_ids).on_conflict_do_nothing()


@dataclass(frozen=True)
class NewVersion:
    """What a client asks for; see the GraphQL type CreateArtifactInput."""

    entity: str
    project: str
    type: str
    collection: str
    digest: str
    algorithm: str = entries.MD5
    run: str | None = None
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    description: str | None = None
    metadata: str | None = None
    ttl_seconds: int | None = None
    history_step: int | None = None
    distributed_id: str | None = None
    client_id: str | None = None
    storage_region: str | None = None
    is_deduplicated: bool = True

    def check(self) -> None:
        """Refuse values that cannot be, before anything is made."""
        if not _DIGEST.fullmatch(self.digest) or len(self.digest) > MAX_DIGEST_CHARS:
            raise InvalidRequest(f"Invalid artifact digest {self.digest[:200]!r}.")
        if self.project.startswith(lifetimes.REGISTRY_PREFIX):
            raise InvalidRequest(
                f"{self.project} is a registry: log the artifact to a project and link it here."
            )
        for field, limit in _MAX_CHARS.items():
            if len(getattr(self, field) or "") > limit:
                raise InvalidRequest(f"The {field} is longer than {limit} characters.")
        if len(self.aliases) > MAX_ALIASES:
            raise InvalidRequest(
                f"{len(self.aliases)} aliases at once; the most are {MAX_ALIASES}."
            )
        for alias in self.aliases:
            aliases.checked(alias)
        for tag in self.tags:
            collections.checked_tag(tag)
        check_texts(self.description, self.metadata)
        if self.ttl_seconds is not None:
            lifetimes.checked(self.ttl_seconds)


def create(connection: Connection, new: NewVersion) -> int:
    """Return the number of the version that a request means, made if need be.

    A client's own id always means the version that it made. Ranks with one distributed id fill one
    pending version. What has the digest of the collection's latest version is that version, and
    gets the aliases and tags of the request; but if files of that are damaged, it is a new version,
    for which they come again.
    """
    new.check()
    known = None if new.client_id is None else by_client_id(connection, client_key(new.client_id))
    if known is not None:
        return known
    now = time.time()
    run_id = None
    if new.run:
        path = RunPath.of(new.entity, new.project, new.run)
        run_id = run_records.by_path(connection, path).id
    project_id = run_records.ensure_project(connection, new.entity, new.project, now)
    collection = collections.ensure_collection(
        connection, project_id, new.collection, collections.SEQUENCE, new.type, now
    )
    version_id = _existing(connection, collection, new, now)
    if version_id is None:
        version_id = _insert(connection, collection.id, run_id, new, now)
    _note_client(connection, version_id, new)
    return version_id


def check_texts(description: str | None, fields: str | None) -> None:
    """Refuse a version's description, or its metadata as JSON, that cannot be."""
    if len(description or "") > MAX_DESCRIPTION_CHARS:
        raise InvalidRequest(f"The description is longer than {MAX_DESCRIPTION_CHARS} characters.")
    if fields is not None:
        metadata.check(fields)


def client_key(client_id: str) -> bytes:
    """Return the hash under which a client's id for an artifact is kept."""
    return hashlib.blake2b(client_id.encode(errors="replace"), digest_size=16).digest()


def tag(connection: Connection, version_id: int, tags: Sequence[str]) -> None:
    """Add tags to a version; those that it has stay."""
    rows = [{"version_id": version_id, "tag": collections.checked_tag(name)} for name in tags]
    if not rows:
        return
    connection.execute(insert_or(version_tags).on_conflict_do_nothing(), rows)
    of_this = version_tags.c.version_id == version_id
    has = connection.execute(select(func.count()).where(of_this)).scalar_one()
    if has > collections.MAX_TAGS:
        raise InvalidRequest(
            f"An artifact version can have {collections.MAX_TAGS} tags; remove some first."
        )


def untag(connection: Connection, version_id: int, tags: Sequence[str]) -> None:
    """Remove tags from a version."""
    connection.execute(
        delete(version_tags).where(
            version_tags.c.version_id == version_id, version_tags.c.tag.in_(list(tags))
        )
    )


def _existing(
    connection: Connection, collection: Row[Any], new: NewVersion, now: float
) -> int | None:
    if new.distributed_id:
        pending = connection.execute(
            select(versions.c.id, versions.c.wanted_aliases).where(
                versions.c.collection_id == collection.id,
                lifetimes.IS_PENDING,
                versions.c.distributed_id == new.distributed_id,
            )
        ).first()
        if pending is None:
            return None
        wanted = dict.fromkeys([*json.loads(pending.wanted_aliases), *new.aliases])
        connection.execute(
            update(versions)
            .where(versions.c.id == pending.id)
            .values(wanted_aliases=json.dumps(list(wanted)))
        )
        tag(connection, pending.id, new.tags)
        return pending.id
    latest = _latest(connection, collection.id, now) if new.is_deduplicated else None
    if latest is None or latest.digest != new.digest or is_damaged(connection, latest.id):
        return None
    aliases.set_(connection, latest.membership_id, new.aliases)
    tag(connection, latest.id, new.tags)
    return latest.id


def _latest(connection: Connection, collection_id: int, now: float) -> Row[Any, Any, Any] | None:
    return connection.execute(_LATEST, {"made_in": collection_id, "moment": now}).first()


def _insert(
    connection: Connection, collection_id: int, run_id: int | None, new: NewVersion, now: float
) -> int:
    if new.algorithm not in (entries.MD5, entries.XXH128):
        raise InvalidRequest(f"Unknown digest algorithm {new.algorithm[:50]!r}.")
    values = {
        "collection_id": collection_id,
        "state": "PENDING",
        "digest": new.digest,
        "digest_algorithm": new.algorithm,
        "description": new.description,
        "metadata": new.metadata,
        "ttl_seconds": lifetimes.INHERITED if new.ttl_seconds is None else new.ttl_seconds,
        "run_id": run_id,
        "history_step": new.history_step,
        "distributed_id": new.distributed_id,
        "wanted_aliases": json.dumps(list(dict.fromkeys(new.aliases))),
        "storage_region": new.storage_region,
        "created_at": now,
        "updated_at": now,
    }
    version_id = connection.execute(_INSERT, values).scalar_one()
    tag(connection, version_id, new.tags)
    return version_id


def _note_client(connection: Connection, version_id: int, new: NewVersion) -> None:
    if new.client_id is None:
        return
    row = {"digest": client_key(new.client_id), "version_id": version_id}
    if not connection.execute(_NOTE_CLIENT, row).rowcount:
        raise Conflict("This clientID was used for another artifact.")
