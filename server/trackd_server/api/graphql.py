"""The GraphQL endpoint: parse and check once per text, execute in a worker thread.

A whole operation runs synchronously in one thread: a query in one snapshot of the database, a
mutation in the transactions of the services it calls. So resolvers are plain functions.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec
from ariadne import make_executable_schema
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    execute_sync,  # pyright: ignore[reportUnknownVariableType]
    parse,
    validate,
)
from starlette.responses import Response

from trackd_proto.wandb_http import GRAPHQL_CLIENT_ID_HEADER, LABEL_HEADER
from trackd_server.api import access, operation_limits
from trackd_server.api.bodies import read_body
from trackd_server.api.context import Services, services_of
from trackd_server.api.resolvers import RequestContext, bindables
from trackd_server.domain.errors import DomainError, InvalidRequest, Unavailable
from trackd_server.domain.run_records import Client
from trackd_server.store import DatabaseBusy, DatabaseFull, SearchTooSlow

if TYPE_CHECKING:
    from starlette.requests import Request

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 32 * 1024 * 1024
#: Texts of operations kept parsed; clients use a few dozen.
KEPT_DOCUMENTS = 512
#: Longest operation that is kept, and that is parsed at all.
MAX_KEPT_CHARS = 20_000
MAX_QUERY_CHARS = 200_000
MAX_TOKENS = 20_000


class GraphQLRequest(msgspec.Struct):
    """Body of a request."""

    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None


@dataclass
class Engine:
    """The executable schema and the operations seen so far."""

    schema: GraphQLSchema
    _documents: OrderedDict[str, DocumentNode | list[GraphQLError]] = field(
        default_factory=OrderedDict[str, "DocumentNode | list[GraphQLError]"]
    )

    @classmethod
    def build(cls) -> Engine:
        """Read the files in `schema/` and join them with the resolvers."""
        folder = resources.files("trackd_server.api").joinpath("schema")
        texts = [file.read_text() for file in folder.iterdir() if file.name.endswith(".graphql")]
        return cls(make_executable_schema(texts, *bindables))

    def document(self, text: str) -> DocumentNode | list[GraphQLError]:
        """Return the parsed and checked operation, or what is wrong with it."""
        kept = self._documents.get(text)
        if kept is None:
            kept = self._check(text)
            if len(text) <= MAX_KEPT_CHARS:
                self._documents[text] = kept
            if len(self._documents) > KEPT_DOCUMENTS:
                self._documents.popitem(last=False)
        return kept

    def _check(self, text: str) -> DocumentNode | list[GraphQLError]:
        try:
            document = parse(text, max_tokens=MAX_TOKENS)
            if too_much := operation_limits.check_text(document):
                return [too_much]
            errors = validate(self.schema, document)
            if not errors and (too_much := operation_limits.check_meaning(document)):
                return [too_much]
        except GraphQLError as error:
            return [error]
        except RecursionError:
            return [GraphQLError("The operation is nested too deeply.")]
        return errors or document

    def run(self, request: GraphQLRequest, context: RequestContext) -> tuple[int, dict[str, Any]]:
        """Execute an operation; return the HTTP status and the answer."""
        if len(request.query) > MAX_QUERY_CHARS:
            raise InvalidRequest(f"The operation is longer than {MAX_QUERY_CHARS} characters.")
        document = self.document(request.query)
        if isinstance(document, list):
            return 400, {"errors": [error.formatted for error in document]}
        with context:
            result = execute_sync(
                self.schema,
                document,
                context_value=context,
                variable_values=request.variables,
                operation_name=request.operationName or None,  # the Public API sends ""
            )
        errors = [_shown(error) for error in result.errors or ()]
        answer: dict[str, Any] = {"data": result.data}
        if errors:
            answer["errors"] = [shown for _, shown in errors]
        return max((status for status, _ in errors), default=200), answer


async def graphql(request: Request) -> Response:
    """Serve `POST /graphql`."""
    access.require_key(request)
    services = services_of(request)
    body = await read_body(request, MAX_BODY_BYTES)
    try:
        wanted = msgspec.json.decode(body, type=GraphQLRequest)
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, nested without end
        raise InvalidRequest(f"The body is no GraphQL request: {error}") from error
    status, answer = await services.call(_run, request, services, wanted)
    return Response(_encoded(answer), status, media_type="application/json")


def _encoded(answer: dict[str, Any]) -> bytes:
    """Return an answer as JSON; rows may hold integers and texts that only Python's json takes."""
    try:
        return msgspec.json.encode(answer)
    except (OverflowError, UnicodeEncodeError):
        return json.dumps(answer).encode()


def _run(
    request: Request, services: Services, wanted: GraphQLRequest
) -> tuple[int, dict[str, Any]]:
    headers = request.headers
    client = Client.of(headers.get(GRAPHQL_CLIENT_ID_HEADER, ""), headers.get(LABEL_HEADER, ""))
    base_url = f"{request.scope['scheme']}://{headers.get('host') or request.url.netloc}"
    context = RequestContext(services, client, base_url)
    engine: Engine = request.app.state.engine
    return engine.run(wanted, context)


def _shown(error: GraphQLError) -> tuple[int, dict[str, Any]]:
    """Return an error's HTTP status and form; what is not meant for clients goes to the log."""
    shown: dict[str, Any] = dict(error.formatted)
    original = error.original_error
    if original is None or isinstance(original, GraphQLError):
        return 400, shown
    if isinstance(original, DomainError):
        shown["extensions"] = {"code": original.code}
        return original.status, shown
    if isinstance(original, SearchTooSlow):
        shown["message"] = str(original)
        shown["extensions"] = {"code": InvalidRequest.code}
        return InvalidRequest.status, shown
    if isinstance(original, DatabaseBusy | DatabaseFull):
        log.warning("database_unavailable", extra={"facts": {"error": str(original)}})
        shown["message"] = f"The database cannot take this now: {original}"
        shown["extensions"] = {"code": Unavailable.code}
        return Unavailable.status, shown
    log.error("resolver_failed", extra={"facts": {"path": error.path}}, exc_info=original)
    shown["message"] = "Internal error; the server's log has the details."
    shown["extensions"] = {"code": "INTERNAL"}
    return 500, shown
