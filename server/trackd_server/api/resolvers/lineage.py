"""Which runs made and used versions, and the graph that this makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ariadne import ObjectType

from trackd_server.api.resolvers.context import context_of, keyed, paged
from trackd_server.domain import lineage, names
from trackd_server.domain.artifacts import listings, memberships, versions
from trackd_server.domain.listing.pages import Range

if TYPE_CHECKING:
    from trackd_server.api.resolvers.context import Info
    from trackd_server.domain.artifacts.versions import VersionView
    from trackd_server.domain.runs import RunView

#: Where a version is shown at once if a client names no number: as many as W&B's client knows.
SHOWN_MEMBERSHIPS = 500

artifact_type = ObjectType("Artifact")
run_type = ObjectType("Run")


@artifact_type.field("createdBy")
def resolve_created_by(version: VersionView, info: Info) -> RunView | None:
    """Return the run that logged a version."""
    if version.row.run_id is None:
        return None
    context = context_of(info)
    return next(iter(context.services.runs.views(context.connection, [version.row.run_id])), None)


@artifact_type.field("usedBy")
def resolve_used_by(
    version: VersionView, info: Info, after: str | None = None, first: int | None = None
) -> dict[str, Any]:
    """Return the runs that used a version."""
    context = context_of(info)
    numbers = lineage.users(context.connection, version.id)
    first = len(numbers) if first is None else first
    answer = paged(numbers, after, first, lambda number: number)
    runs = context.services.runs.views(
        context.connection, [edge["node"] for edge in answer["edges"]]
    )
    by_number = {run.row.id: run for run in runs}
    for edge in answer["edges"]:
        edge["node"] = by_number[edge["node"]]
    return answer


@artifact_type.field("artifactMemberships")
def resolve_memberships(
    version: VersionView, info: Info, after: str | None = None, first: int | None = None
) -> dict[str, Any]:
    """Return where a version is shown, its own sequence first."""
    connection = context_of(info).connection
    asked = Range(after, SHOWN_MEMBERSHIPS + 1 if first is None else first)
    page = listings.memberships_page(connection, version.id, asked)
    return keyed(
        page,
        memberships.views(connection, page.ids),
        lambda info: listings.count_memberships(context_of(info).connection, version.id),
    )


@artifact_type.field("lineage")
def resolve_lineage(
    version: VersionView, info: Info, direction: str | None = None, depth: int | None = None
) -> dict[str, Any]:
    """Return what led to a version and what came of it."""
    context = context_of(info)
    steps = lineage.DEFAULT_DEPTH if depth is None else depth
    up, down = direction != "DOWNSTREAM", direction != "UPSTREAM"
    graph = lineage.graph(context.connection, version.id, up=up, down=down, depth=steps)
    found = versions.views(context.connection, list(graph.versions))
    alive = {view.id for view in found}
    return {
        "artifacts": found,
        "runs": context.services.runs.views(context.connection, list(graph.runs)),
        "edges": [_show(edge) for edge in graph.edges.values() if edge.version in alive],
        "isTruncated": graph.is_truncated,
    }


@run_type.field("outputArtifacts")
def resolve_outputs(
    run: RunView, info: Info, after: str | None = None, first: int | None = None
) -> dict[str, Any]:
    """Return what a run logged."""
    connection = context_of(info).connection
    page = lineage.outputs(connection, run.row.id, Range(after, first))
    return keyed(
        page,
        versions.views(connection, page.ids),
        lambda info: lineage.count_outputs(context_of(info).connection, run.row.id),
    )


@run_type.field("inputArtifacts")
def resolve_inputs(
    run: RunView, info: Info, after: str | None = None, first: int | None = None
) -> dict[str, Any]:
    """Return what a run used."""
    connection = context_of(info).connection
    page = lineage.inputs(connection, run.row.id, Range(after, first))
    return keyed(
        page,
        versions.views(connection, page.ids),
        lambda info: lineage.count_inputs(context_of(info).connection, run.row.id),
    )


def _show(edge: lineage.Edge) -> dict[str, Any]:
    version, run = names.storage_id("Artifact", edge.version), names.storage_id("Run", edge.run)
    return {
        "from": version if edge.used else run,
        "to": run if edge.used else version,
        "kind": "USED" if edge.used else "LOGGED",
        "usedAs": edge.used_as,
    }


bindables = [artifact_type, run_type]
