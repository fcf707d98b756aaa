"""Manifests of the versions that a run logged, as files of that run.

They are no run files: clients list them only if they ask for them, and they go with their version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from trackd_server.domain.listing import pages
from trackd_server.domain.listing.pages import Order
from trackd_server.store.tables import artifacts as tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

    from trackd_server.domain.listing.pages import Page, Range


_COLUMNS = (
    tables.manifests.c.id,
    tables.manifests.c.kind,
    tables.manifests.c.version_id,
    tables.versions.c.state,
    tables.versions.c.updated_at,
)
_OF_VERSIONS = tables.manifests.join(
    tables.versions, tables.versions.c.id == tables.manifests.c.version_id
)
_OLDEST_FIRST = Order("manifest", tables.manifests.c.id, descending=False)


def page(
    connection: Connection, run_id: int, asked: Range
) -> tuple[Page, Sequence[Row[*tuple[Any, ...]]]]:
    """Return one page of a run's manifests: id, kind, version_id, state and updated_at of each."""
    query = select(*_COLUMNS).select_from(_OF_VERSIONS)
    mine = query.where(tables.versions.c.run_id == run_id)
    found = pages.page(connection, mine, tables.manifests.c.id, _OLDEST_FIRST, asked)
    shown = connection.execute(query.where(tables.manifests.c.id.in_(found.ids)))
    return found, shown.all()


def count(connection: Connection, run_id: int) -> int:
    """Return how many manifests a run's versions have."""
    query = select(func.count()).select_from(_OF_VERSIONS)
    return connection.execute(query.where(tables.versions.c.run_id == run_id)).scalar_one()


def size_of_run(connection: Connection, run_id: int) -> tuple[int, int]:
    """Return how many manifests a run's versions have, and their bytes, shared ones included."""
    pieces = _OF_VERSIONS.join(
        tables.manifest_segments, tables.manifest_segments.c.manifest_id == tables.manifests.c.id
    ).join(tables.segments, tables.segments.c.id == tables.manifest_segments.c.segment_id)
    size = select(func.coalesce(func.sum(tables.segments.c.bytes), 0)).select_from(pieces)
    mine = size.where(tables.versions.c.run_id == run_id)
    return count(connection, run_id), int(connection.execute(mine).scalar_one())
