"""Lineage: which run made a version, which runs used it, and the graph that this makes.

An edge goes the way data went: from the run that logged a version to it (`LOGGED`), from a version
to a run that used it (`USED`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from trackd_server.domain.artifacts import lifetimes
from trackd_server.domain.listing import pages
from trackd_server.domain.listing.pages import Order, Page, Range
from trackd_server.store.tables.artifacts import uses, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection, Select

    Rows = Select[*tuple[Any, ...]]

#: Steps from a version to a run or back, and what one graph holds.
DEFAULT_DEPTH = 6
MAX_DEPTH = 100
MAX_NODES = 2_000
MAX_USERS = 10_000


@dataclass(frozen=True)
class Edge:
    """`run` logged `version`, or used it (as what, if it said so)."""

    version: int
    run: int
    used: bool
    used_as: str | None = None


@dataclass
class Graph:
    """Versions and runs by number, the edges between them, and whether more was left out."""

    versions: dict[int, None] = field(default_factory=dict[int, None])
    runs: dict[int, None] = field(default_factory=dict[int, None])
    edges: dict[tuple[int, int, bool], Edge] = field(
        default_factory=dict[tuple[int, int, bool], Edge]
    )
    is_truncated: bool = False

    @property
    def size(self) -> int:
        """Return how many nodes there are."""
        return len(self.versions) + len(self.runs)


def users(connection: Connection, version_id: int) -> list[int]:
    """Return the numbers of the runs that used a version, through links too; oldest first."""
    query = select(uses.c.run_id).where(uses.c.version_id == version_id)
    found = connection.execute(query.order_by(uses.c.created_at, uses.c.run_id).limit(MAX_USERS))
    return [row.run_id for row in found]


def outputs(connection: Connection, run_id: int, asked: Range) -> Page:
    """Return a page of the committed versions that a run logged, oldest first."""
    oldest = Order("id", versions.c.id, descending=False)
    return pages.page(connection, _outputs(run_id), versions.c.id, oldest, asked)


def inputs(connection: Connection, run_id: int, asked: Range) -> Page:
    """Return a page of the versions that a run used, in the order of use."""
    first_used = Order("used_at", uses.c.created_at, descending=False)
    return pages.page(connection, _inputs(run_id), versions.c.id, first_used, asked)


def count_outputs(connection: Connection, run_id: int) -> int:
    """Return how many committed versions a run logged."""
    return _count(connection, _outputs(run_id))


def count_inputs(connection: Connection, run_id: int) -> int:
    """Return how many versions a run used."""
    return _count(connection, _inputs(run_id))


def graph(
    connection: Connection, version_id: int, *, up: bool, down: bool, depth: int = DEFAULT_DEPTH
) -> Graph:
    """Return what led to a version (`up`), what came of it (`down`), or both.

    Breadth first, a few queries for each step, so that nothing near is left out for something far.
    """
    found = Graph({version_id: None})
    steps = [step for step, wanted in ((_before, up), (_after, down)) if wanted]
    for step in steps:
        _walk(connection, found, step, version_id, min(max(depth, 0), MAX_DEPTH))
    return found


def _walk(
    connection: Connection,
    found: Graph,
    step: Callable[[Connection, set[int], set[int]], list[Edge]],
    start: int,
    depth: int,
) -> None:
    new_versions, new_runs = {start}, set[int]()
    seen_versions, seen_runs = {start}, set[int]()
    for _ in range(depth):
        edges = step(connection, new_versions, new_runs)
        new_versions, new_runs = set[int](), set[int]()
        for edge in edges:
            is_new = edge.version not in found.versions or edge.run not in found.runs
            if is_new and found.size >= MAX_NODES:
                found.is_truncated = True
                continue
            found.versions[edge.version] = found.runs[edge.run] = None
            found.edges[edge.version, edge.run, edge.used] = edge
            if edge.version not in seen_versions:
                new_versions.add(edge.version)
            if edge.run not in seen_runs:
                new_runs.add(edge.run)
        seen_versions |= new_versions
        seen_runs |= new_runs
        if not new_versions and not new_runs:
            return
    beyond = step(connection, new_versions, new_runs)
    if any((edge.version, edge.run, edge.used) not in found.edges for edge in beyond):
        found.is_truncated = True


def _before(connection: Connection, of_versions: set[int], of_runs: set[int]) -> list[Edge]:
    made = select(versions.c.id, versions.c.run_id).where(
        versions.c.id.in_(of_versions), versions.c.run_id.is_not(None)
    )
    used = _used().where(uses.c.run_id.in_(of_runs))
    return _logged_edges(connection, made) + _used_edges(connection, used)


def _after(connection: Connection, of_versions: set[int], of_runs: set[int]) -> list[Edge]:
    used = _used().where(uses.c.version_id.in_(of_versions))
    made = select(versions.c.id, versions.c.run_id).where(
        versions.c.run_id.in_(of_runs), versions.c.state == "COMMITTED"
    )
    return _used_edges(connection, used) + _logged_edges(connection, made)


def _used() -> Rows:
    return select(uses.c.version_id, uses.c.run_id, uses.c.used_as)


def _logged_edges(connection: Connection, query: Rows) -> list[Edge]:
    rows = connection.execute(query.order_by(versions.c.id).limit(MAX_NODES + 1))
    return [Edge(row.id, row.run_id, used=False) for row in rows]


def _used_edges(connection: Connection, query: Rows) -> list[Edge]:
    order: Iterable[Any] = (uses.c.created_at, uses.c.version_id)
    rows = connection.execute(query.order_by(*order).limit(MAX_NODES + 1))
    return [Edge(row.version_id, row.run_id, used=True, used_as=row.used_as) for row in rows]


def _outputs(run_id: int) -> Rows:
    alive = lifetimes.alive(time.time())
    return select(versions.c.id).where(
        versions.c.run_id == run_id, versions.c.state == "COMMITTED", alive
    )


def _inputs(run_id: int) -> Rows:
    alive = lifetimes.alive(time.time())
    query = select(versions.c.id).join(uses, uses.c.version_id == versions.c.id)
    return query.where(uses.c.run_id == run_id, alive)


def _count(connection: Connection, query: Rows) -> int:
    return connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
