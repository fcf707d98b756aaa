"""GraphQL resolvers: plain functions over the services, one module a topic."""

from ariadne.types import SchemaBindable

from trackd_server.api.resolvers import (
    artifact_changes,
    artifact_files,
    artifacts,
    collection_changes,
    collections,
    files,
    lineage,
    mutations,
    projects,
    registry,
    registry_changes,
    runs,
    scalars,
    viewer,
)
from trackd_server.api.resolvers.context import RequestContext

bindables: list[SchemaBindable] = [
    *scalars.bindables,
    *viewer.bindables,
    *projects.bindables,
    *runs.bindables,
    *files.bindables,
    *mutations.bindables,
    *artifacts.bindables,
    *artifact_files.bindables,
    *artifact_changes.bindables,
    *collections.bindables,
    *collection_changes.bindables,
    *lineage.bindables,
    *registry.bindables,
    *registry_changes.bindables,
]

__all__ = ["RequestContext", "bindables"]
