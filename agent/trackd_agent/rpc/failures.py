"""From errors to what a caller sees: gRPC status, message, and `ErrorInfo` in a trailer."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from trackd_agent.core import errors
from trackd_proto.v1 import common_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger()

ERROR_TRAILER = "trackd-error-bin"
_MAX_MESSAGE_CHARS = 2000
_MALFORMED = "MALFORMED_MESSAGE"

#: The first class that fits decides.
STATUSES: tuple[tuple[type[errors.AgentError], grpc.StatusCode], ...] = (
    (errors.InvalidRequest, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.UnknownRun, grpc.StatusCode.NOT_FOUND),
    (errors.UnknownArtifact, grpc.StatusCode.NOT_FOUND),
    (errors.RunAlreadyAttached, grpc.StatusCode.ALREADY_EXISTS),
    (errors.NotAuthenticated, grpc.StatusCode.UNAUTHENTICATED),
    (errors.NotAllowed, grpc.StatusCode.PERMISSION_DENIED),
    (errors.RunFinished, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.ProtocolMismatch, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.QueueFull, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.UpstreamThrottled, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.UpstreamUnavailable, grpc.StatusCode.UNAVAILABLE),
    (errors.Stopping, grpc.StatusCode.UNAVAILABLE),
    (errors.UpstreamTimeout, grpc.StatusCode.DEADLINE_EXCEEDED),
    (errors.JournalCorrupt, grpc.StatusCode.DATA_LOSS),
)


def status_of(error: errors.AgentError) -> grpc.StatusCode:
    """Return the gRPC status of an error."""
    return next(
        (status for kind, status in STATUSES if isinstance(error, kind)), grpc.StatusCode.INTERNAL
    )


def info_of(error: errors.AgentError) -> common_pb2.ErrorInfo:
    """Return the machine-readable form of an error."""
    return common_pb2.ErrorInfo(
        code=error.code,
        retryable=error.retryable,
        retry_after_ms=round((error.retry_after_s or 0) * 1000),
        details=error.details,
    )


async def abort(context: Any, error: errors.AgentError) -> NoReturn:
    """End a call with an error."""
    trailer = ((ERROR_TRAILER, info_of(error).SerializeToString()),)
    message = error.message[:_MAX_MESSAGE_CHARS]
    await context.abort(status_of(error), message, trailing_metadata=trailer)
    raise AssertionError("abort() raises")


class FailureCounts:
    """How many calls failed, by code; shown in the status."""

    def __init__(self) -> None:
        self.by_code: dict[str, int] = {}

    def add(self, code: str) -> None:
        """Count one failed call."""
        self.by_code[code] = self.by_code.get(code, 0) + 1


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Turns every exception of a handler into a status; none reaches grpcio or ends the process."""

    def __init__(self, counts: FailureCounts) -> None:
        self._counts = counts
        self._calls: set[asyncio.Task[Any]] = set()

    async def end_calls(self) -> None:
        """Wait until every handler has cleaned up; called when the server has stopped.

        grpcio does not: what a handler leaves behind would be cancelled at the end of the event
        loop, all tasks of it at once.
        """
        for call in self._calls:
            if not call.cancelling():
                call.cancel()
        if self._calls:
            await asyncio.wait(self._calls)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler of a call."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = str(handler_call_details.method)
        arguments = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary is not None:
            wrapped = self._guard(handler.unary_unary, method)
            return grpc.unary_unary_rpc_method_handler(wrapped, **arguments)
        if handler.unary_stream is not None and method.startswith("/trackd."):
            wrapped = self._guard(handler.unary_stream, method)
            return grpc.unary_stream_rpc_method_handler(wrapped, **arguments)
        if handler.stream_stream is not None and method.startswith("/trackd."):
            wrapped = self._guard(handler.stream_stream, method)
            return grpc.stream_stream_rpc_method_handler(wrapped, **arguments)
        return handler  # reflection and health watch: not ours

    def _guard(self, call: Callable[[Any, Any], Awaitable[Any]], method: str) -> Any:
        async def guarded(request: Any, context: Any) -> Any:
            self._note_call()
            try:
                return await _in_own_task(call, request, context)
            except errors.AgentError as error:
                self._counts.add(error.code)
                log.info("call_failed", method=method, code=error.code, problem=error.message)
                await abort(context, error)
            except grpc.aio.AbortError:
                raise
            except DecodeError as error:  # of a stream; grpcio itself refuses other messages
                self._counts.add(_MALFORMED)
                log.info("call_failed", method=method, code=_MALFORMED, problem=str(error))
                message = f"a message of {method} cannot be decoded: send what its .proto says"
                await abort(context, errors.InvalidRequest(_MALFORMED, message))
            except Exception as error:
                if _cannot_write(error):
                    log.info("caller_left", method=method)
                    raise asyncio.CancelledError from error
                log_id = secrets.token_hex(4)
                self._counts.add("INTERNAL")
                log.exception("call_crashed", method=method, log_id=log_id)
                message = f"the agent failed ({type(error).__name__}); its log says more: {log_id}"
                await abort(
                    context, errors.AgentError("INTERNAL", message, details={"log_id": log_id})
                )

        return guarded

    def _note_call(self) -> None:
        call = asyncio.current_task()
        assert call is not None
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)


def _cannot_write(error: Exception) -> bool:
    """Whether grpcio says that nobody is there any more: the caller has left, or the server."""
    is_grpc = isinstance(error, grpc.aio.BaseError)
    return is_grpc and not isinstance(error, grpc.aio.UsageError)


async def _in_own_task(
    call: Callable[[Any, Any], Awaitable[Any]], request: Any, context: Any
) -> Any:
    """Run a handler so that a caller who leaves cancels a scope around it, not its task.

    grpcio cancels the task. What anyio runs in a worker thread goes on then, but nobody waits for
    it: a handler that cleans up would close a table that its own thread is reading.
    """
    answer: Any = None

    async def work() -> None:
        nonlocal answer
        answer = await call(request, context)

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
    except BaseExceptionGroup as group:  # of one handler: there is one error
        raise group.exceptions[0] from None
    return answer
