"""Links: a version shown in a portfolio, under a number and aliases of that portfolio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from trackd_server.domain.artifacts import aliases as aliases_
from trackd_server.domain.artifacts import collections as collections_
from trackd_server.domain.artifacts import lifetimes
from trackd_server.domain.artifacts.collections import PORTFOLIO
from trackd_server.domain.errors import Conflict, InvalidRequest
from trackd_server.store.tables.artifacts import aliases, collections, memberships

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Row

    from trackd_server.domain.artifacts.versions import VersionView

#: Versions named by one statement.
_AT_ONCE = 10_000


def link(
    connection: Connection,
    version: VersionView,
    portfolio: Row[Any],
    names: Iterable[str],
    now: float,
) -> int:
    """Show a committed version in a portfolio and return the membership's number.

    A version is in a portfolio once: linking it again keeps its number there. `latest` and the
    given aliases go to it, from whichever version had them.
    """
    if portfolio.kind != PORTFOLIO:
        raise Conflict(
            f"Collection {portfolio.name!r} is a sequence: it takes no links; choose another name."
        )
    if version.row.state != "COMMITTED":
        raise InvalidRequest("The artifact is not committed yet: link it when its save is done.")
    membership = _membership(connection, version.id, portfolio.id)
    if membership is None:
        membership = _add(connection, version.id, portfolio, now)
    aliases_.set_(connection, membership, [aliases_.LATEST, *names])
    connection.execute(
        update(collections).where(collections.c.id == portfolio.id).values(updated_at=now)
    )
    lifetimes.refresh(connection, [version.id])
    return membership


def unlink(connection: Connection, version_id: int, portfolio_id: int) -> None:
    """Take a version out of a portfolio; if it was the latest, the newest other link becomes it.

    Nothing happens if it is not in it: clients repeat what they got no answer to.
    """
    collection = collections_.view(connection, portfolio_id)
    if collection.is_sequence:
        raise InvalidRequest(
            f"{collection.path} owns this version, it is no link: use deleteArtifact to delete it."
        )
    membership = _membership(connection, version_id, portfolio_id)
    if membership is None:
        return
    connection.execute(delete(aliases).where(aliases.c.membership_id == membership))
    connection.execute(delete(memberships).where(memberships.c.id == membership))
    aliases_.restore_latest(connection, portfolio_id)
    lifetimes.refresh(connection, [version_id])


def remove_portfolios(connection: Connection, ids: Sequence[int]) -> None:
    """Delete portfolios with their links and aliases; the linked versions live on."""
    linked = select(memberships.c.version_id).where(memberships.c.collection_id.in_(ids))
    version_ids = list(set(connection.execute(linked).scalars()))
    connection.execute(delete(aliases).where(aliases.c.collection_id.in_(ids)))
    connection.execute(delete(memberships).where(memberships.c.collection_id.in_(ids)))
    connection.execute(delete(collections).where(collections.c.id.in_(ids)))
    for start in range(0, len(version_ids), _AT_ONCE):
        lifetimes.refresh(connection, version_ids[start : start + _AT_ONCE])


def _membership(connection: Connection, version_id: int, collection_id: int) -> int | None:
    return connection.execute(
        select(memberships.c.id).where(
            memberships.c.version_id == version_id, memberships.c.collection_id == collection_id
        )
    ).scalar()


def _add(connection: Connection, version_id: int, portfolio: Row[Any], now: float) -> int:
    values = {
        "collection_id": portfolio.id,
        "version_id": version_id,
        "version_index": portfolio.next_index,
        "created_at": now,
    }
    made = insert(memberships).values(values).returning(memberships.c.id)
    number = connection.execute(made).scalar_one()
    connection.execute(
        update(collections)
        .where(collections.c.id == portfolio.id)
        .values(next_index=portfolio.next_index + 1)
    )
    return number
