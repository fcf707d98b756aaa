"""A rank on paper: makes frames as the SDK would and hands them to a registry or a spool."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.frames import KINDS, start, write_segment

from trackd_agent.runs.options import Attachment, AttachOptions, Caller
from trackd_proto import records
from trackd_proto.frames import encode_frame
from trackd_proto.layout import run_hash, spool_folder

if TYPE_CHECKING:
    from collections.abc import Generator

    import msgspec

    from trackd_agent.runs.registry import RunRegistry
    from trackd_agent.runs.writer import Writer


class Rank:
    """Sends records to a registry without gRPC; keeps all of them, as a spool would."""

    def __init__(self, data: Path, run_id: str = "r1", label: str = "", **facts: Any) -> None:
        self.producer = secrets.randbits(63) | 1
        self.data = data
        self.run_id = run_id
        self.label = label
        self.spool = spool_folder(data, run_id, self.producer)
        self.facts: dict[str, Any] = {
            "mode": "online",
            "run_dir": str(data / "runs" / run_id),
            "settings": {"x_disable_stats": True},
            "time_s": time.time(),
            **facts,
        }
        self.frames: list[bytes] = []
        self.records: list[msgspec.Struct] = []
        self.attachment: Attachment | None = None
        self.writer: Writer | None = None
        self.add(start(run_id=run_id, label=label, **self.facts))

    @property
    def last_seq(self) -> int:
        return len(self.frames)

    def add(self, *given: msgspec.Struct) -> None:
        for record in given:
            self.records.append(record)
            payload = records.encode(record)
            kind = KINDS[type(record)]
            self.frames.append(encode_frame(kind, self.producer, len(self.frames) + 1, payload))

    def log(self, data: dict[str, Any], step: int | None = None) -> None:
        now = time.time()
        self.add(records.Row(now, now - self.facts["time_s"], data, step))

    def exit(self, code: int = 0) -> None:
        now = time.time()
        self.add(records.Exit(code, now, now - self.facts["time_s"]))

    async def attach(self, registry: RunRegistry, pid: int | None = None, **more: Any) -> Writer:
        options = AttachOptions(
            run_id=self.run_id,
            project="p",
            producer=self.producer,
            run_dir=Path(self.facts["run_dir"]),
            label=self.label,
            mode=self.facts["mode"],
            spool_dir=self.spool,
            base_url=self.facts.get("base_url", ""),
            **more,
        )
        caller = Caller(os.getuid(), os.getpid() if pid is None else pid)
        self.attachment = await registry.attach(options, caller)
        self.writer = registry.writer(self.attachment.capability)
        return self.writer

    def send(self, through: int | None = None) -> int:
        """Send what the agent lacks, up to a number; return what it acknowledged."""
        assert self.writer is not None
        acked = self.writer.acked_seq
        batch = self.frames[acked:through]
        blob = b"".join(batch)
        receipt = self.writer.receive(acked + 1, len(batch), blob, zlib.crc32(blob))
        assert not receipt.rewind
        return receipt.acked_seq

    async def finish(self, code: int = 0) -> tuple[int, int]:
        assert self.writer is not None
        self.exit(code)
        self.send()
        return await self.writer.detach(self.last_seq)

    def write_spool(self, after: int = 0) -> None:
        """Leave what was not acknowledged in the spool folder, as a dead rank does."""
        self.spool.mkdir(parents=True, exist_ok=True)
        (self.spool / "lock").touch()
        hash_ = run_hash("p", self.run_id)
        write_segment(self.spool, self.producer, self.records[after:], after + 1, hash_)

    @contextlib.contextmanager
    def alive(self) -> Generator[None]:
        """Hold the lock of the spool as a living process does."""
        self.spool.mkdir(parents=True, exist_ok=True)
        with (self.spool / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
