"""One gRPC connection to the agent: the calls that a rank makes, and what their errors mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

import grpc

from trackd_proto.v1 import common_pb2, run_pb2, run_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_Answer = TypeVar("_Answer")
_ERROR_TRAILER = "trackd-error-bin"
_MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_OPTIONS = [
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a fresh connection, never one that just died
    ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class AgentCallError(Exception):
    """A call to the agent failed.

    Attributes:
        status: gRPC status, which tells the class of the error.
        code: stable name of the agent's error, or of the status.
        message: in words.
        retryable: the same call may succeed later.
        details: further facts, as text.
    """

    def __init__(
        self,
        status: grpc.StatusCode,
        code: str,
        message: str,
        *,
        retryable: bool,
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.retryable = retryable
        self.details = dict(details or {})

    @property
    def is_label_conflict(self) -> bool:
        """True when a living writer holds the label that was asked for."""
        return self.status is grpc.StatusCode.ALREADY_EXISTS

    @property
    def is_invalid(self) -> bool:
        """True when the request itself is wrong."""
        return self.status is grpc.StatusCode.INVALID_ARGUMENT

    @property
    def is_timeout(self) -> bool:
        """True when the time for the call was over."""
        return self.status is grpc.StatusCode.DEADLINE_EXCEEDED

    @property
    def is_unauthenticated(self) -> bool:
        """True when the server does not take the API key."""
        return self.status is grpc.StatusCode.UNAUTHENTICATED

    @property
    def is_refusal(self) -> bool:
        """True when this process, or this version of it, may not use the agent."""
        return self.status in (
            grpc.StatusCode.UNAUTHENTICATED,
            grpc.StatusCode.PERMISSION_DENIED,
            grpc.StatusCode.FAILED_PRECONDITION,
        )


class RecordsCall:
    """The open record stream: iterate over it for acknowledgements."""

    def __init__(self, call: Iterator[run_pb2.RecordsResponse]) -> None:
        self._call = call

    def __iter__(self) -> Iterator[run_pb2.RecordsResponse]:
        try:
            yield from self._call
        except grpc.RpcError as error:
            raise translate(error) from None

    def cancel(self) -> None:
        """End the stream at once."""
        cast("grpc.Call", self._call).cancel()


class AgentLink:
    """A connection to the agent at one address. Not to be touched in a forked child."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.insecure_channel(target, options=_OPTIONS)
        self._stub = run_pb2_grpc.RunServiceStub(self._channel)

    def attach(self, request: run_pb2.AttachRequest, timeout_s: float) -> run_pb2.AttachResponse:
        """Join a run.

        A connection that fails ends the call: an agent that dies just now, and whose socket still
        took us, is not waited for, as nobody starts another one meanwhile.

        Raises:
            AgentCallError: the agent refused, or did not answer in time.
        """
        return call(self._stub.Attach, request, timeout_s)

    def continue_run(
        self, request: run_pb2.ContinueRunRequest, timeout_s: float
    ) -> run_pb2.ContinueRunResponse:
        """Ask what a run has so far.

        Raises:
            AgentCallError: the agent refused, or did not answer in time.
        """
        return call(self._stub.ContinueRun, request, timeout_s)

    def records(self, requests: Iterable[run_pb2.RecordsRequest]) -> RecordsCall:
        """Open the record stream."""
        return RecordsCall(self._stub.Records(iter(requests)))

    def detach(self, capability: str, last_seq: int, timeout_s: float) -> run_pb2.DetachResponse:
        """Leave the run.

        Raises:
            AgentCallError: the agent refused, or did not answer in time.
        """
        request = run_pb2.DetachRequest(capability=capability, last_seq=last_seq)
        return call(self._stub.Detach, request, timeout_s)

    def read_summary(
        self, request: run_pb2.ReadSummaryRequest, timeout_s: float
    ) -> run_pb2.ReadSummaryResponse:
        """Read the summary of a run.

        Raises:
            AgentCallError: the agent refused, or did not answer in time.
        """
        return call(self._stub.ReadSummary, request, timeout_s)

    def read_digest(
        self, request: run_pb2.ReadDigestRequest, timeout_s: float
    ) -> run_pb2.ReadDigestResponse:
        """Read what a run shows at its end.

        Raises:
            AgentCallError: the agent refused, or did not answer in time.
        """
        return call(self._stub.ReadDigest, request, timeout_s)

    def read_system_metrics(
        self, capability: str, timeout_s: float
    ) -> run_pb2.ReadSystemMetricsResponse:
        """Read the last system metrics of a writer.

        Raises:
            AgentCallError: the agent refused, or did not answer in time.
        """
        request = run_pb2.ReadSystemMetricsRequest(capability=capability)
        return call(self._stub.ReadSystemMetrics, request, timeout_s)

    def pause_sampling(
        self, capability: str, timeout_s: float, *, paused: bool
    ) -> run_pb2.PauseSamplingResponse:
        """Stop or resume the system metrics of a writer.

        Raises:
            AgentCallError: the agent refused, or did not answer in time.
        """
        request = run_pb2.PauseSamplingRequest(capability=capability, paused=paused)
        return call(self._stub.PauseSampling, request, timeout_s)

    def close(self) -> None:
        """Close the connection; open calls end."""
        self._channel.close()


def call(method: Callable[..., _Answer], request: object, timeout_s: float) -> _Answer:
    """Make one call.

    Raises:
        AgentCallError: the agent refused, or did not answer in time.
    """
    try:
        return method(request, timeout=timeout_s)
    except grpc.RpcError as error:
        raise translate(error) from None
    except ValueError as error:  # another thread just closed the channel
        status = grpc.StatusCode.UNAVAILABLE
        raise AgentCallError(status, status.name, str(error), retryable=True) from None


def translate(error: grpc.RpcError) -> AgentCallError:
    """Return what a failed call means, from the agent's trailer where it sent one."""
    call = cast("grpc.Call", error)
    status = call.code()
    message = call.details() or status.name
    for key, value in call.trailing_metadata() or ():
        if key == _ERROR_TRAILER and isinstance(value, bytes):
            info = common_pb2.ErrorInfo.FromString(value)
            return AgentCallError(
                status, info.code, message, retryable=info.retryable, details=info.details
            )
    transient = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    return AgentCallError(status, status.name, message, retryable=status in transient)
