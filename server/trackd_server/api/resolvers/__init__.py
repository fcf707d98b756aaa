"""GraphQL resolvers: plain functions over the services, one module a topic."""

from ariadne import ObjectType, ScalarType

from trackd_server.api.resolvers import files, mutations, projects, runs, scalars, viewer
from trackd_server.api.resolvers.context import RequestContext

bindables: list[ObjectType | ScalarType] = [
    *scalars.bindables,
    *viewer.bindables,
    *projects.bindables,
    *runs.bindables,
    *files.bindables,
    *mutations.bindables,
]

__all__ = ["RequestContext", "bindables"]
