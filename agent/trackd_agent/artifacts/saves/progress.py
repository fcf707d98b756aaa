"""How far a save is, and how it ended."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field

import msgspec


class SaveState(enum.StrEnum):
    """Where a save stands."""

    QUEUED = "QUEUED"
    SENDING = "SENDING"
    COMMITTING = "COMMITTING"
    COMMITTED = "COMMITTED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_end(self) -> bool:
        """Whether nothing follows."""
        return self in (SaveState.COMMITTED, SaveState.FAILED, SaveState.CANCELLED)


class SaveProgress(msgspec.Struct, frozen=True):
    """A save at one moment.

    Attributes:
        client_id: of the artifact.
        name: of its collection.
        type: of the artifact.
        state: where it stands.
        files_done: files that are at the server.
        files_total: all files as far as they were counted.
        bytes_done: bytes that are at the server, also of files that are there in part.
        bytes_total: bytes of all files as far as they were counted.
        bytes_sent: bytes that really travelled.
        artifact_id: of the version; empty until known.
        error_code: stable name of the failure; empty: none.
        error: for people; of an unfinished save: what keeps it from moving.
        is_unchanged: the server had a version with these contents already.
        key: of its record.
    """

    client_id: str
    name: str = ""
    type: str = ""
    state: SaveState = SaveState.QUEUED
    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    bytes_sent: int = 0
    artifact_id: str = ""
    error_code: str = ""
    error: str = ""
    is_unchanged: bool = False
    key: str = ""


@dataclass(slots=True)
class Tally:
    """What a running save counts; `bytes_of_parts` is of files that are there in part, by path."""

    files_done: int = 0
    files_total: int = 0
    bytes_whole: int = 0
    bytes_total: int = 0
    bytes_sent: int = 0
    bytes_of_parts: Counter[str] = field(default_factory=Counter[str])

    @property
    def bytes_done(self) -> int:
        """Bytes that are at the server."""
        return self.bytes_whole + self.bytes_of_parts.total()

    def note_part(self, path: str, size_bytes: int) -> None:
        """So much more of a file is at the server."""
        self.bytes_of_parts[path] += size_bytes

    def note_file(self, path: str, size_bytes: int) -> None:
        """A whole file is at the server."""
        self.bytes_of_parts.pop(path, None)
        self.files_done += 1
        self.bytes_whole += size_bytes

    def forget_parts(self, path: str) -> None:
        """A file begins anew."""
        self.bytes_of_parts.pop(path, None)
