"""Every error of the agent reaches a client with its status and its facts."""

from __future__ import annotations

import asyncio
import inspect
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.to_thread
import grpc
import grpc.aio
import pytest
from google.protobuf.message import DecodeError
from grpc._cython import cygrpc

from trackd_agent.core import errors
from trackd_agent.rpc.config import RpcConfig
from trackd_agent.rpc.failures import (
    ERROR_TRAILER,
    STATUSES,
    ErrorInterceptor,
    FailureCounts,
    status_of,
)
from trackd_agent.rpc.server import RpcServer, Services
from trackd_proto.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    artifact_pb2_grpc,
    common_pb2,
    run_pb2_grpc,
)

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.AgentError)
    and kind not in (errors.AgentError, errors.RetryableError)
]


class Failing(admin_pb2_grpc.AdminServiceServicer):
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def GetStatus(self, request: Any, context: Any) -> Any:
        raise self.error


async def call_failing(folder: Path, error: Exception) -> tuple[grpc.aio.AioRpcError, Any, Any]:
    counts = FailureCounts()
    server = grpc.aio.server(interceptors=[ErrorInterceptor(counts)])
    admin_pb2_grpc.add_AdminServiceServicer_to_server(Failing(error), server)  # pyright: ignore[reportAbstractUsage]
    target = f"unix:{folder}/s"
    server.add_insecure_port(target)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(target) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await admin_pb2_grpc.AdminServiceStub(channel).GetStatus(
                    admin_pb2.GetStatusRequest()
                )
    finally:
        await server.stop(0)
    trailer: dict[str, Any] = dict(caught.value.trailing_metadata() or ())
    return caught.value, common_pb2.ErrorInfo.FromString(trailer[ERROR_TRAILER]), counts


async def test_a_message_that_cannot_be_decoded_is_the_callers_fault(tmp_path: Path) -> None:
    seen, info, _ = await call_failing(tmp_path, DecodeError("bytes"))
    assert seen.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert info.code == "MALFORMED_MESSAGE" and "GetStatus" in (seen.details() or "")


def test_every_class_has_a_status() -> None:
    assert CLASSES
    for kind in CLASSES:
        assert any(issubclass(kind, known) for known, _ in STATUSES), kind


@pytest.mark.parametrize("kind", CLASSES)
async def test_an_error_arrives_whole(tmp_path: Path, kind: type[errors.AgentError]) -> None:
    raised = kind("SOME_CODE", "said so", retry_after_s=1.5, details={"field": "x"})
    seen, info, counts = await call_failing(tmp_path, raised)
    assert seen.code() == status_of(raised) != grpc.StatusCode.INTERNAL
    assert seen.details() == "said so"
    assert info.code == "SOME_CODE"
    assert info.retryable == raised.retryable
    assert info.retry_after_ms == 1500
    assert dict(info.details) == {"field": "x"}
    assert counts.by_code == {"SOME_CODE": 1}


async def test_what_nobody_expected_is_internal_and_names_the_log_entry(tmp_path: Path) -> None:
    seen, info, counts = await call_failing(tmp_path, ZeroDivisionError("secret detail"))
    assert seen.code() == grpc.StatusCode.INTERNAL
    assert "secret detail" not in (seen.details() or "")
    assert info.code == "INTERNAL"
    assert info.details["log_id"] in (seen.details() or "")
    assert counts.by_code == {"INTERNAL": 1}


class Slow(admin_pb2_grpc.AdminServiceServicer):
    """Cleans up behind a thread, as whoever closes what the thread works with."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.may_end = threading.Event()
        self.steps: list[str] = []
        self.is_clean = anyio.Event()

    def work(self) -> None:
        self.has_begun.set()
        self.may_end.wait(120)
        self.steps.append("thread ended")

    async def GetStatus(self, request: Any, context: Any) -> Any:
        try:
            await anyio.to_thread.run_sync(self.work)
        finally:
            self.steps.append("cleaned up")
            self.is_clean.set()


async def test_a_handler_whose_caller_leaves_cleans_up_behind_its_thread(tmp_path: Path) -> None:
    server = grpc.aio.server(interceptors=[ErrorInterceptor(FailureCounts())])
    slow = Slow()  # pyright: ignore[reportAbstractUsage]
    admin_pb2_grpc.add_AdminServiceServicer_to_server(slow, server)
    target = f"unix:{tmp_path}/s"
    server.add_insecure_port(target)
    await server.start()
    async with grpc.aio.insecure_channel(target) as channel:
        call = admin_pb2_grpc.AdminServiceStub(channel).GetStatus(admin_pb2.GetStatusRequest())
        await anyio.to_thread.run_sync(slow.has_begun.wait, 120)
        call.cancel()
        with anyio.move_on_after(0.3):  # time enough to do it wrong
            await slow.is_clean.wait()
        slow.may_end.set()
        with anyio.fail_after(120):
            await slow.is_clean.wait()
    await server.stop(0)
    assert slow.steps == ["thread ended", "cleaned up"]


async def test_a_server_leaves_when_its_handlers_have_cleaned_up(tmp_path: Path) -> None:
    slow = Slow()  # pyright: ignore[reportAbstractUsage]
    runs: Any = run_pb2_grpc.RunServiceServicer()  # pyright: ignore[reportAbstractUsage]
    artifacts: Any = artifact_pb2_grpc.ArtifactServiceServicer()  # pyright: ignore[reportAbstractUsage]
    services = Services(runs, artifacts, cast("Any", slow))
    left = anyio.Event()

    async def serve(begun: anyio.Event) -> None:
        async with RpcServer(tmp_path / "s", services, RpcConfig(), FailureCounts()):
            begun.set()
            await anyio.to_thread.run_sync(slow.has_begun.wait, 120)
        assert slow.steps == ["thread ended", "cleaned up"]
        left.set()

    async def call() -> None:
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s") as channel:
            stub = admin_pb2_grpc.AdminServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.GetStatus(admin_pb2.GetStatusRequest())

    async with anyio.create_task_group() as tasks:
        begun = anyio.Event()
        tasks.start_soon(serve, begun)
        await begun.wait()
        tasks.start_soon(call)
        with anyio.move_on_after(1.0):  # time enough to do it wrong
            await left.wait()
        slow.may_end.set()
        with anyio.fail_after(120):
            await left.wait()


@pytest.mark.parametrize("name", ["InternalError", "_ServerStoppedError"])
async def test_who_left_while_he_was_answered_is_no_failure(name: str) -> None:
    counts = FailureCounts()

    async def answer(_request: Any, _context: Any) -> None:
        raise getattr(cygrpc, name)("nothing can be written")

    handler = cast("Any", grpc).unary_stream_rpc_method_handler(answer)

    async def continuation(_details: Any) -> Any:
        return handler

    details = SimpleNamespace(method="/trackd.v1.ArtifactService/WatchSave")
    guarded = await ErrorInterceptor(counts).intercept_service(continuation, cast("Any", details))
    with pytest.raises(asyncio.CancelledError):
        await guarded.unary_stream(None, None)
    assert not counts.by_code
