"""Pages of artifacts: collections, versions with files and lineage, registries, storage.

Addresses are those that W&B's client writes into `artifact.url`. Only reads; knows HTTP and
templates, asks the domain for everything else.
"""

from starlette.routing import Route

from trackd_server.api.artifact_pages import collections, registry


def routes() -> list[Route]:
    """Return the pages' addresses."""
    artifacts = "/{entity}/{project}/artifacts"
    return [
        Route("/registries", registry.registries_page),
        Route("/orgs/{organization}/registry/{registry}", registry.registry_page),
        Route(artifacts, collections.collections_page),
        Route(f"{artifacts}/{{rest:path}}", collections.artifact_page),
    ]
