"""What the agent's socket takes: ranks, people with grpcurl, and whatever else connects."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import struct
import zlib
from typing import TYPE_CHECKING, Any, cast

import anyio
import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tests.support.agent import RunningAgent, running_agent
from tests.support.frames import start

from trackd_agent.rpc.doorman import PREFACE
from trackd_proto import records
from trackd_proto.frames import encode_frame
from trackd_proto.v1 import admin_pb2, common_pb2, run_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


class RpcRank:
    """A rank that speaks the protocol by hand."""

    def __init__(self, stub: Any, folder: Path, run_id: str = "r1") -> None:
        self.stub = stub
        self.run_id = run_id
        self.folder = folder
        self.producer = secrets.randbits(63) | 1
        self.seq = 0
        self.stream: Any = None
        self.capability = ""

    async def attach(self, **more: Any) -> run_pb2.AttachResponse:
        answer = await self.stub.Attach(
            run_pb2.AttachRequest(
                run=common_pb2.RunRef(run_id=self.run_id, project="p"),
                producer=self.producer,
                mode=run_pb2.MODE_OFFLINE,
                run_dir=str(self.folder / "run"),
                pid=os.getpid(),
                **more,
            )
        )
        self.capability = answer.capability
        return answer

    async def open(self) -> None:
        self.stream = self.stub.Records()
        await self.stream.write(run_pb2.RecordsRequest(capability=self.capability))
        await self.stream.read()
        await self.send(start(run_id=self.run_id, mode="offline", run_dir=str(self.folder)))

    async def send(self, *payloads: Any) -> int:
        kinds: dict[Any, records.Kind] = {
            records.Row: records.Kind.ROW,
            records.Exit: records.Kind.EXIT,
        }
        blob = b"".join(
            encode_frame(
                kinds.get(type(each), records.Kind.START),
                self.producer,
                self.seq + 1 + at,
                records.encode(each),
            )
            for at, each in enumerate(payloads)
        )
        await self.stream.write(
            run_pb2.RecordsRequest(
                first_seq=self.seq + 1, count=len(payloads), frames=blob, crc32=zlib.crc32(blob)
            )
        )
        self.seq += len(payloads)
        while (answer := await self.stream.read()).acked_seq < self.seq:
            assert not answer.rewind
        return answer.acked_seq

    async def row(self, **data: Any) -> int:
        return await self.send(records.Row(1.0, 1.0, data))


@contextlib.asynccontextmanager
async def attached_rank(agent: RunningAgent, folder: Path) -> AsyncGenerator[RpcRank]:
    async with agent.runs() as stub:
        rank = RpcRank(stub, folder)
        await rank.attach()
        await rank.open()
        yield rank


async def test_rows_are_acknowledged_and_shown_in_the_status(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent, attached_rank(agent, tmp_path) as rank:
        assert await rank.row(loss=1.0) == 2
        (run,) = (await agent.status()).runs
        (writer,) = run.writers
        assert (run.run.run_id, writer.state, writer.pid) == ("r1", "attached", os.getpid())
        assert (writer.received_seq, writer.journalled_seq) == (2, 2)
        answer = await rank.stub.Detach(
            run_pb2.DetachRequest(capability=rank.capability, last_seq=2)
        )
        assert answer.acked_seq == 2


async def test_a_gap_is_answered_with_rewind_and_a_replay_with_an_acknowledgement(
    tmp_path: Path,
) -> None:
    async with running_agent(tmp_path) as agent, attached_rank(agent, tmp_path) as rank:
        frame = encode_frame(records.Kind.ROW, rank.producer, 9, b"x")
        await rank.stream.write(
            run_pb2.RecordsRequest(first_seq=9, count=1, frames=frame, crc32=zlib.crc32(frame))
        )
        answer = await rank.stream.read()
        assert (answer.rewind, answer.acked_seq) == (True, 1)
        assert await rank.row(a=1) == 2


@pytest.mark.parametrize(
    "request_",
    [
        run_pb2.RecordsRequest(first_seq=2, count=1, frames=b"nonsense" * 8, crc32=1),
        run_pb2.RecordsRequest(first_seq=2, count=1, frames=b"", crc32=0),
        run_pb2.RecordsRequest(first_seq=0, count=1, frames=b"x" * 32, crc32=zlib.crc32(b"x" * 32)),
        run_pb2.RecordsRequest(first_seq=2, count=9, frames=b"x" * 32, crc32=zlib.crc32(b"x" * 32)),
    ],
)
async def test_a_damaged_batch_ends_that_stream_only(
    tmp_path: Path, request_: run_pb2.RecordsRequest
) -> None:
    async with (
        running_agent(tmp_path) as agent,
        attached_rank(agent, tmp_path) as rank,
        agent.runs() as other_stub,
    ):
        other = RpcRank(other_stub, tmp_path, "r2")
        await other.attach()
        await other.open()
        await rank.stream.write(request_)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            while await rank.stream.read() is not grpc.aio.EOF:
                pass
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert await other.row(a=1) == 2
        assert sum((await agent.status()).dropped.values()) >= 1


async def test_a_writer_that_comes_back_is_not_disturbed_by_the_end_of_its_old_stream(
    tmp_path: Path,
) -> None:
    async with running_agent(tmp_path) as agent, attached_rank(agent, tmp_path) as rank:
        old = rank.stream
        answer = await rank.attach(reattach=True)
        assert answer.last_seq == 1
        rank.stream = rank.stub.Records()
        await rank.stream.write(run_pb2.RecordsRequest(capability=rank.capability))
        await rank.stream.read()
        old.cancel()
        await anyio.sleep(0.3)
        assert await rank.row(a=1) == 2
        (run,) = (await agent.status()).runs
        assert run.writers[0].state == "attached"


async def test_an_orderly_stop_acknowledges_what_was_taken(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent, attached_rank(agent, tmp_path) as rank:
        for number in range(50):
            await rank.row(number=number)
        assert await agent.terminate() == 0
        await agent.start()
        async with agent.runs() as stub:
            rank.stub = stub
            assert (await rank.attach(reattach=True)).last_seq == 51


async def test_unary_calls_refuse_nonsense_with_a_reason(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent, agent.runs() as runs, agent.admin() as admin:
        calls: list[tuple[Any, Any, grpc.StatusCode]] = [
            (runs.Attach, run_pb2.AttachRequest(), grpc.StatusCode.INVALID_ARGUMENT),
            (runs.GetRunStatus, run_pb2.GetRunStatusRequest(), grpc.StatusCode.INVALID_ARGUMENT),
            (
                runs.GetRunStatus,
                run_pb2.GetRunStatusRequest(run=common_pb2.RunRef(run_id="nope")),
                grpc.StatusCode.NOT_FOUND,
            ),
            (
                runs.Detach,
                run_pb2.DetachRequest(capability="x"),
                grpc.StatusCode.PERMISSION_DENIED,
            ),
            (
                admin.Flush,
                admin_pb2.FlushRequest(timeout_s=float("nan")),
                grpc.StatusCode.INVALID_ARGUMENT,
            ),
            (admin.Flush, admin_pb2.FlushRequest(timeout_s=1e9), grpc.StatusCode.INVALID_ARGUMENT),
        ]
        for call, request, status in calls:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(request)
            assert caught.value.code() == status, request
            trailer: dict[str, Any] = dict(caught.value.trailing_metadata() or ())
            assert common_pb2.ErrorInfo.FromString(trailer["trackd-error-bin"]).code


async def test_reflection_and_health_are_on(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent, agent.channel() as channel:
        health = cast("Any", health_pb2_grpc).HealthStub(channel)
        for name in ("", "trackd.v1.RunService", "trackd.v1.AdminService"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflection = cast("Any", reflection_pb2_grpc).ServerReflectionStub(channel)
        call = reflection.ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        listed = await call.read()
        names = {service.name for service in listed.list_services_response.service}
        assert {"trackd.v1.RunService", "trackd.v1.AdminService"} <= names
        await call.write(
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="trackd.v1.RunService")
        )
        assert (await call.read()).file_descriptor_response.file_descriptor_proto
        await call.done_writing()


async def test_hostile_bytes_do_not_disturb_the_rank_beside(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent, attached_rank(agent, tmp_path) as rank:
        settings = struct.pack(">I", 0)[1:] + b"\x04\x00" + b"\0\0\0\0"
        gibibyte = b"\xff\xff\xff\x00\x01\x00\x00\x00\x01"  # a frame of 16 MiB - 1, the largest
        message = b"\x00" + struct.pack(">I", 1 << 30)  # gRPC's own length: 1 GiB
        data = struct.pack(">I", len(message))[1:] + b"\x00\x00\x00\x00\x00\x01" + message
        rss_before = (await agent.status()).rss_bytes
        held: list[socket.socket] = []
        for hostile in (
            b"\0",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            os.urandom(4096),
            PREFACE[:12],
            PREFACE + gibibyte + b"x" * 65536,
            PREFACE + settings + data,
            PREFACE + os.urandom(65536),
        ):
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(agent.socket))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(hostile)
            held.append(client)
            await rank.row(a=1)
        status = await agent.status()
        assert status.rss_bytes - rss_before < 64 * 1024 * 1024
        assert status.pid == agent.pid
        for client in held:
            client.close()


async def test_a_message_above_the_limit_is_refused_and_the_rank_goes_on(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent, attached_rank(agent, tmp_path) as rank:
        async with agent.runs() as runs:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await runs.Attach(run_pb2.AttachRequest(run_dir="/" + "x" * (5 * 1024 * 1024)))
            assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await rank.row(a=1) == 2


async def test_a_thousand_idle_connections_leave_room_for_ranks(tmp_path: Path) -> None:
    async with (
        running_agent(
            tmp_path,
            TRACKD_RPC__MAX_CONNECTIONS_PER_UID="2000",
            TRACKD_RPC__HANDSHAKE_TIMEOUT_S="3",
        ) as agent,
        attached_rank(agent, tmp_path) as rank,
    ):
        idle: list[socket.socket] = []
        while (await agent.status()).connections <= 900:  # those of a slow test have gone already
            for number in range(1000):
                client = socket.socket(socket.AF_UNIX)
                client.connect(str(agent.socket))
                if number % 2:
                    client.sendall(PREFACE[:1])
                idle.append(client)
        assert await rank.row(a=1) == 2
        with anyio.fail_after(120):
            while (await agent.status()).connections > 10:
                await anyio.sleep(0.1)
        for client in idle:
            client.close()
        assert await rank.row(a=2) == 3
