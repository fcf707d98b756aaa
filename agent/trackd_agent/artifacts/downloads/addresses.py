"""Where manifest and files of a version are on a server, in the words of the W&B protocol."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import msgspec

from trackd_agent.core.errors import InvalidRequest, UnknownArtifact
from trackd_agent.upstream import ask
from trackd_proto.wandb_http.download_operations import (
    FETCH_MANIFEST,
    FILE_ADDRESSES,
    NAMED_FILES,
    OWN_LISTING,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trackd_agent.artifacts.downloads.entries import Entry
    from trackd_agent.upstream import Manner, Upstream
    from trackd_proto.wandb_http.operations import Operation

S = TypeVar("S")

_ID_IN_ADDRESS = "ARTIFACT_V2_DOWNLOAD_HANDLER_SUPPORTS_ARTIFACT_ID"
_DEFAULT_REGION = "default"


class Listing(msgspec.Struct, frozen=True):
    """A collection that holds a version (fields as in `trackd.v1.Listing`)."""

    entity: str
    project: str
    collection: str
    version: str


class _Named(msgspec.Struct):
    name: str


class _Project(msgspec.Struct):
    name: str
    entity: _Named


class _Sequence(msgspec.Struct):
    name: str
    project: _Project


class _Artifact(msgspec.Struct, rename="camel"):
    artifact_sequence: _Sequence
    version_index: int | None = None


class _Node(msgspec.Struct, rename="camel"):
    name: str
    direct_url: str


class _Edge(msgspec.Struct):
    node: _Node | None = None


class _PageInfo(msgspec.Struct, rename="camel"):
    end_cursor: str | None = None
    has_next_page: bool = False


class _Page(msgspec.Struct, rename="camel"):
    page_info: _PageInfo
    edges: list[_Edge]


class Addresses:
    """Asks one server about one version.

    Args:
        upstream: the server.
        manner: how to ask.
        artifact_id: the version.
        listing: a collection that holds it; None: the server is asked.
        timeout_s: longest time for one question, in seconds.
    """

    def __init__(
        self,
        upstream: Upstream,
        manner: Manner,
        artifact_id: str,
        listing: Listing | None,
        timeout_s: float,
    ) -> None:
        self.upstream = upstream
        self.manner = manner
        self.timeout_s = timeout_s
        self._artifact_id = artifact_id
        self._listing = listing
        self._has_id = False

    async def manifest(self) -> str:
        """Return where the manifest is.

        Raises:
            UnknownArtifact: the server knows no such version, or it has no manifest (yet).
        """
        data = await self._ask(FETCH_MANIFEST, {"id": self._artifact_id})
        url = _inside(data, "artifact", "currentManifest", "file", "directUrl")
        if not isinstance(url, str) or not url:
            raise UnknownArtifact(
                "UNKNOWN_ARTIFACT",
                f"the server has no manifest of an artifact {self._artifact_id[:200]!r}: it does "
                "not exist, was deleted, or is not committed yet",
                details={"field": "artifact_id", "value": self._artifact_id[:200]},
            )
        return self._own(url)

    async def pages(self, per_page: int) -> AsyncGenerator[dict[str, str]]:
        """Yield the addresses of files by path, page by page.

        Raises:
            UnknownArtifact: the server does not list the version.
        """
        listing = await self.listing()
        variables: dict[str, object] = {"cursor": None, "perPage": per_page}
        while True:
            page = await self._page(FILE_ADDRESSES, listing, variables)
            yield self._urls(page)
            cursor = page.page_info.end_cursor
            if not page.page_info.has_next_page or cursor in (None, variables["cursor"]):
                return
            variables["cursor"] = cursor

    async def renewed(self, entry: Entry, config: dict[str, Any]) -> str:
        """Return a new address of one file whose address the server does not take any more.

        Args:
            entry: the file.
            config: of the storage policy, from the manifest.
        """
        variables: dict[str, object] = {"fileNames": [entry.path], "cursor": None, "perPage": 1}
        try:
            page = await self._page(NAMED_FILES, await self.listing(), variables)
        except (InvalidRequest, UnknownArtifact):  # a server without this question
            return await self.of_entry(entry, config)
        return self._urls(page).get(entry.path) or await self.of_entry(entry, config)

    async def _page(
        self, operation: Operation, listing: Listing, variables: dict[str, object]
    ) -> _Page:
        place: dict[str, object] = {
            "entity": listing.entity,
            "project": listing.project,
            "collection": listing.collection,
            "alias": listing.version,
        }
        data = await self._ask(operation, place | variables)
        found = _inside(data, "project", "artifactCollection", "artifactMembership", "files")
        if found is None:
            raise self._unlisted(listing)
        return _shaped(found, _Page)

    def _urls(self, page: _Page) -> dict[str, str]:
        nodes = (edge.node for edge in page.edges)
        return {node.name: self._own(node.direct_url) for node in nodes if node is not None}

    async def of_entry(self, entry: Entry, config: dict[str, Any]) -> str:
        """Return the address at the server itself of one file, which needs the API key.

        Args:
            entry: the file.
            config: of the storage policy, from the manifest.
        """
        listing = await self.listing()
        digest = entry.raw_digest.hex()
        if config.get("storageLayout") == "V1":
            return _path("artifacts", listing.entity, digest)
        features = await ask(
            self.upstream,
            self.manner,
            self.timeout_s,
            lambda: self.upstream.features(self.manner),
        )
        version = [self._artifact_id] if _ID_IN_ADDRESS in features else []
        place = (listing.entity, listing.project, listing.collection)
        region = str(config.get("storageRegion") or _DEFAULT_REGION)
        name = os.path.basename(entry.path)  # noqa: PTH119 - a path of the artifact
        return _path("artifactsV2", region, *place, *version, entry.birth_artifact_id, digest, name)

    async def listing(self) -> Listing:
        """Return a collection that holds the version."""
        if self._listing is None:
            data = await self._ask(OWN_LISTING, {"id": self._artifact_id})
            found = data.get("artifact")
            if found is None:
                raise self._unlisted(None)
            artifact = _shaped(found, _Artifact)
            sequence = artifact.artifact_sequence
            self._listing = Listing(
                entity=sequence.project.entity.name,
                project=sequence.project.name,
                collection=sequence.name,
                version=f"v{artifact.version_index or 0}",
            )
        return self._listing

    async def _ask(self, operation: Operation, variables: dict[str, object]) -> dict[str, Any]:
        async def attempt() -> dict[str, Any]:
            return await self.upstream.graphql(operation, variables, None, self.manner)

        return await ask(self.upstream, self.manner, self.timeout_s, attempt)

    def _own(self, url: str) -> str:
        """Return an address on the server itself as a path: there the API key goes along."""
        base_url = self.upstream.base_url
        if base_url and url.startswith(f"{base_url}/"):
            return url[len(base_url) :]
        return url

    def _unlisted(self, listing: Listing | None) -> UnknownArtifact:
        where = f" in {listing.entity}/{listing.project}/{listing.collection}" if listing else ""
        return UnknownArtifact(
            "UNKNOWN_ARTIFACT",
            f"the server does not list the files of artifact {self._artifact_id[:200]!r}{where}",
        )


def _path(*parts: str) -> str:
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _inside(data: dict[str, Any], *names: str) -> object:
    found: Any = data
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return found  # pyright: ignore[reportUnknownVariableType]


def _shaped(found: object, shape: type[S]) -> S:
    try:
        return msgspec.convert(found, shape)
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            "UPSTREAM_REFUSED", f"the server answers in an unexpected form: {error}"
        ) from error
