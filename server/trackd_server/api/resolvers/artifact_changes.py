"""What clients change about artifact versions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ariadne import MutationType
from graphql import FieldNode

from trackd_server.api.resolvers import artifact_files
from trackd_server.api.resolvers.artifacts import KIND, version_number
from trackd_server.api.resolvers.context import context_of
from trackd_server.domain import names
from trackd_server.domain.artifacts import collections, versions
from trackd_server.domain.artifacts.creating import NewVersion
from trackd_server.domain.artifacts.entries import MD5, XXH128, decode_digest
from trackd_server.domain.artifacts.uploads import Announced, path_of
from trackd_server.domain.artifacts.using import Use
from trackd_server.domain.errors import InvalidRequest, NotFound
from trackd_server.domain.run_records import RunPath

if TYPE_CHECKING:
    from graphql import SelectionNode

    from trackd_server.api.resolvers.context import Info, RequestContext
    from trackd_server.domain.artifacts.uploads import Target
    from trackd_server.domain.artifacts.versions import VersionView

SUCCESS = {"success": True}
#: Most files of one createArtifactFiles.
MAX_FILES = 10_000

mutation = MutationType()


@dataclass(frozen=True)
class _Gone:
    """A deleted version of which only the id is asked for."""

    id: int


@mutation.field("createArtifact")
def resolve_create(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Return a version to fill, or the one that is there already."""
    context = context_of(info)
    context.renew()
    context.services.limit.check()
    number = context.services.artifacts.create(_new_version(input))
    return {"artifact": versions.view(context.connection, number)}


@mutation.field("createArtifactManifest")
def resolve_create_manifest(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Make the place for a manifest."""
    context = context_of(info)
    context.renew()
    base = input.get("baseArtifactID")
    number = context.services.artifacts.manifests.announce(
        version_number(input["artifactID"]),
        input.get("type") or "FULL",
        version_number(base) if base else None,
    )
    return _manifest(context, number, input.get("type") or "FULL", input.get("digest"))


@mutation.field("updateArtifactManifest")
def resolve_update_manifest(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Return where to put a manifest that was announced before."""
    context = context_of(info)
    context.renew()
    number = names.row_number(artifact_files.MANIFEST_KIND, input["artifactManifestID"])
    base = input.get("baseArtifactID")
    slot = context.services.artifacts.manifests.rebase(
        number, version_number(base) if base else None
    )
    return _manifest(context, number, slot.kind, input.get("digest"))


@mutation.field("createArtifactFiles")
def resolve_create_files(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Return for each file where to put it, or that its bytes are here."""
    context = context_of(info)
    context.renew()
    given = input["artifactFiles"]
    if len(given) > MAX_FILES:
        raise InvalidRequest(f"{len(given)} files at once; the most are {MAX_FILES}.")
    algorithm = _algorithm(input.get("digestAlgorithm"))
    by_version: dict[int, list[int]] = defaultdict(list)
    for place, file in enumerate(given):
        by_version[version_number(file["artifactID"])].append(place)
    edges: list[Any] = [None] * len(given)
    for number, places in by_version.items():
        announced = [_announced(given[place], algorithm) for place in places]
        targets = context.services.artifacts.uploads.announce(number, announced)
        for place, target in zip(places, targets, strict=True):
            edges[place] = {"node": _target(context, number, target), "cursor": str(place)}
    end = {"endCursor": None, "hasNextPage": False}
    return {"files": {"edges": edges, "pageInfo": end, "totalCount": len(edges)}}


@mutation.field("completeMultipartUploadArtifact")
def resolve_complete(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Join the parts of a file."""
    context = context_of(info)
    context.renew()
    parts = {int(part["partNumber"]): part["hexMD5"] for part in input["completedParts"]}
    number = version_number(input["artifactID"])
    complete = context.services.artifacts.uploads.complete
    return {"digest": complete(number, input["uploadID"], input["storagePath"], parts)}


@mutation.field("commitArtifact")
def resolve_commit(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Make a version visible under its number and aliases."""
    context = context_of(info)
    context.renew()
    number = version_number(input["artifactID"])
    context.services.artifacts.commit(number)
    return {"artifact": versions.view(context.connection, number)}


@mutation.field("useArtifact")
def resolve_use(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Note that a run uses a version."""
    context = context_of(info)
    context.renew()
    number = version_number(input["artifactID"])
    run = RunPath.of(input["entityName"], input["projectName"], input["runName"])
    entity, project = input.get("artifactEntityName"), input.get("artifactProjectName")
    context.services.artifacts.use(Use(run, number, input.get("usedAs"), entity, project))
    return {"artifact": versions.view(context.connection, number)}


@mutation.field("updateArtifact")
def resolve_update(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Change what is said about a version."""
    context = context_of(info)
    context.renew()
    number = version_number(input["artifactID"])
    wanted = {
        "description": input.get("description"),
        "metadata": input.get("metadata"),
        "ttl_seconds": input.get("ttlDurationSeconds"),
        "tags_to_add": [tag["tagName"] for tag in input.get("tagsToAdd") or ()],
        "tags_to_remove": [tag["tagName"] for tag in input.get("tagsToDelete") or ()],
    }
    changes = {name: value for name, value in wanted.items() if value is not None}
    context.services.artifacts.edit(number, changes)
    if input.get("aliases") is not None:
        own = [{"alias": alias["alias"]} for alias in input["aliases"]]
        _change_aliases(context, number, own, remove=False)
    return {"artifact": versions.view(context.connection, number)}


@mutation.field("addAliases")
def resolve_add_aliases(_: object, info: Info, input: dict[str, Any]) -> dict[str, bool]:
    """Point aliases of collections to a version."""
    number = version_number(input["artifactID"])
    _change_aliases(context_of(info), number, input["aliases"], remove=False)
    return SUCCESS


@mutation.field("deleteAliases")
def resolve_delete_aliases(_: object, info: Info, input: dict[str, Any]) -> dict[str, bool]:
    """Remove aliases of a version."""
    number = version_number(input["artifactID"])
    _change_aliases(context_of(info), number, input["aliases"], remove=True)
    return SUCCESS


@mutation.field("deleteArtifact")
def resolve_delete(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Delete a version with its files."""
    context = context_of(info)
    context.renew()
    number = version_number(input["artifactID"])
    gone: VersionView | _Gone = _Gone(number)
    ids_only = _asks_for_ids_only(info)
    if not ids_only:  # thousands are deleted in a loop: a view costs as much again
        gone = versions.view(context.connection, number)
    context.renew()
    try:
        context.services.artifacts.delete([number], delete_aliases=bool(input.get("deleteAliases")))
    except NotFound:  # deleted before: the client repeats what it got no answer to
        if not (ids_only and versions.was_deleted(context.connection, number)):
            raise
    return {"artifact": gone}


@mutation.field("updateArtifactTTLDefault")
def resolve_ttl_default(_: object, info: Info, input: dict[str, Any]) -> dict[str, bool]:
    """Set how long versions live that say nothing of it."""
    entity = names.entity(input.get("entityName"))
    context_of(info).services.artifacts.set_ttl_default(entity, input.get("ttlDurationSeconds"))
    return SUCCESS


def _asks_for_ids_only(info: Info) -> bool:
    """Tell whether the answer is to name no more of the artifact than its id."""
    fields = list(info.field_nodes)
    for expected in ("artifact", "id"):
        inner = [part for field in fields for part in _parts_of(field)]
        fields = [part for part in inner if isinstance(part, FieldNode)]
        if len(fields) < len(inner) or any(part.name.value != expected for part in fields):
            return False
    return True


def _parts_of(field: FieldNode) -> tuple[SelectionNode, ...]:
    return field.selection_set.selections if field.selection_set else ()


def _new_version(given: dict[str, Any]) -> NewVersion:
    collection = given.get("artifactCollectionName")
    if not collection:
        collection = next(iter(given.get("artifactCollectionNames") or ()), "")
    deduplicated = given.get("enableDigestDeduplication")
    return NewVersion(
        entity=names.entity(given.get("entityName")),
        project=names.project(given.get("projectName")),
        type=given["artifactTypeName"],
        collection=collection,
        digest=given["digest"],
        algorithm=_algorithm(given.get("digestAlgorithm")),
        run=given.get("runName"),
        aliases=tuple(alias["alias"] for alias in given.get("aliases") or ()),
        tags=tuple(tag["tagName"] for tag in given.get("tags") or ()),
        description=given.get("description"),
        metadata=given.get("metadata"),
        ttl_seconds=given.get("ttlDurationSeconds"),
        history_step=given.get("historyStep"),
        distributed_id=given.get("distributedID"),
        client_id=given.get("clientID"),
        storage_region=given.get("storageRegion"),
        is_deduplicated=True if deduplicated is None else deduplicated,
    )


def _algorithm(name: str | None) -> str:
    return XXH128 if name == "MANIFEST_XXH128" else MD5


def _announced(file: dict[str, Any], algorithm: str) -> Announced:
    name = file["name"]
    digest = file["md5"] if algorithm == MD5 else file.get("digest") or ""
    try:
        parts = {
            int(part["partNumber"]): bytes.fromhex(part["hexMD5"])
            for part in file.get("uploadPartsInput") or ()
        }
    except ValueError as error:
        raise InvalidRequest(f"Parts of {name[:200]!r}: hexMD5 is no hex number.") from error
    return Announced(
        algorithm, decode_digest(digest, name), decode_digest(file["md5"], name), parts
    )


def _target(context: RequestContext, version: int, target: Target) -> dict[str, Any]:
    """Return a file as clients learn where to put it."""
    path = path_of(version, target.file)
    shown: dict[str, Any] = {
        "id": names.storage_id("ArtifactFile", target.birth),
        "name": target.file.digest.hex(),
        "storagePath": path,
        "artifact": {"id": names.storage_id(KIND, target.birth)},
    }
    if target.is_stored:
        return shown
    md5 = artifact_files.base64_of(target.file.md5)
    shown["uploadHeaders"] = [f"Content-MD5:{md5}", "Content-Type:application/octet-stream"]
    shown["uploadUrl"] = artifact_files.signed(context, "PUT", path)
    if target.upload_id:
        shown["uploadMultipartUrls"] = {
            "uploadID": target.upload_id,
            "uploadUrlParts": [
                {
                    "partNumber": number,
                    "uploadUrl": artifact_files.signed(
                        context, "PUT", f"/artifact_parts/{target.upload_id}/{number}"
                    ),
                }
                for number in sorted(target.file.parts)
            ],
        }
    return shown


def _manifest(
    context: RequestContext, number: int, kind: str, digest: str | None
) -> dict[str, Any]:
    md5 = [f"Content-MD5:{digest}"] if digest else []
    return {
        "artifactManifest": {
            "id": names.storage_id(artifact_files.MANIFEST_KIND, number),
            "type": kind,
            "file": {
                "id": names.storage_id(artifact_files.MANIFEST_FILE_KIND, number),
                "name": artifact_files.MANIFEST_NAMES[kind],
                "uploadUrl": artifact_files.signed(context, "PUT", f"/artifact_manifests/{number}"),
                "uploadHeaders": [*md5, "Content-Type:application/json"],
            },
        }
    }


def _change_aliases(
    context: RequestContext, number: int, given: list[dict[str, Any]], *, remove: bool
) -> None:
    """Change aliases in the collections that the request names, else in the version's own."""
    context.renew()
    version: VersionView = versions.view(context.connection, number)
    by_collection: dict[int, list[str]] = defaultdict(list)
    for alias in given:
        by_collection[_collection_of(context, version, alias)].append(alias["alias"])
    context.renew()
    context.services.artifacts.change_aliases(number, by_collection, remove=remove)


def _collection_of(context: RequestContext, version: VersionView, alias: dict[str, Any]) -> int:
    name = alias.get("artifactCollectionName")
    if not name:
        return version.row.collection_id
    entity = names.entity(alias.get("entityName") or version.row.entity)
    project = names.project(alias.get("projectName") or version.row.project)
    found = collections.find(context.connection, entity, project, name)
    if found is None:
        raise NotFound(f"Project {entity}/{project} has no artifact collection {name[:200]!r}.")
    return found.id


bindables = [mutation]
