"""How far a save is, and how it ended."""

from __future__ import annotations

import enum
from dataclasses import dataclass

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
        bytes_done: bytes of files that are at the server.
        bytes_total: bytes of all files as far as they were counted.
        bytes_sent: bytes that really travelled.
        artifact_id: of the version; empty until known.
        error_code: stable name of the failure; empty: none.
        error: for people; of an unfinished save: what keeps it from moving.
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


@dataclass(slots=True)
class Tally:
    """What a running save counts."""

    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    bytes_sent: int = 0

    def note_files(self, count: int, size_bytes: int) -> None:
        """Files are at the server."""
        self.files_done += count
        self.bytes_done += size_bytes
