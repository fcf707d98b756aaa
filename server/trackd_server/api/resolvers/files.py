"""Files of a run, with the addresses to fetch and to put them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ariadne import ObjectType

from trackd_server.api.resolvers.context import RequestContext, context_of, iso, keyed
from trackd_server.domain import files, names
from trackd_server.domain.artifacts import manifests, run_manifests, versions
from trackd_server.domain.listing.pages import Range

if TYPE_CHECKING:
    from sqlalchemy import Row

    from trackd_server.api.resolvers.context import Info
    from trackd_server.domain.artifacts.versions import VersionView
    from trackd_server.domain.run_records import RunPath
    from trackd_server.domain.runs import RunView

#: What ids of manifests that stand among files begin with, and how the files are called.
MANIFEST_FILE_KIND = "ArtifactManifestFile"
MANIFEST_NAMES = {
    "FULL": "wandb_manifest.json",
    "INCREMENTAL": "wandb_manifest.incremental.json",
    "PATCH": "wandb_manifest.patch.json",
}
#: What cursors of manifests among the files of a run begin with; those of files are base64.
_OF_MANIFESTS = "manifest:"

run_type = ObjectType("Run")
file_type = ObjectType("File")


def path_of(run: RunPath, name: str) -> str:
    """Return the path of a run file on this server, not quoted."""
    return f"/files/{run}/{name}"


def signed_url(context: RequestContext, method: str, run: RunPath, name: str) -> str:
    """Return an absolute address that carries the permission for one method."""
    path = path_of(run, name)
    query = context.services.keys.sign(method, path)
    return f"{context.base_url}{quote(path)}?{query}"


@run_type.field("fileCount")
def resolve_file_count(run: RunView, info: Info) -> int:
    """Return how many files the run has."""
    return files.count(context_of(info).connection, run.row.id)


@run_type.field("files")
def resolve_files(
    run: RunView,
    info: Info,
    names: list[str] | None = None,
    pattern: str | None = None,
    includeManifests: bool | None = None,
    **page: Any,
) -> dict[str, Any]:
    """Return the run's files by name, and manifests of the versions it logged if asked for."""
    context = context_of(info)
    # Clients also ask by the path that they gave to `save`.
    wanted = [name.removeprefix("./") for name in names or ()]
    asked = Range(page.get("after"), page.get("first"))
    if includeManifests and not wanted and not pattern:
        return _with_manifests(context, run, asked)
    chosen = files.chosen(run.row.id, wanted, pattern)
    found, rows = files.page(context.connection, chosen, asked)

    def total(info: Info) -> int:
        return files.size(context_of(info).connection, chosen)

    return keyed(found, rows, total, lambda row: _show(context, run.path, row))


def _with_manifests(context: RequestContext, run: RunView, asked: Range) -> dict[str, Any]:
    """Return a page of a run's files, then of its manifests; their cursors say what they are of."""
    after, room = asked.after or "", asked.count
    edges: list[dict[str, Any]] = []
    has_more = False
    if not after.startswith(_OF_MANIFESTS):
        chosen = files.chosen(run.row.id)
        found, rows = files.page(context.connection, chosen, asked)
        edges = keyed(found, rows, len, lambda row: _show(context, run.path, row))["edges"]
        after, room, has_more = "", room - len(found.ids), found.has_more
    if not has_more:
        rest = Range(after.removeprefix(_OF_MANIFESTS), room)
        found, rows = run_manifests.page(context.connection, run.row.id, rest)
        more = keyed(found, rows, len, lambda row: _show_manifest(context, row))["edges"]
        edges += [edge | {"cursor": _OF_MANIFESTS + edge["cursor"]} for edge in more]
        has_more = found.has_more
    return {
        "edges": edges,
        "totalCount": partial(_count_with_manifests, run.row.id),
        "pageInfo": {
            "endCursor": edges[-1]["cursor"] if edges else None,
            "hasNextPage": has_more,
        },
    }


def _count_with_manifests(run_id: int, info: Info) -> int:
    connection = context_of(info).connection
    return files.count(connection, run_id) + run_manifests.count(connection, run_id)


@file_type.field("url")
def resolve_url(
    parent: dict[str, Any],
    info: Info,
    upload: bool | None = None,
) -> str:
    """Return the address for the key's owner, or one to upload to."""
    context = context_of(info)
    if "run" not in parent:  # of an artifact
        return parent["url"]
    if upload:
        return signed_url(context, "PUT", parent["run"], parent["name"])
    return context.base_url + quote(path_of(parent["run"], parent["name"]))


def _show(context: RequestContext, run: RunPath, row: Row[Any]) -> dict[str, Any]:
    return {
        "run": run,
        "id": names.storage_id("File", row.id),
        "kind": "media" if row.name.startswith("media/") else "run_file",
        "name": row.name,
        "directUrl": signed_url(context, "GET", run, row.name),
        "sizeBytes": row.bytes,
        "mimetype": files.mime_type(row.name),
        "updatedAt": iso(row.updated_at),
        "md5": files.base64_md5(row.md5),
    }


def _show_manifest(context: RequestContext, row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    path = f"/artifact_manifests/{row.id}"
    url = context.base_url + path

    def owner(info: Info) -> VersionView | None:
        found = versions.views(context_of(info).connection, [row.version_id])
        return found[0] if found else None

    def size_bytes(info: Info) -> int:
        return manifests.stored_bytes(context_of(info).connection, row.id)

    return {
        "url": url,
        "id": names.storage_id(MANIFEST_FILE_KIND, row.id),
        "kind": "manifest",
        "state": row.state,
        "ownerVersion": owner,
        "name": f"artifact/{row.version_id}/{MANIFEST_NAMES[row.kind]}",
        "directUrl": f"{url}?{context.services.keys.sign('GET', path)}",
        "sizeBytes": size_bytes,
        "mimetype": "application/json",
        "updatedAt": iso(row.updated_at),
    }


bindables = [run_type, file_type]
