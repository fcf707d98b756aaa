"""What the journal tests share: rows that prove themselves, and a disk that can fail anywhere."""

from __future__ import annotations

import errno
import os
import random
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackd_agent.journal import Journal, JournalConfig
from trackd_proto.frames import encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from trackd_agent.journal.reader import SegmentReader
    from trackd_proto.frames import Frame

PRODUCER = 0x1122334455667788
RUN_HASH = 42
KIND = 2
SMALL = JournalConfig(segment_max_bytes=4096)


def payload_of(seq: int) -> bytes:
    """Return what record `seq` holds: its length and its bytes both follow from the number."""
    return (b"%d:" % seq + bytes((seq * 7 + i) & 0xFF for i in range(64))) * (1 + seq % 5)


def frames_of(first_seq: int, count: int) -> bytes:
    """Return `count` frames from `first_seq` on, as a rank sends them."""
    return b"".join(
        encode_frame(KIND, PRODUCER, seq, payload_of(seq))
        for seq in range(first_seq, first_seq + count)
    )


def blob_of(first_seq: int, count: int) -> tuple[int, int, bytes, int]:
    """Return the arguments of `Journal.receive` for such frames."""
    frames = frames_of(first_seq, count)
    return first_seq, count, frames, zlib.crc32(frames)


def open_journal(folder: Path, config: JournalConfig = SMALL) -> Journal:
    """Open or recover the journal of the test producer."""
    return Journal.open(folder, PRODUCER, RUN_HASH, config)


def read_all(reader: SegmentReader, max_bytes: int = 4096) -> list[Frame]:
    """Read until the reader has caught up."""
    frames: list[Frame] = []
    while fresh := reader.read(max_bytes):
        frames += fresh
    return frames


def check_rows(frames: Iterable[Frame], expected: Iterable[int]) -> None:
    """Assert that exactly these records are there, in order, unchanged."""
    found = list(frames)
    assert [frame.seq for frame in found] == list(expected)
    for frame in found:
        assert bytes(frame.payload) == payload_of(frame.seq)


class Crash(BaseException):
    """The process dies here."""


#: Every call by which journal and checkpoints change the disk.
MUTATING_CALLS = (
    "write",
    "pwrite",
    "ftruncate",
    "unlink",
    "fsync",
    "fdatasync",
    "posix_fallocate",
    "mkdir",
    "rmdir",
)


@dataclass
class Shim:
    """Stands before the mutating calls of `os`; decides at the n-th one.

    Args:
        at: number of the call to interfere with, from 1.
        action: what happens there: `crash` (before it), `torn` (half of a write is done, then
            the crash), `short` (half of a write is done), or the name of an errno.
    """

    at: int
    action: str
    calls: int = 0
    fired: bool = False
    is_dead: bool = False
    originals: dict[str, Callable[..., Any]] = field(default_factory=dict[str, Any])

    def call(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        """Do what `os.<name>` does, or what the plan says."""
        if self.is_dead:
            raise Crash
        original = self.originals[name]
        self.calls += 1
        if self.calls != self.at:
            return original(*arguments, **keywords)
        self.fired = True
        is_write = name in ("write", "pwrite")
        if self.action in ("torn", "short") and is_write:
            descriptor, data, *rest = arguments
            written = original(descriptor, bytes(data)[: len(data) // 2 or 1], *rest)
            if self.action == "short":
                return written
        if self.action in ("crash", "torn"):
            self.is_dead = True
            raise Crash
        if self.action == "short":
            return original(*arguments, **keywords)
        number = getattr(errno, self.action)
        raise OSError(number, os.strerror(number))

    def open(self, path: Any, flags: int, mode: int = 0o777, **keywords: Any) -> int:
        """Count only the opening that creates a file."""
        if flags & os.O_CREAT and not os.path.exists(path):
            return self.call("open", path, flags, mode, **keywords)
        if self.is_dead and flags & (os.O_RDWR | os.O_WRONLY):
            raise Crash
        return self.originals["open"](path, flags, mode, **keywords)


@contextmanager
def shimmed(shim: Shim) -> Generator[Shim, None, None]:
    """Put the shim before `os` for a while."""
    names = (*MUTATING_CALLS, "open")
    shim.originals = {name: getattr(os, name) for name in names}

    def replacement(name: str) -> Callable[..., Any]:
        return lambda *arguments, **keywords: shim.call(name, *arguments, **keywords)

    try:
        for name in MUTATING_CALLS:
            setattr(os, name, replacement(name))
        os.open = shim.open
        yield shim
    finally:
        for name, original in shim.originals.items():
            setattr(os, name, original)


class PowerDisk:
    """Remembers what of one folder has reached the disk, to lose the rest.

    Watches `fdatasync` and `fsync` (and creations, deletions) inside `watched()`.
    """

    BLOCK_BYTES = 512

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.durable: dict[str, bytes] = {}  # content by name at its last sync
        self.names: set[str] = set()  # entries at the last sync of the folder

    @contextmanager
    def watched(self, shim: Shim) -> Generator[None, None, None]:
        """Note every sync that `shim` lets through."""
        with shimmed(shim):
            plain = shim.call

            def call(name: str, *arguments: Any, **keywords: Any) -> Any:
                result = plain(name, *arguments, **keywords)
                if name in ("fsync", "fdatasync"):
                    self._note(Path(os.readlink(f"/proc/self/fd/{arguments[0]}")))
                elif name == "unlink" and Path(arguments[0]).name not in self.names:
                    self.durable.pop(Path(arguments[0]).name, None)
                return result

            shim.call = call  # type: ignore[method-assign]
            yield

    def _note(self, path: Path) -> None:
        if path == self.folder:
            self.names = set(os.listdir(path))
        elif path.exists():
            self.durable[path.name] = path.read_bytes()

    def cut_power(self, target: Path, seed: int) -> None:
        """Write to `target` one of the states that the disk may hold now.

        Of what was not synced any block may be new, old or zero, files may have their old or new
        size, new names may be missing, and deleted ones may be back.
        """
        chance = random.Random(seed)
        target.mkdir()
        present = set(os.listdir(self.folder))
        for name in sorted(present | self.names):
            if name not in self.names & present and chance.random() < 0.5:
                continue
            new = (self.folder / name).read_bytes() if name in present else None
            old = self.durable.get(name, b"")
            (target / name).write_bytes(old if new is None else self._mix(old, new, chance))

    def _mix(self, old: bytes, new: bytes, chance: random.Random) -> bytes:
        keep = chance.choice((0.0, 0.5, 1.0))
        size = len(new) if chance.random() < 0.7 else min(len(old), len(new))
        blocks: list[bytes] = []
        for at in range(0, size, self.BLOCK_BYTES):
            was = old[at : at + self.BLOCK_BYTES].ljust(self.BLOCK_BYTES, b"\0")
            now = new[at : at + self.BLOCK_BYTES].ljust(self.BLOCK_BYTES, b"\0")
            # The part of a block that was synced is never lost: only what changed since.
            blocks.append(now if was == now or chance.random() < keep else was)
        return b"".join(blocks)[:size]
