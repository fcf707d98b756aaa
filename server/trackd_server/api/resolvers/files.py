"""Files of a run, with the addresses to fetch and to put them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ariadne import ObjectType

from trackd_server.api.resolvers.context import RequestContext, context_of, iso, paged
from trackd_server.domain import files, names

if TYPE_CHECKING:
    from sqlalchemy import Row

    from trackd_server.api.resolvers.context import Info
    from trackd_server.domain.run_records import RunPath
    from trackd_server.domain.runs import RunView

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
    after: str | None = None,
    first: int | None = None,
    pattern: str | None = None,
) -> dict[str, Any]:
    """Return the run's files by name."""
    context = context_of(info)
    rows = files.listing(context.connection, run.row.id, names or (), pattern)
    return paged(rows, after, first, lambda row: _show(context, run.path, row))


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
        "name": row.name,
        "directUrl": signed_url(context, "GET", run, row.name),
        "sizeBytes": row.bytes,
        "mimetype": files.mime_type(row.name),
        "updatedAt": iso(row.updated_at),
        "md5": files.base64_md5(row.md5),
    }


bindables = [run_type, file_type]
