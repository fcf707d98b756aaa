"""How long versions live: their own time, the entity's default, and what protects them.

`versions.expires_at` is the result, kept up to date by `refresh`; from that moment on a version is
hidden and refused, and the sweep takes its bytes back. While a version is linked in a registry, or
is the base of a pending incremental one, it does not expire.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, literal_column, or_, select, text
from sqlalchemy.dialects.sqlite import insert

from trackd_server.domain.errors import InvalidRequest
from trackd_server.store.tables.artifacts import ttl_defaults, versions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sqlalchemy import BindParameter, ColumnElement, Connection

#: On the wire, too.
INHERITED, NO_END = -1, -2
MAX_TTL_S = 100 * 366 * 86_400
REGISTRY_PREFIX = "wandb-registry-"
#: The word stands in the text, so that the index of these rows is used.
IS_PENDING = versions.c.state == literal_column("'PENDING'")


def checked(seconds: int) -> int:
    """Return a time to live as clients may set it, else refuse it."""
    if seconds in (INHERITED, NO_END) or 1 <= seconds <= MAX_TTL_S:
        return seconds
    raise InvalidRequest(
        f"Invalid ttlDurationSeconds {seconds}: it must be 1 to {MAX_TTL_S} seconds, "
        f"{INHERITED} (inherit) or {NO_END} (no end)."
    )


def alive(now: float | BindParameter[Any]) -> ColumnElement[bool]:
    """Return the condition that a version is not expired."""
    return or_(versions.c.expires_at.is_(None), versions.c.expires_at > now)


def seconds_shown(own: int, default: int | None) -> int:
    """Return a version's time to live in effect; `NO_END` if it has none."""
    if own == INHERITED:
        return NO_END if default is None else default
    return own


def default_of(connection: Connection, entity: str) -> int | None:
    """Return the entity's default time to live in seconds, or None."""
    return connection.execute(
        select(ttl_defaults.c.ttl_seconds).where(ttl_defaults.c.entity == entity)
    ).scalar()


def set_default(connection: Connection, entity: str, seconds: int | None) -> None:
    """Set what versions that inherit get; None: they live for ever."""
    if seconds is None or checked(seconds) < 0:
        connection.execute(delete(ttl_defaults).where(ttl_defaults.c.entity == entity))
    else:
        row = {"entity": entity, "ttl_seconds": seconds}
        statement = insert(ttl_defaults).on_conflict_do_update(
            index_elements=["entity"], set_={"ttl_seconds": seconds}
        )
        connection.execute(statement, row)
    _refresh(
        connection,
        " AND ttl_seconds = -1 AND collection_id IN (SELECT c.id FROM collections c"
        " JOIN projects p ON p.id = c.project_id WHERE p.entity = ?)",
        entity,
    )


def refresh(connection: Connection, version_ids: Sequence[int]) -> None:
    """Work out anew when versions expire: after a change of their time, links or uses as base."""
    if version_ids:
        among = " AND id IN (SELECT value FROM json_each(?))"
        _refresh(connection, among, json.dumps(list(version_ids)))


def ended(connection: Connection, now: float, pending_s: float, limit: int) -> list[int]:
    """Return up to `limit` versions whose time is over.

    Among them those that are pending, and nobody went on with for `pending_s` seconds.
    """
    is_over = versions.c.expires_at <= now
    is_abandoned = and_(IS_PENDING, versions.c.updated_at <= now - pending_s)
    query = select(versions.c.id).where(or_(is_over, is_abandoned))
    # The sign keeps SQLite from reading all versions in their order: two indexes tell at once.
    return list(connection.execute(query.order_by(text("+versions.id")).limit(limit)).scalars())


def abandoned(connection: Connection, now: float, pending_s: float) -> list[int]:
    """Return the pending versions that nobody went on with for `pending_s` seconds."""
    old = and_(IS_PENDING, versions.c.updated_at <= now - pending_s)
    return list(connection.execute(select(versions.c.id).where(old)).scalars())


# Text, not SQLAlchemy's: each commit and deletion runs it, and putting it together takes longer.
_REFRESH = """
UPDATE versions SET expires_at = CASE
    WHEN EXISTS (SELECT 1 FROM memberships m JOIN collections c ON c.id = m.collection_id
        JOIN projects p ON p.id = c.project_id
        WHERE m.version_id = versions.id AND p.name LIKE 'wandb-registry-%') THEN NULL
    WHEN EXISTS (SELECT 1 FROM manifests m JOIN versions making ON making.id = m.version_id
        WHERE m.base_version_id = versions.id AND m.kind = 'INCREMENTAL'
        AND making.state = 'PENDING') THEN NULL
    WHEN ttl_seconds > 0 THEN created_at + ttl_seconds
    WHEN ttl_seconds = -1 THEN created_at + (SELECT d.ttl_seconds FROM ttl_defaults d
        JOIN projects p ON p.entity = d.entity JOIN collections c ON c.project_id = p.id
        WHERE c.id = versions.collection_id)
    END
WHERE state = 'COMMITTED'"""


def _refresh(connection: Connection, which: str, parameter: str) -> None:
    connection.exec_driver_sql(_REFRESH + which, (parameter,))
