"""Deleting versions: one transaction takes all of it away, then the caller frees the bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_server.domain.artifacts import aliases, lifetimes, pending, remains
from trackd_server.domain.errors import Conflict
from trackd_server.domain.storage import NOTHING_FREED
from trackd_server.store.statements import as_json, run_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Freed

_AT_ONCE = 2_000
_FOUND = (
    "SELECT v.id, v.state, m.id, m.base_version_id, s.collection_id FROM versions v"
    " LEFT JOIN manifests m ON m.version_id = v.id LEFT JOIN memberships s ON s.version_id = v.id"
    " WHERE v.id IN (SELECT value FROM json_each(?))"
)
_DELETE = "DELETE FROM versions WHERE id IN (SELECT value FROM json_each(?))"
_ALIASES = (
    "SELECT DISTINCT a.alias FROM aliases a JOIN memberships m ON m.id = a.membership_id"
    " WHERE m.version_id IN (SELECT value FROM json_each(?)) ORDER BY a.alias LIMIT 5"
)
_MAKING = (
    "SELECT m.id FROM manifests m JOIN versions v ON v.id = m.version_id"
    " WHERE m.base_version_id IN (SELECT value FROM json_each(?))"
    " AND m.kind = 'INCREMENTAL' AND m.arrived IS NULL"
    " AND v.state = 'PENDING' AND v.id NOT IN (SELECT value FROM json_each(?)) LIMIT 1"
)


def remove(
    connection: Connection, version_ids: Sequence[int], *, delete_aliases: bool = False
) -> Freed:
    """Delete versions with their manifests, links, aliases, tags and uses; contents are `remains`.

    `latest` of a collection that loses it goes to its highest member that is left.

    Raises:
        Conflict: Some have aliases and `delete_aliases` is false, or are needed by a version that
            is being made.
    """
    freed = NOTHING_FREED
    for start in range(0, len(version_ids), _AT_ONCE):
        some = version_ids[start : start + _AT_ONCE]
        these = as_json(some)
        if not delete_aliases:
            _refuse_aliased(connection, these)
        _refuse_bases(connection, these)
        freed += _remove(connection, these)
    return freed


def _remove(connection: Connection, these: str) -> Freed:
    found = run_text(connection, _FOUND, (these,))
    # A line for each manifest in each collection that shows the version.
    manifests = {manifest for _, _, manifest, _, _ in found if manifest is not None}
    remains.leave(connection, remains.MANIFEST, manifests)
    freed = NOTHING_FREED
    for version_id in {version for version, state, _, _, _ in found if state == "PENDING"}:
        freed += pending.let_go(connection, version_id)
    # Memberships, aliases, tags, uses, manifests and client ids go with the row.
    run_text(connection, _DELETE, (these,))
    for collection_id in {shown_in for _, _, _, _, shown_in in found if shown_in is not None}:
        aliases.restore_latest(connection, collection_id)
    bases = {base for _, _, _, base, _ in found if base is not None}
    lifetimes.refresh(connection, list(bases))
    return freed


def _refuse_aliased(connection: Connection, these: str) -> None:
    """Refuse if one of the versions, given as a JSON list, has an alias."""
    named = [name for (name,) in run_text(connection, _ALIASES, (these,))]
    if named:
        raise Conflict(
            f"The artifact version has aliases ({', '.join(named)}): remove them first, or delete "
            "it together with them (delete_aliases=True)."
        )


def _refuse_bases(connection: Connection, these: str) -> None:
    if run_text(connection, _MAKING, (these, these)):
        raise Conflict(
            "The artifact version is the base of an incremental one that is being logged: delete "
            "it after that one's commit."
        )
