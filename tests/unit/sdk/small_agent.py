"""A small agent for tests of the SDK: the real gRPC protocol and the real journal, nothing else.

It runs in the process of the test or, by `python -m`, in its own, so that it can be killed.
"""

from __future__ import annotations

import json
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from trackd_agent.journal import Journal, JournalConfig, read_folder
from trackd_proto.records import Kind, Row, decode
from trackd_proto.v1 import run_pb2, run_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from msgspec import Struct

    from trackd_proto.frames import Frame


class SmallAgent(run_pb2_grpc.RunServiceServicer):
    """Journals what ranks send. One journal folder a producer below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journals: dict[int, Journal] = {}
        self.attached: dict[str, run_pb2.AttachRequest] = {}
        self.requests: list[run_pb2.AttachRequest] = []
        self.detached: list[int] = []
        self.messages = 0
        self.mute = False
        #: Name and address of the run at its server; the last ones come with the end of the run.
        self.name = ""
        self.url = "http://127.0.0.1:1/local/p/runs/r"
        self.last_url = self.last_name = ""
        #: Status and text of the failures that the next attaches end with.
        self.failures: list[tuple[grpc.StatusCode, str]] = []
        #: As an agent whose disk is full: it takes no records.
        self.is_full = False
        self._lock = threading.Lock()

    def Attach(
        self, request: run_pb2.AttachRequest, context: grpc.ServicerContext
    ) -> run_pb2.AttachResponse:
        with self._lock:
            self.requests.append(request)
            if self.failures:
                context.abort(*self.failures.pop(0))
            label = request.label
            if label in self.attached and self.attached[label].producer != request.producer:
                if not request.rename_on_conflict:
                    context.abort(grpc.StatusCode.ALREADY_EXISTS, f"label {label!r} is in use")
                label = next(
                    f"{label}-{n}" for n in range(2, 99) if f"{label}-{n}" not in self.attached
                )
            self.attached[label] = request
            journal = self.journals.get(request.producer)
            if journal is None:
                folder = self.folder / f"{request.producer:016x}"
                journal = Journal.open(folder, request.producer, 1, JournalConfig())
                self.journals[request.producer] = journal
            return run_pb2.AttachResponse(
                last_seq=journal.last_seq,
                agent_epoch=1,
                label=label,
                run_dir=request.run_dir,
                url=self.url,
                capability=f"{request.producer:016x}",
            )

    def Records(
        self, request_iterator: Iterator[run_pb2.RecordsRequest], context: grpc.ServicerContext
    ) -> Iterator[run_pb2.RecordsResponse]:
        journal: Journal | None = None
        for request in request_iterator:
            if request.capability:
                journal = self.journals[int(request.capability, 16)]
            assert journal is not None
            self.messages += 1
            if request.count and self.is_full:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the disk is full")
            if request.count:
                assert zlib.crc32(request.frames) == request.crc32
                with self._lock:
                    receipt = journal.receive(
                        request.first_seq, request.count, request.frames, request.crc32
                    )
                    answer = run_pb2.RecordsResponse(
                        acked_seq=receipt.acked_seq, rewind=receipt.rewind
                    )
            else:
                answer = run_pb2.RecordsResponse(acked_seq=journal.last_seq)
            answer.name, answer.url = self.name, self.url
            if not self.mute:
                yield answer

    def Detach(
        self, request: run_pb2.DetachRequest, context: grpc.ServicerContext
    ) -> run_pb2.DetachResponse:
        producer = int(request.capability, 16)
        if self.journals[producer].last_seq < request.last_seq:  # the rank has to send the rest
            return run_pb2.DetachResponse(acked_seq=self.journals[producer].last_seq)
        self.detached.append(producer)
        for label, attached in list(self.attached.items()):
            if attached.producer == producer:
                del self.attached[label]
        last_seq = self.journals[producer].last_seq
        return run_pb2.DetachResponse(acked_seq=last_seq, url=self.last_url, name=self.last_name)

    def ReadSummary(
        self, request: run_pb2.ReadSummaryRequest, context: grpc.ServicerContext
    ) -> run_pb2.ReadSummaryResponse:
        values: dict[str, object] = {}
        step = 0
        for record in self.records():
            if isinstance(record, Row):
                values.update(record.data)
                step += 1
        return run_pb2.ReadSummaryResponse(summary_json=json.dumps(values), step=step)

    def records(self, producer: int | None = None) -> list[Struct]:
        """What the journals hold, decoded."""
        found: list[Struct] = []
        for one in sorted(self.folder.iterdir()) if self.folder.exists() else []:
            if producer is None or one.name == f"{producer:016x}":
                found += read_records(one)
        return found


def read_records(folder: Path) -> list[Struct]:
    """Return the decoded records of a journal or spool folder."""
    return [decode(frame.kind, frame.payload) for frame in read_frames(folder)]


def read_frames(folder: Path) -> list[Frame]:
    """Return the frames of a journal or spool folder."""
    reader = read_folder(folder)
    found: list[Frame] = []
    while some := reader.read():
        found += [frame._replace(payload=memoryview(bytes(frame.payload))) for frame in some]
    assert not reader.damages
    return found


def kinds(folder: Path) -> list[str]:
    """Return the kinds of the records of a journal or spool folder."""
    return [Kind(frame.kind).name for frame in read_frames(folder)]


@contextmanager
def serving(folder: Path, socket: Path) -> Generator[SmallAgent]:
    """Serve at a Unix socket until the block ends."""
    # The calls of operators are left to the base class, which answers UNIMPLEMENTED.
    agent = SmallAgent(folder)  # pyright: ignore[reportAbstractUsage]
    server = grpc.server(ThreadPoolExecutor(max_workers=64))
    run_pb2_grpc.add_RunServiceServicer_to_server(agent, server)
    socket.parent.mkdir(parents=True, exist_ok=True)
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    try:
        yield agent
    finally:
        server.stop(grace=0).wait()
        for journal in agent.journals.values():
            journal.close()


if __name__ == "__main__":
    with serving(Path(sys.argv[1]), Path(sys.argv[2])):
        threading.Event().wait()
