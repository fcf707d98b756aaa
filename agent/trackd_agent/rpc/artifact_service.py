"""`trackd.v1.ArtifactService`: thin translations between messages and the room of artifacts."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from trackd_agent.artifacts.downloads.manifest import ALL
from trackd_agent.artifacts.downloads.progress import Version
from trackd_agent.core.errors import InvalidRequest
from trackd_agent.rpc import artifact_messages
from trackd_agent.rpc.callers import require_own_user
from trackd_agent.runs.upload.run_settings import manners_of
from trackd_agent.upstream import ask
from trackd_proto.v1 import artifact_pb2, artifact_pb2_grpc
from trackd_proto.wandb_http.operations import Operation

if TYPE_CHECKING:
    from trackd_agent.artifacts.downloads.download import Download
    from trackd_agent.artifacts.downloads.downloads import Downloads
    from trackd_agent.artifacts.saves.saves import Saves
    from trackd_agent.upstream import Manner, Upstream, UpstreamPool

_DEFAULT_QUERY_S = 60.0
_MAX_QUERY_S = 3600.0
_ENTRIES_AT_ONCE = 1000
#: How often a download tells how far it is, in seconds.
_PROGRESS_S = 0.2


class ArtifactService(artifact_pb2_grpc.ArtifactServiceServicer):
    """Serves what is done with artifacts beside logging them."""

    def __init__(self, upstreams: UpstreamPool, saves: Saves, downloads: Downloads) -> None:
        self._upstreams = upstreams
        self._saves = saves
        self._downloads = downloads

    async def Query(
        self, request: artifact_pb2.QueryRequest, context: Any
    ) -> artifact_pb2.QueryResponse:
        """Run one GraphQL operation."""
        upstream, manner = self._server(request.server, context)
        operation = Operation(request.operation_name, request.query)
        variables = _object("variables_json", request.variables_json)
        timeout_s = _seconds("timeout_s", request.timeout_s, _MAX_QUERY_S) or _DEFAULT_QUERY_S

        async def attempt() -> dict[str, Any]:
            return await upstream.graphql(operation, variables, None, manner)

        data = await ask(upstream, manner, timeout_s, attempt)
        return artifact_pb2.QueryResponse(
            data_json=msgspec.json.encode(data), base_url=upstream.base_url
        )

    # -- saves -------------------------------------------------------------------------------

    # Coroutines that write to the context: grpcio takes them as well as generators, and they end
    # where they wait when the caller leaves.
    async def WatchSave(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: artifact_pb2.WatchSaveRequest, context: Any
    ) -> None:
        """Tell how a save goes."""
        _require("client_id", request.client_id)
        async with aclosing(self._saves.watch(request.client_id)) as states:
            async for state in states:
                save = artifact_messages.save_status(state)
                await context.write(artifact_pb2.WatchSaveResponse(save=save))

    async def CancelSave(
        self, request: artifact_pb2.CancelSaveRequest, context: Any
    ) -> artifact_pb2.CancelSaveResponse:
        """Give a save up."""
        del context
        _require("client_id", request.client_id)
        cancelled = await self._saves.cancel(request.client_id)
        return artifact_pb2.CancelSaveResponse(cancelled=cancelled)

    async def ListSaves(
        self, request: artifact_pb2.ListSavesRequest, context: Any
    ) -> artifact_pb2.ListSavesResponse:
        """List the saves."""
        require_own_user(context, "the list of saves")
        saves = [artifact_messages.save_status(each) for each in self._saves.list()]
        if request.active_only:
            saves = [each for each in saves if each.state not in artifact_messages.ENDED]
        return artifact_pb2.ListSavesResponse(saves=saves)

    # -- manifests and downloads -------------------------------------------------------------

    async def FetchManifest(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: artifact_pb2.FetchManifestRequest, context: Any
    ) -> None:
        """Send the entries of a manifest."""
        _require("artifact_id", request.artifact_id)
        upstream, manner = self._server(request.server, context)
        version = Version(upstream, manner, request.artifact_id)
        wanted = artifact_messages.entry_filter(request.filter)
        found = await self._downloads.manifest(version, wanted)
        try:
            header = artifact_messages.manifest_header(found.manifest)
            await context.write(artifact_pb2.FetchManifestResponse(header=header))
            async with aclosing(found.batches(ALL, _ENTRIES_AT_ONCE)) as batches:
                async for batch in batches:
                    entries = [artifact_messages.manifest_entry(each) for each in batch]
                    await context.write(artifact_pb2.FetchManifestResponse(entries=entries))
        finally:
            await found.close()

    async def Download(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: artifact_pb2.DownloadRequest, context: Any
    ) -> None:
        """Download, and tell how that goes."""
        _require("artifact_id", request.artifact_id)
        require_own_user(context, "downloads below a folder")
        upstream, manner = self._server(request.server, context)
        options = artifact_messages.download_options(request, upstream, manner)
        download = self._downloads.begin(options)
        try:
            await self._tell(download, context)
        finally:
            download.cancel()
            with anyio.CancelScope(shield=True):
                await download.close()
        if download.error is not None:
            raise download.error

    async def _tell(self, download: Download, context: Any) -> None:
        """Send references, then progress, then the result."""
        async with aclosing(download.references()) as batches:
            async for batch in batches:
                answer = artifact_messages.download_progress(download.progress)
                answer.references.extend(artifact_messages.manifest_entry(e) for e in batch)
                await context.write(answer)
        said = None
        while not download.is_over.is_set():
            with anyio.move_on_after(_PROGRESS_S):
                await download.is_over.wait()
            arriving_bytes = download.arriving_bytes
            answer = artifact_messages.download_progress(download.progress, arriving_bytes)
            if answer != said:
                await context.write(answer)
                answer.ClearField("failures")
                said = answer
        if download.error is None:
            answer = artifact_messages.download_progress(download.progress)
            answer.result.CopyFrom(artifact_messages.download_result(download.progress))
            await context.write(answer)

    # -- cache -------------------------------------------------------------------------------

    async def GetCache(
        self, request: artifact_pb2.GetCacheRequest, context: Any
    ) -> artifact_pb2.GetCacheResponse:
        """Describe the cache."""
        del request, context
        return artifact_messages.cache_state(await self._downloads.cache_state())

    async def CleanCache(
        self, request: artifact_pb2.CleanCacheRequest, context: Any
    ) -> artifact_pb2.CleanCacheResponse:
        """Shrink the cache."""
        require_own_user(context, "cleaning the cache")
        done = await self._downloads.clean_cache(
            request.target_bytes, remove_temporary=request.remove_temporary
        )
        return artifact_messages.cleaned(done)

    def _server(self, ref: artifact_pb2.ServerRef, context: Any) -> tuple[Upstream, Manner]:
        """Return the server that is meant and how to talk to it.

        A key that the caller brings counts for this call alone: the uploads of runs go on with
        the one that is kept.
        """
        base_url = ref.base_url
        if base_url and not base_url.startswith(("http://", "https://")):
            raise InvalidRequest(
                "INVALID_BASE_URL",
                f"base_url={base_url[:200]!r} must begin with http:// or https://",
                details={"field": "server.base_url", "value": base_url[:200]},
            )
        if base_url and not ref.api_key:
            require_own_user(context, f"questions to {base_url[:200]} with a key that it keeps")
        manner = manners_of(_object("server.settings_json", ref.settings_json)).calls
        if base_url and ref.api_key:
            manner = replace(manner, api_key=ref.api_key)
        return self._upstreams.get(base_url), manner


def _require(field: str, value: str) -> None:
    if not value:
        raise InvalidRequest("MISSING_FIELD", f"{field} is required", details={"field": field})


def _object(field: str, content: bytes) -> dict[str, Any]:
    """Return the JSON object in a field.

    Raises:
        InvalidRequest: it is none; the content is not shown, it may hold secrets.
    """
    try:
        return msgspec.json.decode(content, type=dict[str, Any]) if content else {}
    except ValueError as error:
        raise InvalidRequest(
            "INVALID_JSON", f"{field} must be a JSON object: {error}", details={"field": field}
        ) from error


def _seconds(field: str, value: float, limit_s: float) -> float:
    if not 0 <= value <= limit_s:  # NaN is refused as well
        raise InvalidRequest(
            "INVALID_TIMEOUT",
            f"{field}={value} must be 0 to {limit_s:g} seconds",
            details={"field": field, "value": str(value)},
        )
    return value
