"""Files of versions: listed, and with the addresses to fetch and to put them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ariadne import ObjectType

from trackd_server.api.resolvers.context import RequestContext, context_of, iso
from trackd_server.api.resolvers.files import MANIFEST_FILE_KIND, MANIFEST_NAMES
from trackd_server.domain import files, names
from trackd_server.domain.artifacts import file_lists, manifests
from trackd_server.domain.artifacts.entries import MD5, decode_digest, encode_digest

if TYPE_CHECKING:
    from trackd_server.api.resolvers.context import Info
    from trackd_server.domain.artifacts.file_lists import FilePage
    from trackd_server.domain.artifacts.memberships import MembershipView
    from trackd_server.domain.artifacts.versions import VersionView

MANIFEST_KIND = "ArtifactManifest"
DEFAULT_PAGE, MAX_PAGE = 50, 10_000

artifact_type = ObjectType("Artifact")
membership_type = ObjectType("ArtifactCollectionMembership")


def signed(context: RequestContext, method: str, path: str) -> str:
    """Return an absolute address that carries the permission for one method."""
    query = context.services.keys.sign(method, path)
    return f"{context.base_url}{quote(path)}?{query}"


def base64_of(digest: bytes) -> str:
    """Return a digest as headers have it."""
    return encode_digest(digest)


def show_manifest(context: RequestContext, number: int, version: VersionView) -> dict[str, Any]:
    """Return a committed manifest."""
    path = f"/artifact_manifests/{number}"
    return {
        "id": names.storage_id(MANIFEST_KIND, number),
        "type": "FULL",
        "digest": version.row.digest,
        "file": {
            "id": names.storage_id(MANIFEST_FILE_KIND, number),
            "name": MANIFEST_NAMES["FULL"],
            "displayName": MANIFEST_NAMES["FULL"],
            "url": context.base_url + path,
            "directUrl": signed(context, "GET", path),
            "sizeBytes": manifests.stored_bytes(context.connection, number),
            "mimetype": "application/json",
            "updatedAt": iso(version.row.updated_at),
        },
    }


@artifact_type.field("files")
def resolve_files(
    version: VersionView,
    info: Info,
    names: list[str] | None = None,
    after: str | None = None,
    first: int | None = None,
) -> dict[str, Any]:
    """Return a version's files by path."""
    context = context_of(info)
    asked = DEFAULT_PAGE if first is None else min(max(first, 0), MAX_PAGE)
    if names:
        page = file_lists.named(context.connection, version.row.manifest_id, names)
    else:
        page = file_lists.page(context.connection, version.row.manifest_id, after, asked)
    return _connection(context, version, page)


@membership_type.field("files")
def resolve_member_files(
    member: MembershipView,
    info: Info,
    names: list[str] | None = None,
    after: str | None = None,
    first: int | None = None,
) -> dict[str, Any]:
    """Return the files of the version that a collection shows."""
    return resolve_files(member.version, info, names, after, first)


@artifact_type.field("filesByManifestEntries")
def resolve_by_entries(
    version: VersionView,
    info: Info,
    entries: list[dict[str, Any]] | None = None,
    after: str | None = None,
    first: int | None = None,
    **unused: Any,
) -> dict[str, Any]:
    """Return the files of entries by their digests, in the order of the entries."""
    del after, first, unused
    context = context_of(info)
    edges: list[dict[str, Any]] = []
    for place, entry in enumerate(entries or ()):
        name = entry.get("name") or ""
        hexadecimal = decode_digest(entry.get("digest") or "", name).hex()
        node = {"name": name, "directUrl": _direct(context, version, version.id, hexadecimal, name)}
        edges.append({"node": node, "cursor": str(place)})
    return {"edges": edges, "totalCount": len(edges), "pageInfo": _page_info(edges, more=False)}


def _connection(context: RequestContext, version: VersionView, page: FilePage) -> dict[str, Any]:
    births = file_lists.births(context.connection, page)
    edges = [
        {"node": _file(context, version, entry, births), "cursor": cursor}
        for entry, cursor in zip(page.entries, page.cursors, strict=True)
    ]
    return {
        "edges": edges,
        "totalCount": version.row.file_count,
        "pageInfo": _page_info(edges, more=page.has_more),
    }


def _page_info(edges: list[dict[str, Any]], *, more: bool) -> dict[str, Any]:
    return {"endCursor": edges[-1]["cursor"] if edges else None, "hasNextPage": more}


def _file(
    context: RequestContext, version: VersionView, entry: Any, births: dict[int, int]
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": names.storage_id("ArtifactFile", entry.content or version.id),
        "name": entry.path,
        "displayName": entry.path,
        "sizeBytes": entry.size or 0,
        "mimetype": files.mime_type(entry.path),
        "updatedAt": iso(version.row.updated_at),
        "digest": entry.digest_text,
        "md5": entry.digest_text if entry.algorithm == MD5 else None,
        "storagePath": entry.ref,
    }
    if entry.ref is not None:
        return shown | {"url": entry.ref, "directUrl": entry.ref}
    birth = births.get(entry.content, version.id)
    direct = _direct(context, version, birth, entry.digest.hex(), entry.path)
    url = direct.partition("?")[0]
    return shown | {"url": url, "directUrl": direct, "storagePath": url}


def _direct(
    context: RequestContext, version: VersionView, birth: int, digest: str, name: str
) -> str:
    row = version.row
    ids = "/".join(names.storage_id("Artifact", number) for number in (version.id, birth))
    base = name.rpartition("/")[2]
    path = f"/artifactsV2/default/{row.entity}/{row.project}/{row.collection}/{ids}/{digest}/{base}"
    return signed(context, "GET", path)


bindables = [artifact_type, membership_type]
