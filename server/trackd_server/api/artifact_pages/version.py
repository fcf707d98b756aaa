"""The page of one version, as one of its collections shows it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from trackd_server.api import exhibits, rendering
from trackd_server.api.artifact_pages import files_of
from trackd_server.api.artifact_pages.facts import (
    CollectionFacts,
    Link,
    MemberFacts,
    ends,
    link_to_run,
    link_to_version,
    member_url,
)
from trackd_server.domain import lineage
from trackd_server.domain.artifacts import listings, memberships, versions
from trackd_server.domain.listing.pages import Range

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from trackd_server.api.context import Services
    from trackd_server.domain.artifacts.memberships import MembershipView
    from trackd_server.domain.artifacts.versions import VersionView

#: What the page shows at most: places, runs and versions beside this one.
MAX_PLACES = 100
MAX_NEIGHBOURS = 100


def render(
    services: Services, connection: Connection, member: MembershipView, after: str | None
) -> str:
    """Return the page; `after` is the place in the list of files."""
    now, version = time.time(), member.version
    files, following = files_of.shown(services.keys, connection, version, after)
    places = listings.memberships_page(connection, version.id, Range(None, MAX_PLACES))
    address = member_url(member)
    return rendering.render(
        "version.html",
        collection=CollectionFacts.of(member.collection, now),
        member=MemberFacts.of(member, now),
        row=version.row,
        is_link=not member.collection.is_sequence,
        ends=ends(version, now),
        metadata=_metadata(version.row.metadata),
        files=files,
        next_url=f"{address}?after={following}" if following else None,
        places=[
            Link(f"{place.collection.path}:v{place.row.version_index}", member_url(place))
            for place in memberships.views(connection, places.ids)
            if place.id != member.id
        ],
        lineage=_lineage(services, connection, version),
    )


def _lineage(services: Services, connection: Connection, version: VersionView) -> dict[str, Any]:
    """Return what stands beside a version: inputs, its run, users, what these made."""
    graph = lineage.graph(connection, version.id, up=True, down=True, depth=2)
    edges = list(graph.edges.values())
    makers = {edge.run for edge in edges if not edge.used and edge.version == version.id}
    users = {edge.run for edge in edges if edge.used and edge.version == version.id}
    inputs = [edge.version for edge in edges if edge.used and edge.run in makers]
    outputs = [edge.version for edge in edges if not edge.used and edge.run in users]

    def shown_runs(numbers: set[int]) -> list[Link]:
        found = services.runs.views(connection, sorted(numbers)[:MAX_NEIGHBOURS])
        return [link_to_run(run) for run in found]

    def shown_versions(numbers: list[int]) -> list[Link]:
        others = [number for number in dict.fromkeys(numbers) if number != version.id]
        found = versions.views(connection, others[:MAX_NEIGHBOURS])
        return [link_to_version(other) for other in found]

    return {
        "inputs": shown_versions(inputs),
        "makers": shown_runs(makers),
        "users": shown_runs(users),
        "outputs": shown_versions(outputs),
        "is_truncated": graph.size > MAX_NEIGHBOURS,
    }


def _metadata(text: str | None) -> list[tuple[str, str]]:
    try:
        values: Any = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return [("", (text or "")[:1_000])]
    if not isinstance(values, dict):
        return [("", exhibits.cell(values))]
    return [(key, exhibits.cell(value)) for key, value in sorted(values.items())]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
