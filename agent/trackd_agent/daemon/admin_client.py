"""How the command line talks to a running agent."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import grpc

from trackd_agent.daemon.entry import public_path
from trackd_agent.daemon.instance import answers
from trackd_proto.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    artifact_pb2,
    artifact_pb2_grpc,
    common_pb2,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

_TIMEOUT_S = 10.0
#: A large cache takes a while to be counted.
_CACHE_TIMEOUT_S = 300.0
_UNIX = "unix:"


class NoAgent(Exception):
    """No agent answers; the message says where, and what to do."""


class AdminClient:
    """A connection to the agent of this environment."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = admin_pb2_grpc.AdminServiceStub(channel)
        self._artifacts = artifact_pb2_grpc.ArtifactServiceStub(channel)

    def status(self) -> admin_pb2.GetStatusResponse:
        """Return the state of the agent."""
        return self._stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=_TIMEOUT_S)

    def config(self) -> admin_pb2.GetConfigResponse:
        """Return the settings in force."""
        return self._stub.GetConfig(admin_pb2.GetConfigRequest(), timeout=_TIMEOUT_S)

    def read_node(self, max_age_s: float = 0.0) -> admin_pb2.ReadNodeResponse:
        """Return what the node does now, or did at most so many seconds ago."""
        request = admin_pb2.ReadNodeRequest(max_age_s=max_age_s)
        return self._stub.ReadNode(request, timeout=_TIMEOUT_S)

    def flush(self, run_id: str = "", timeout_s: float = 60.0) -> bool:
        """Wait until everything (of one run) is uploaded; return whether it is."""
        request = admin_pb2.FlushRequest(timeout_s=timeout_s)
        if run_id:
            request.run.CopyFrom(common_pb2.RunRef(run_id=run_id))
        answer = self._stub.Flush(request, timeout=timeout_s + _TIMEOUT_S)
        return answer.complete

    def shutdown(self, *, immediate: bool) -> None:
        """Let the agent leave."""
        request = admin_pb2.ShutdownRequest(immediate=immediate)
        try:
            self._stub.Shutdown(request, timeout=_TIMEOUT_S)
        except grpc.RpcError:
            if not immediate:  # else it left without an answer, as asked
                raise

    def cache(self) -> artifact_pb2.GetCacheResponse:
        """Return what the cache of artifact files holds."""
        return self._artifacts.GetCache(artifact_pb2.GetCacheRequest(), timeout=_CACHE_TIMEOUT_S)

    def clean_cache(
        self, target_bytes: int, *, remove_temporary: bool
    ) -> artifact_pb2.CleanCacheResponse:
        """Shrink the cache of artifact files to a size."""
        request = artifact_pb2.CleanCacheRequest(
            target_bytes=target_bytes, remove_temporary=remove_temporary
        )
        return self._artifacts.CleanCache(request, timeout=_CACHE_TIMEOUT_S)


def agent_address() -> str:
    """Return where the agent of this environment is, whether or not it runs."""
    return os.environ.get("TRACKD_SERVICE") or f"{_UNIX}{public_path()}"


@contextmanager
def connected() -> Generator[AdminClient]:
    """Connect to the agent of this environment.

    Raises:
        NoAgent: there is none, or it does not answer any more.
    """
    address = agent_address()
    if address.startswith(_UNIX):
        from pathlib import Path

        if not answers(Path(address.removeprefix(_UNIX))):
            raise NoAgent(f"no agent runs at {address}; `trackd up` starts one")
    with grpc.insecure_channel(address) as channel:
        try:
            yield AdminClient(channel)
        except grpc.RpcError as error:
            assert isinstance(error, grpc.Call)
            text = f"the agent at {address} does not answer as it should: {error.details()}"
            raise NoAgent(text) from error


def as_plain(message: Message) -> dict[str, Any]:
    """Return a message as plain data: all fields by their names in the protocol, numbers as such.

    (protobuf's own JSON turns 64-bit numbers into text and leaves out what is zero.)
    """
    fields = cast("list[FieldDescriptor]", list(message.DESCRIPTOR.fields))
    return {field.name: _field(message, field) for field in fields}


def _field(message: Message, field: FieldDescriptor) -> Any:
    value: Any = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict(value)
    if field.is_repeated:
        return [_value(each, field) for each in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _value(value, field)


def _value(value: Any, field: FieldDescriptor) -> Any:
    if field.message_type is not None:
        return as_plain(value)
    if field.enum_type is not None:
        name: str = field.enum_type.values_by_number[value].name
        return name.removeprefix("MODE_").lower()
    return value
