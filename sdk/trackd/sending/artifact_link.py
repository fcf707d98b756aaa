"""The connection for artifacts: finds the agent, starts one where there is none, asks it.

It needs no run: `Api()` and objects that outlive their run use it as well.
"""

from __future__ import annotations

import math
import os
import threading
import time
from typing import TYPE_CHECKING, TypeVar, cast

import grpc
from google.protobuf.message_factory import GetMessageClass

from trackd.sending.agent_link import AgentCallError, call, translate
from trackd.sending.discovery import Discovery
from trackd_proto.v1 import artifact_pb2, artifact_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.message import Message

_Answer = TypeVar("_Answer")
_SERVICE = artifact_pb2.DESCRIPTOR.services_by_name["ArtifactService"]
#: Largest answer, in bytes: one page of a listing with its metadata.
_MAX_ANSWER_BYTES = 256 * 1024 * 1024
#: Without calls the connection closes after this time, so that it keeps no agent from leaving.
_QUIET_MS = 30_000
_OPTIONS = [
    ("grpc.max_send_message_length", 4 * 1024 * 1024),
    ("grpc.max_receive_message_length", _MAX_ANSWER_BYTES),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a fresh connection, never one that just died
    ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.client_idle_timeout_ms", _QUIET_MS),
]
#: How long an agent may take to come up, in seconds, and how often it is looked for.
_START_S = 20.0
#: One that the user named is not started here: it is there, or just being restarted.
_GIVEN_S = 3.0
_POLL_S = 0.05
#: Agents that may go away during one download, or while a save is watched.
_MOST_DEATHS = 3
#: The agent gives up a query before the SDK does, so that its reason arrives; in seconds.
_GRACE_S = 5.0
_QUERY_S = 60.0
_SHORT_S = 30.0


class ArtifactLink:
    """A connection to the agent of this node; any thread may use it, a forked child may not (it has
    a `BridgedLink`).

    Every call raises `AgentCallError` when no agent answers, or the agent refuses. Streams are
    generators: closing one, or an exception in the loop over it, cancels its call.
    """

    def __init__(self, discovery: Discovery | None = None) -> None:
        self._discovery = discovery or Discovery()
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._channels: dict[str, grpc.Channel] = {}
        self._stubs: dict[str, artifact_pb2_grpc.ArtifactServiceStub] = {}
        #: Where an agent listened, until a call fails: looking costs the agent a connection.
        self._found: set[str] = set()

    def query(self, request: artifact_pb2.QueryRequest) -> artifact_pb2.QueryResponse:
        """Run one GraphQL operation at the server that the request names.

        Raises:
            AgentCallError: nobody answers within the request's `timeout_s`, or the server refuses:
                then the message holds the server's words, and `details["http_status"]` its status.
        """
        timeout_s = (request.timeout_s or _QUERY_S) + _GRACE_S
        return self._unary(lambda stub: stub.Query, request, timeout_s)

    def watch_save(
        self, request: artifact_pb2.WatchSaveRequest, timeout_s: float | None = None
    ) -> Iterator[artifact_pb2.SaveStatus]:
        """Yield where a save stands, the last time when it has ended; at most so many seconds.

        An agent that goes away meanwhile is replaced: the next one goes on with the save.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        deaths = 0
        while True:
            left_s = None if deadline_s is None else deadline_s - time.monotonic()
            try:
                for answer in self._stream(lambda stub: stub.WatchSave, request, left_s):
                    yield answer.save
            except AgentCallError as error:
                deaths += 1
                if not _is_gone(error) or deaths > _MOST_DEATHS:
                    raise
            else:
                return

    def cancel_save(self, client_id: str) -> bool:
        """Give a save up; return False where it had ended, or was being committed."""
        request = artifact_pb2.CancelSaveRequest(client_id=client_id)
        return self._unary(lambda stub: stub.CancelSave, request, _SHORT_S).cancelled

    def fetch_manifest(
        self, request: artifact_pb2.FetchManifestRequest
    ) -> Iterator[artifact_pb2.FetchManifestResponse]:
        """Yield a manifest in parts."""
        return self._stream(lambda stub: stub.FetchManifest, request, None)

    def download(
        self, request: artifact_pb2.DownloadRequest
    ) -> Iterator[artifact_pb2.DownloadResponse]:
        """Let the agent download; yield how that goes, the last time with the result.

        An agent that goes away meanwhile is replaced, and the next one goes on: files that are
        whole are kept. References are told once.
        """
        told = deaths = 0
        while True:
            again = told
            try:
                for answer in self._stream(lambda stub: stub.Download, request, None):
                    repeated = min(again, len(answer.references))
                    del answer.references[:repeated]
                    again -= repeated
                    told += len(answer.references)
                    yield answer
            except AgentCallError as error:
                deaths += 1
                if not _is_gone(error) or deaths > _MOST_DEATHS:
                    raise
            else:
                return

    def call_named(self, name: str, data: bytes, timeout_s: float | None) -> Iterator[bytes]:
        """Make a call by the name of its method; yield the answers as they travel."""
        method = _SERVICE.methods_by_name[name]
        request = GetMessageClass(method.input_type).FromString(data)
        if method.server_streaming:
            answers = self._stream(lambda stub: getattr(stub, name), request, timeout_s)
        else:
            limit_s = math.inf if timeout_s is None else timeout_s
            answers = iter((self._unary(lambda stub: getattr(stub, name), request, limit_s),))
        for answer in answers:
            yield answer.SerializeToString()

    def close(self) -> None:
        """Close the connection; open calls end."""
        with self._lock:
            channels, self._channels, self._stubs = self._channels, {}, {}
        if os.getpid() == self._pid:
            for channel in channels.values():
                channel.close()

    # -- the agent -------------------------------------------------------------------------

    def _unary(
        self,
        method: Callable[[artifact_pb2_grpc.ArtifactServiceStub], Callable[..., _Answer]],
        request: object,
        timeout_s: float,
    ) -> _Answer:
        """Make one call; an agent that just left is replaced, and asked again."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                stub = self._stub(deadline_s)
                return call(method(stub), request, deadline_s - time.monotonic())
            except AgentCallError as error:
                if not self._lost_agent(error) or time.monotonic() + _POLL_S > deadline_s:
                    raise
                time.sleep(_POLL_S)

    def _stream(
        self,
        method: Callable[[artifact_pb2_grpc.ArtifactServiceStub], Callable[..., Iterator[_Answer]]],
        request: object,
        timeout_s: float | None,
    ) -> Iterator[_Answer]:
        """Make a call that answers in parts; asked again only while there was no part."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        give_up_s = time.monotonic() + _START_S
        has_begun = False
        while True:
            left_s = None if deadline_s is None else deadline_s - time.monotonic()
            parts = method(self._stub())(request, timeout=left_s)
            try:
                for part in parts:
                    has_begun = True
                    yield part
            except grpc.RpcError as error:
                problem = translate(error)
                if not self._lost_agent(problem) or has_begun or time.monotonic() > give_up_s:
                    raise problem from None
            else:
                return
            finally:
                cast("grpc.Call", parts).cancel()
            time.sleep(_POLL_S)

    def _stub(self, deadline_s: float = math.inf) -> artifact_pb2_grpc.ArtifactServiceStub:
        """Return the methods of an agent that listens, started here if need be.

        Raises:
            AgentCallError: there is none, and none comes up.
        """
        if os.getpid() != self._pid:
            raise _unavailable("gRPC does not work in a forked process: ask where it was forked")
        target = self._discovery.target
        if target not in self._found:
            self._find_agent(deadline_s)
            target = self._discovery.target
        with self._lock:
            stub = self._stubs.get(target)
            if stub is None:
                channel = self._channels[target] = grpc.insecure_channel(target, options=_OPTIONS)
                stub = self._stubs[target] = artifact_pb2_grpc.ArtifactServiceStub(channel)
            self._found.add(target)
        return stub

    def _lost_agent(self, error: AgentCallError) -> bool:
        """Tell whether the agent itself did not answer: the next call looks for one then."""
        if _is_gone(error):
            self._found.clear()
            return True
        return False

    def _find_agent(self, deadline_s: float) -> None:
        patience_s = _GIVEN_S if self._discovery.is_given else _START_S
        deadline_s = min(deadline_s, time.monotonic() + patience_s)
        while not self._discovery.is_listening():
            try:
                self._discovery.start_agent()
            except OSError as error:
                raise _unavailable(f"cannot start an agent: {error}") from error
            if self._discovery.is_listening():
                return
            failure = self._discovery.failure
            if failure or time.monotonic() > deadline_s:
                why = f": {failure}" if failure else ""
                raise _unavailable(f"no agent answers at {self._discovery.target}{why}")
            time.sleep(_POLL_S)


def answer_type(name: str) -> type[Message]:
    """Return the type of what a method of the service answers."""
    return GetMessageClass(_SERVICE.methods_by_name[name].output_type)


def _unavailable(message: str) -> AgentCallError:
    status = grpc.StatusCode.UNAVAILABLE
    return AgentCallError(status, "NO_AGENT", message, retryable=True)


def _is_gone(error: AgentCallError) -> bool:
    """Whether the agent itself did not answer (its own words about a server have other codes)."""
    return error.code == grpc.StatusCode.UNAVAILABLE.name
