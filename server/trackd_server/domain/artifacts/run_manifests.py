"""Manifests of the versions that a run logged, as files of that run.

They are no run files: clients list them only if they ask for them, and they go with their version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from trackd_server.store.tables import artifacts as tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row


def of_run(connection: Connection, run_id: int) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return id, kind, version_id, state and updated_at of a run's manifests, oldest first."""
    columns = (
        tables.manifests.c.id,
        tables.manifests.c.kind,
        tables.manifests.c.version_id,
        tables.versions.c.state,
        tables.versions.c.updated_at,
    )
    query = select(*columns).join(
        tables.versions, tables.versions.c.id == tables.manifests.c.version_id
    )
    query = query.where(tables.versions.c.run_id == run_id)
    return connection.execute(query.order_by(tables.manifests.c.id)).all()


def size_of_run(connection: Connection, run_id: int) -> tuple[int, int]:
    """Return how many manifests a run's versions have, and their bytes, shared ones included."""
    mine = tables.versions.c.run_id == run_id
    of_versions = tables.manifests.join(
        tables.versions, tables.versions.c.id == tables.manifests.c.version_id
    )
    count = connection.execute(select(func.count()).select_from(of_versions).where(mine))
    pieces = of_versions.join(
        tables.manifest_segments, tables.manifest_segments.c.manifest_id == tables.manifests.c.id
    ).join(tables.segments, tables.segments.c.id == tables.manifest_segments.c.segment_id)
    size = select(func.coalesce(func.sum(tables.segments.c.bytes), 0)).select_from(pieces)
    return count.scalar_one(), int(connection.execute(size.where(mine)).scalar_one())
