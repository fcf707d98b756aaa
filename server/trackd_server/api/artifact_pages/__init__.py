"""Pages of artifacts: collections, versions with files and lineage, registries, storage.

Addresses are those that W&B's client writes into `artifact.url`. Only reads; knows HTTP and
templates, asks the domain for everything else.
"""

from starlette.routing import Route

from trackd_server.api.artifact_pages import collections, registry, storage


def routes() -> list[Route]:
    """Return the pages' addresses."""
    artifacts, stored = "/{entity}/{project}/artifacts", "/storage/{entity}/{project}"
    return [
        Route("/storage", storage.server_page),
        Route(stored, storage.project_page),
        Route(f"{stored}/runs/{{run}}", storage.run_page),
        Route(f"{stored}/artifacts/{{collection}}", storage.collection_page),
        Route("/registries", registry.registries_page),
        Route("/orgs/{organization}/registry/{registry}", registry.registry_page),
        Route("/{entity}/registry/{registry}", registry.registry_page),
        Route(artifacts, collections.collections_page),
        Route(f"{artifacts}/{{rest:path}}", collections.artifact_page),
    ]
