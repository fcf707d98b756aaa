"""What a pump keeps of the saves that it started, so that an agent after it goes on with them.

One file for each save that had not ended when the pump last wrote its checkpoint: `<server>.<12
digits>.save` in the writer's journal folder, MessagePack of a `SaveOrder`. `keep` writes the new
ones before the checkpoint that passes their records, `forget` removes the ended ones after it. A
save that began and ended between two checkpoints costs no file: were the agent to die, its record
would be read again, and its client id leads to the same version.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import structlog

from trackd_agent.artifacts.saves.failures import SaveFailed
from trackd_agent.artifacts.saves.order import SaveOrder, decode_order, encode_order, key_of

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger()

_SUFFIX = ".save"


@dataclass(slots=True)
class _Note:
    data: bytes
    #: Its file; None: it has none yet.
    path: Path | None = None
    has_ended: bool = False
    #: An earlier process began it.
    was_resumed: bool = False


class SaveNotes:
    """The notes of one pump. Files are touched by `load`, `keep` and `forget` alone, in threads.

    Args:
        folder: the writer's journal folder.
        name: of the server, as part of a file name.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._notes: dict[str, _Note] = {}
        self._next = 0

    @property
    def unwritten(self) -> bool:
        """Whether something that has not ended has no file."""
        return any(not (note.path or note.has_ended) for note in self._notes.values())

    @property
    def has_ended(self) -> bool:
        """Whether there is something to forget."""
        return any(note.has_ended for note in self._notes.values())

    def load(self) -> list[tuple[str, SaveOrder]]:
        """Return what an earlier pump left unfinished, with its keys, in the order of logging."""
        orders: list[tuple[str, SaveOrder]] = []
        for path in sorted(self._folder.glob(f"{self._name}.*{_SUFFIX}")):
            try:
                order = decode_order(path.read_bytes())
            except (OSError, ValueError):
                log.exception("save_note_damaged", path=str(path))
                continue
            key = key_of(order)
            self._notes[key] = _Note(b"", path, was_resumed=True)
            self._next = int(path.name.split(".")[-2]) + 1
            orders.append((key, msgspec.structs.replace(order, was_resumed=True)))
        return orders

    def add(self, order: SaveOrder) -> str | None:
        """Note an order and return its key; None: the same record is noted already."""
        key = key_of(order)
        if key in self._notes:
            return None
        self._notes[key] = _Note(encode_order(order))
        return key

    def order_of(self, key: str) -> SaveOrder:
        """Return a noted order, from its file where it has one.

        Raises:
            SaveFailed: the file is gone or damaged.
        """
        note = self._notes[key]
        data, path = note.data, note.path
        try:
            order = decode_order(data or (path.read_bytes() if path else b""))
        except (OSError, ValueError) as error:
            raise SaveFailed(
                "NOTE_UNREADABLE",
                f"an artifact is not saved, since its record in {path} cannot be read any more: "
                f"{error}; log it again",
            ) from error
        return msgspec.structs.replace(order, was_resumed=note.was_resumed)

    def end(self, key: str) -> None:
        """The save has ended."""
        if (note := self._notes.get(key)) is not None:
            note.has_ended = True

    def keep(self) -> None:
        """Write what has no file and has not ended; durable when this returns.

        Raises:
            OSError: a file could not be written; the next call tries again.
        """
        notes = list(self._notes.values())  # others may add meanwhile
        unwritten = [note for note in notes if not (note.path or note.has_ended)]
        for note in unwritten:
            path = self._folder / f"{self._name}.{self._next:012d}{_SUFFIX}"
            _write_durably(path, note.data)
            self._next += 1
            note.path, note.data = path, b""
        if unwritten:
            _sync_folder(self._folder)

    def forget(self) -> None:
        """Remove what has ended; only once the checkpoint has passed its record.

        Raises:
            OSError: a file could not be removed; the next call tries again.
        """
        for key, note in list(self._notes.items()):
            if not note.has_ended:
                continue
            if note.path is not None:
                note.path.unlink(missing_ok=True)
            self._notes.pop(key, None)  # two may forget at once


def _write_durably(path: Path, data: bytes) -> None:
    unfinished = path.with_suffix(".part")
    try:
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fdatasync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
