"""Which runs used a version, and where they found it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, select
from sqlalchemy.dialects.sqlite import insert

from trackd_server.domain import run_records
from trackd_server.domain.artifacts import lifetimes
from trackd_server.domain.errors import NotFound
from trackd_server.store.tables import projects
from trackd_server.store.tables.artifacts import collections, memberships, uses, versions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from trackd_server.domain.run_records import RunPath


@dataclass(frozen=True)
class Use:
    """A run's use of a version; `entity` and `project` are where it was found, if that is known."""

    run: RunPath
    version_id: int
    used_as: str | None = None
    entity: str | None = None
    project: str | None = None


def note(connection: Connection, use: Use) -> None:
    """Note a use, once for a run and a version.

    Raises:
        NotFound: There is no such run, or the version is not committed, expired or deleted.
    """
    run_id = run_records.by_path(connection, use.run).id
    now = time.time()
    version = connection.execute(
        select(versions).where(
            versions.c.id == use.version_id,
            versions.c.state == "COMMITTED",
            lifetimes.alive(now),
        )
    ).one_or_none()
    if version is None:
        raise NotFound("The artifact version cannot be used: it is not there (any more).")
    row = {
        "run_id": run_id,
        "version_id": use.version_id,
        "used_as": use.used_as,
        "via_collection_id": _shown_in(connection, version, use),
        "created_at": now,
    }
    connection.execute(insert(uses).on_conflict_do_nothing(), row)


def _shown_in(connection: Connection, version: Row[Any], use: Use) -> int:
    """Return the collection in the use's project that shows a version; else its own."""
    query = (
        select(memberships.c.collection_id)
        .join(collections, collections.c.id == memberships.c.collection_id)
        .join(projects, projects.c.id == collections.c.project_id)
        .where(
            memberships.c.version_id == version.id,
            projects.c.entity == use.entity,
            projects.c.name == use.project,
        )
        .order_by(memberships.c.collection_id != version.collection_id)
    )
    return connection.execute(query).scalar() or version.collection_id
