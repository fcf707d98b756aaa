"""The calls of a save to its server, repeated while that can help."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio
import msgspec

from trackd_agent.artifacts.contents import XXH128
from trackd_agent.artifacts.saves.answers import (
    ClientIdMapping,
    CreatedArtifact,
    CreatedFiles,
    Entity,
    FileAddress,
    Id,
    ManifestAnswer,
    UploadAddress,
)
from trackd_agent.artifacts.saves.failures import SaveFailed
from trackd_agent.upstream import RequestFailed, RetryClass
from trackd_proto.wandb_http import artifact_operations as operations

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from trackd_agent.artifacts.config import ArtifactsConfig
    from trackd_agent.artifacts.saves.destination import Destination
    from trackd_agent.artifacts.saves.manifest_file import ManifestFile
    from trackd_agent.artifacts.saves.saves import Save
    from trackd_proto.records import ArtifactLogged
    from trackd_proto.wandb_http.operations import Operation

T = TypeVar("T")
S = TypeVar("S")


class ManifestKind(enum.Enum):
    """How a manifest counts; the value is its name at the server."""

    FULL = "wandb_manifest.json"
    INCREMENTAL = "wandb_manifest.incremental.json"
    PATCH = "wandb_manifest.patch.json"

    @classmethod
    def of(cls, record: ArtifactLogged) -> ManifestKind:
        """Return the kind of a record's manifest."""
        if record.distributed_id:
            return cls.PATCH
        return cls.INCREMENTAL if record.incremental else cls.FULL


@dataclass(frozen=True, slots=True)
class Created:
    """A version as the server made or found it."""

    id: str
    state: str
    #: The version before it, of which a partial manifest is a change.
    base_id: str | None


class ManifestPlace:
    """Where a manifest goes; announced at the server when somebody needs its id.

    Args:
        calls: of the save.
        artifact_id: of the version.
        base_id: of the version of which a partial manifest is a change.
        kind: how it counts.
    """

    def __init__(
        self, calls: ArtifactCalls, artifact_id: str, base_id: str | None, kind: ManifestKind
    ) -> None:
        self.artifact_id = artifact_id
        self.base_id = base_id
        self.kind = kind
        self._calls = calls
        self._id: str | None = None
        self._is_announced = False
        self._lock = anyio.Lock()

    async def announced_id(self) -> str | None:
        """Return its id; None: the server gives none."""
        async with self._lock:
            if not self._is_announced:
                self._id = await self._calls.create_manifest(self)
                self._is_announced = True
        return self._id


class ArtifactCalls:
    """The calls of one save.

    Args:
        destination: where to.
        save: told what keeps it from moving.
        config: how often and how long calls are repeated.
    """

    def __init__(self, destination: Destination, save: Save, config: ArtifactsConfig) -> None:
        self.courier = destination.courier
        self._path = destination.path
        self._headers = destination.headers
        self._save = save
        self._config = config

    # -- the version -----------------------------------------------------------------------

    async def create(self, record: ArtifactLogged) -> Created:
        """Make the version, or find it."""
        answer = await self._ask(
            operations.CREATE_ARTIFACT,
            {"input": self._input(record)},
            "createArtifact",
            CreatedArtifact,
        )
        artifact = answer.artifact
        if artifact.state not in ("PENDING", "COMMITTED", "DELETED"):
            raise SaveFailed(
                "UNEXPECTED_STATE",
                f"artifact {record.name!r}: the server says it is in state {artifact.state!r}",
            )
        latest = artifact.artifact_sequence.latest_artifact if artifact.artifact_sequence else None
        return Created(artifact.id, artifact.state, latest.id if latest else None)

    def _input(self, record: ArtifactLogged) -> dict[str, Any]:
        step = record.history_step
        if step is None and self._headers:  # several writers: rows have no common numbers
            step = 0
        metadata = msgspec.json.encode(record.metadata).decode() if record.metadata else None
        # Servers without the feature refuse the field, even an empty one.
        tags = {"tags": [{"tagName": tag} for tag in record.tags]} if record.tags else {}
        return {
            **tags,
            "entityName": self._path.entity,
            "projectName": self._path.project,
            "runName": None if record.use_after_commit else self._path.run,
            "artifactTypeName": record.type,
            "artifactCollectionName": record.name,
            "digest": record.digest,
            "digestAlgorithm": f"MANIFEST_{record.digest_algorithm}",
            "description": record.description,
            "aliases": [
                {"artifactCollectionName": record.name, "alias": alias} for alias in record.aliases
            ],
            "metadata": metadata,
            "ttlDurationSeconds": record.ttl_seconds,
            "historyStep": step,
            "enableDigestDeduplication": True,
            "distributedID": record.distributed_id,
            "clientID": record.client_id,
            "sequenceClientID": record.sequence_client_id,
            "storageRegion": record.storage_region or None,
        }

    async def commit(self, artifact_id: str) -> None:
        """Make the version final; from here on it has a number."""
        await self._send(operations.COMMIT_ARTIFACT, {"artifactID": artifact_id})

    async def use(self, artifact_id: str) -> None:
        """Note the version as an input of the run."""
        wanted = {
            "entityName": self._path.entity,
            "projectName": self._path.project,
            "runName": self._path.run,
            "artifactID": artifact_id,
        }
        await self._send(operations.USE_ARTIFACT, {"input": wanted})

    # -- the manifest ----------------------------------------------------------------------

    async def create_manifest(self, at: ManifestPlace) -> str | None:
        """Announce the manifest and return its id."""
        variables = self._manifest_variables(at)
        answer = await self._ask(
            operations.CREATE_ARTIFACT_MANIFEST,
            variables,
            "createArtifactManifest",
            ManifestAnswer,
        )
        return answer.artifact_manifest.id if answer.artifact_manifest else None

    def _manifest_variables(self, at: ManifestPlace) -> dict[str, Any]:
        return {
            "artifactID": at.artifact_id,
            "baseArtifactID": at.base_id,
            "name": at.kind.value,
            "digest": "",
            "entityName": self._path.entity,
            "projectName": self._path.project,
            "runName": self._path.run,
            "manifestType": at.kind.name,
            "includeUpload": False,
        }

    async def bring_manifest(self, manifest: ManifestFile, at: ManifestPlace) -> None:
        """Send the manifest; its address is asked for again when it has expired."""

        async def address() -> FileAddress:
            upload = await self._manifest_address(at, manifest.md5)
            return FileAddress(
                Id(at.artifact_id),
                upload_url=upload.upload_url,
                upload_headers=upload.upload_headers,
            )

        first = await address()
        await self.put("manifest", first, address, lambda at: self._put_manifest(manifest, at))
        self._save.tally.bytes_sent += manifest.size_bytes

    async def _put_manifest(self, manifest: ManifestFile, at: FileAddress) -> None:
        upstream, manner = self.courier.upstream, self.courier.manner
        await upstream.put(
            at.upload_url or "",
            headers_of(at.upload_headers),
            manifest.size_bytes,
            manifest.pieces(),
            manner,
        )

    async def _manifest_address(self, at: ManifestPlace, digest: str) -> UploadAddress:
        manifest_id = None if at.kind is ManifestKind.FULL else await at.announced_id()
        if manifest_id is None:
            variables = self._manifest_variables(at)
            variables |= {"digest": digest, "includeUpload": True}
            operation, member = operations.CREATE_ARTIFACT_MANIFEST, "createArtifactManifest"
        else:
            variables = {
                "artifactManifestID": manifest_id,
                "digest": digest,
                "baseArtifactID": None,
                "includeUpload": True,
            }
            operation, member = operations.UPDATE_ARTIFACT_MANIFEST, "updateArtifactManifest"
        answer = await self._ask(operation, variables, member, ManifestAnswer)
        upload = answer.artifact_manifest.file if answer.artifact_manifest else None
        if upload is None or not upload.upload_url:
            raise self.failed("UNEXPECTED_ANSWER", f"{member}: no address for the manifest")
        return upload

    # -- files -----------------------------------------------------------------------------

    async def addresses(
        self, files: Sequence[Mapping[str, Any]], algorithm: str
    ) -> list[FileAddress]:
        """Announce files and return where each goes."""
        wanted = {
            "artifactFiles": files,
            "storageLayout": "V2",
            "digestAlgorithm": f"MANIFEST_{algorithm}",
            "cloudRegionID": None,
        }
        answer = await self._ask(
            operations.CREATE_ARTIFACT_FILES, {"input": wanted}, "createArtifactFiles", CreatedFiles
        )
        edges = answer.files.edges
        if len(edges) != len(files):
            raise self.failed(
                "UNEXPECTED_ANSWER",
                f"createArtifactFiles: {len(edges)} addresses for {len(files)} files",
            )
        return [edge.node for edge in edges]

    async def complete_multipart(
        self, address: FileAddress, parts: Sequence[Mapping[str, Any]]
    ) -> None:
        """Say that all parts of a file were sent."""
        multipart = address.upload_multipart_urls
        assert multipart is not None
        variables = {
            "completeMultipartAction": "Complete",
            "completedParts": parts,
            "artifactID": address.artifact.id,
            "storagePath": address.storage_path or "",
            "uploadID": multipart.upload_id,
        }
        await self._send(operations.COMPLETE_MULTIPART, variables)

    # -- what else is asked ----------------------------------------------------------------

    async def server_id_of(self, client_id: str) -> str:
        """Return the id of the version that has a client id."""
        answer = await self._ask(
            operations.CLIENT_ID_MAPPING,
            {"clientID": client_id},
            "clientIDMapping",
            ClientIdMapping,
        )
        if not answer.server_id:
            raise self.failed(
                "REFERENCE_UNKNOWN",
                "it refers to an artifact that the server does not have; log that one first",
            )
        return answer.server_id

    async def features(self) -> frozenset[str]:
        """Return what is on at the server; one that refuses the question has nothing special."""
        upstream, manner = self.courier.upstream, self.courier.manner

        async def attempt() -> frozenset[str]:
            try:
                return await upstream.features(manner)
            except RequestFailed as failure:
                if failure.status == HTTPStatus.OK:
                    return frozenset()
                raise

        try:
            return await self.deliver("serverInfo", attempt)
        except SaveFailed:
            return frozenset()

    async def takes_xxh128(self) -> bool:
        """Whether the server takes digests of that algorithm; one that does not know says no."""
        try:
            data = await self.deliver(
                "XXHashDigestsEnabled",
                lambda: self._graphql(
                    operations.XXHASH_DIGESTS_ENABLED, {"entityName": self._path.entity}
                ),
            )
            entity = msgspec.convert(data.get("entity"), Entity | None)
        except (SaveFailed, msgspec.ValidationError):
            return False
        return bool(entity and entity.enabled)

    async def collection_algorithm(self, record: ArtifactLogged) -> str:
        """Return the algorithm of the versions that a collection has; by default XXH128's name."""
        variables = {
            "entityName": self._path.entity,
            "projectName": self._path.project,
            "artifactTypeName": record.type,
            "artifactCollectionName": record.name,
        }
        try:
            data = await self.deliver(
                "FetchArtifactDigestAlgorithm",
                lambda: self._graphql(operations.FETCH_DIGEST_ALGORITHM, variables),
            )
        except SaveFailed:
            return XXH128
        node: object = data
        for member in ("project", "artifactType", "artifactCollection", "digestAlgorithm"):
            node = cast("dict[str, object]", node).get(member) if isinstance(node, dict) else None
        return str(node or XXH128).removeprefix("MANIFEST_")

    # -- repetition ------------------------------------------------------------------------

    def failed(self, code: str, problem: str) -> SaveFailed:
        """Return the failure of this save."""
        return SaveFailed(code, f"artifact {self._save.name!r}: {problem}")

    async def put(
        self,
        what: str,
        address: FileAddress,
        renew: Callable[[], Awaitable[FileAddress]],
        send: Callable[[FileAddress], Awaitable[T]],
    ) -> T:
        """Send bytes to an address, which is renewed where it does not hold any more."""
        current = address

        async def attempt() -> T:
            nonlocal current
            try:
                return await send(current)
            except RequestFailed as failure:
                if failure.status not in EXPIRED:
                    raise
                current = await renew()
                raise RequestFailed(
                    RetryClass.TRANSIENT, failure.problem, status=HTTPStatus.OK
                ) from failure

        return await self.deliver(what, attempt, was_sound=True)

    async def deliver(
        self, what: str, attempt: Callable[[], Awaitable[T]], *, was_sound: bool = False
    ) -> T:
        """Repeat a request until it is acknowledged.

        Args:
            what: it is, for people.
            attempt: sends it.
            was_sound: the request is what it should be: where the server says that it is not
                (400), it was damaged on the way, and goes again.

        Raises:
            SaveFailed: the server will not take it, or was not reached for too long.
        """
        patience = self.courier.patience()
        began_s = time.monotonic()
        refusals = 0
        while True:
            try:
                answer = await attempt()
            except RequestFailed as failure:
                if is_damage := was_sound and failure.status == HTTPStatus.BAD_REQUEST:
                    failure.retry_class = RetryClass.TRANSIENT
                refusals += is_damage or failure.status == HTTPStatus.OK
                if _is_final(failure) or refusals >= self._config.refusals:
                    raise self.failed("REFUSED", f"the server refused it: {failure.problem}") from (
                        failure
                    )
                if time.monotonic() - began_s >= self._config.give_up_s:
                    days = self._config.give_up_s / 86400
                    raise self.failed(
                        "GAVE_UP", f"{what} failed for {days:g} days: {failure.problem}"
                    ) from failure
                self.courier.problem = self._save.error = failure.problem
                await self.courier.hurry.wait(patience.wait_s(failure))
            else:
                self.courier.problem = self._save.error = ""
                return answer

    async def _ask(
        self, operation: Operation, variables: Mapping[str, object], member: str, shape: type[S]
    ) -> S:
        data = await self._send(operation, variables)
        try:
            return msgspec.convert(data.get(member), shape)
        except msgspec.ValidationError as error:
            raise self.failed("UNEXPECTED_ANSWER", f"{operation.name}: {error}") from error

    async def _send(self, operation: Operation, variables: Mapping[str, object]) -> dict[str, Any]:
        return await self.deliver(operation.name, lambda: self._graphql(operation, variables))

    async def _graphql(
        self, operation: Operation, variables: Mapping[str, object]
    ) -> dict[str, Any]:
        upstream, manner = self.courier.upstream, self.courier.manner
        return await upstream.graphql(operation, variables, self._headers, manner)


#: Statuses of an address that held once.
EXPIRED = frozenset(
    {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
)


def _is_final(failure: RequestFailed) -> bool:
    if failure.status == HTTPStatus.FORBIDDEN:
        return True
    return failure.retry_class in (RetryClass.PARKED, RetryClass.TOO_LARGE)


def headers_of(lines: Sequence[str] | None) -> dict[str, str]:
    """Return headers that a server wants to have back with a file."""
    pairs = (line.partition(":") for line in lines or [])
    return {name.strip(): value.strip() for name, _, value in pairs}
