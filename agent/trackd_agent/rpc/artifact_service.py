"""`trackd.v1.ArtifactService`: thin translations between messages and the room of artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trackd_agent.core.errors import InvalidRequest
from trackd_agent.runs.upload.run_settings import manners_of
from trackd_agent.upstream import ask
from trackd_proto.v1 import artifact_pb2, artifact_pb2_grpc
from trackd_proto.wandb_http.operations import Operation

if TYPE_CHECKING:
    from trackd_agent.upstream import Manner, Upstream, UpstreamPool

_DEFAULT_QUERY_S = 60.0
_MAX_QUERY_S = 3600.0


class ArtifactService(artifact_pb2_grpc.ArtifactServiceServicer):
    """Serves what is done with artifacts beside logging them."""

    def __init__(self, upstreams: UpstreamPool) -> None:
        self._upstreams = upstreams

    async def Query(
        self, request: artifact_pb2.QueryRequest, context: Any
    ) -> artifact_pb2.QueryResponse:
        """Run one GraphQL operation."""
        del context
        upstream, manner = await self._server(request.server)
        operation = Operation(request.operation_name, request.query)
        variables = _object("variables_json", request.variables_json)
        timeout_s = _seconds("timeout_s", request.timeout_s, _MAX_QUERY_S) or _DEFAULT_QUERY_S

        async def attempt() -> dict[str, Any]:
            return await upstream.graphql(operation, variables, None, manner)

        data = await ask(upstream, manner, timeout_s, attempt)
        return artifact_pb2.QueryResponse(
            data_json=msgspec.json.encode(data), base_url=upstream.base_url
        )

    async def _server(self, ref: artifact_pb2.ServerRef) -> tuple[Upstream, Manner]:
        """Return the server that is meant and how to talk to it; a key it brings is kept."""
        base_url = ref.base_url
        if base_url and not base_url.startswith(("http://", "https://")):
            raise InvalidRequest(
                "INVALID_BASE_URL",
                f"base_url={base_url[:200]!r} must begin with http:// or https://",
                details={"field": "server.base_url", "value": base_url[:200]},
            )
        if ref.api_key and base_url:
            await self._upstreams.credentials.put(base_url, ref.api_key)
        manner = manners_of(_object("server.settings_json", ref.settings_json)).calls
        return self._upstreams.get(base_url), manner


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
