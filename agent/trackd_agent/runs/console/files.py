"""A writer's console as files: the lines a terminal shows, and the raw text as it was printed.

`files/output.log` (or `files/output_<label>.log`) belongs to the run and is uploaded. With
`console_multipart` its place is taken by `files/logs/output_<time>.log`, each part closed when it
is large or old enough. `logs/console.raw` stays in the run folder; it is bounded by starting anew
when it is full, the part before is kept as `console.raw.1`.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from io import BufferedRandom
    from pathlib import Path

    from trackd_proto.records import Start

#: Lines that the console emulation may still change, with room.
_WINDOW_LINES = 128
#: Lines that wait for a disk that takes none; of more the oldest are given up.
MAX_WAITING_LINES = 1000
#: Size at which the raw file starts anew, in bytes.
MAX_RAW_BYTES = 64 * 1024 * 1024
_BAD_IN_FILE_NAME = re.compile(r"[/\x00-\x1f]")
_NOT_DIGIT = re.compile(r"\D")
#: Longest part of a file name that comes from a label, in bytes.
_MAX_LABEL_BYTES = 150


def console_file_name(label: str) -> str:
    """Return the name of a writer's console file."""
    return f"output{_suffix(label)}.log"


def _suffix(label: str) -> str:
    """Return what a label adds to the name of a file, which no file system finds too long."""
    if not label:
        return ""
    fit = _BAD_IN_FILE_NAME.sub("_", label).strip().rstrip(".").strip()
    name = fit.encode("utf-8", "replace")
    if len(name) > _MAX_LABEL_BYTES:
        digest = hashlib.sha256(name).hexdigest()[:8]
        name = name[:_MAX_LABEL_BYTES].decode("utf-8", "ignore").encode() + b"-" + digest.encode()
    return f"_{name.decode()}"


class LogPosition(msgspec.Struct, array_like=True):
    """Up to where the console files are final, and the lines behind that may still change."""

    #: Final lines of all parts.
    lines: int = 0
    #: Size of the final lines in the file that is open.
    size_bytes: int = 0
    #: Lines in the form of the file stream, by number.
    open: dict[int, str] = msgspec.field(default_factory=dict[int, str])
    raw_bytes: int = 0
    #: Part that is open, relative to the files folder, and the time of its first line.
    part: str = ""
    part_since: str = ""


class Parts(msgspec.Struct, frozen=True):
    """How a console is cut into parts; 0 means no limit."""

    max_bytes: int = 0
    max_seconds: float = 0


class ConsoleFiles:
    """The console files of one writer.

    Blocking. After a crash it goes on from a position in a checkpoint: what came behind is
    written again, to files of the same names.
    """

    def __init__(self, run_dir: Path, start: Start, position: LogPosition | None = None) -> None:
        self.position = position or LogPosition()
        settings = start.settings
        #: Without capture, lines of loggers go to the server alone.
        self._is_off = settings.get("console") == "off"
        self._parts = _parts_of(settings)
        self._name = console_file_name(start.label)
        self._suffix = _suffix(start.label)
        self._files_dir = run_dir / "files"
        self._raw_path = run_dir / "logs" / f"console{self._suffix}.raw"
        self._older_raw_path = self._raw_path.with_name(self._raw_path.name + ".1")
        self._is_raw_settled = False

    def write(self, edits: dict[int, str], raw: Iterable[str] = ()) -> list[str]:
        """Take edited lines, by line number, and raw text, and write them.

        Args:
            edits: lines in the form of the file stream.
            raw: what was printed, in order.

        Returns:
            The parts that are closed now, relative to the files folder.

        Raises:
            OSError: a file cannot be written; the lines come with the next call, the raw text
                is lost.
        """
        if self._is_off:
            return []
        position = self.position
        position.open.update((n, line) for n, line in edits.items() if n >= position.lines)
        closed: list[str] = []
        try:
            while position.open and self._write_part():
                closed.append(position.part)
                position.part, position.size_bytes = "", 0
            self._write_raw("".join(raw).encode("utf-8", "replace"))
        except OSError:
            self._give_up_old_lines()
            raise
        return closed

    def _give_up_old_lines(self) -> None:
        position = self.position
        for number in sorted(position.open)[:-MAX_WAITING_LINES]:
            del position.open[number]
            position.lines = number + 1

    def finish(self) -> list[str]:
        """Return what is left to upload at the end: the file, or the part that is open."""
        return [self.position.part] if self.position.part else []

    # -- lines -----------------------------------------------------------------------------

    def _write_part(self) -> bool:
        """Write the open lines to the open part; return whether that closed it."""
        position = self.position
        numbers = sorted(position.open)
        lines = [_decode_line(position.open[number]) for number in numbers]
        if not position.part:
            position.part = self._part_name(lines[0])
            position.part_since = lines[0].ts
        encoded = [(line.content + "\n").encode("utf-8", "replace") for line in lines]
        count, is_full = self._fitting(lines, encoded)
        final = count if is_full else max(0, count - _WINDOW_LINES)
        with _opened(self._files_dir / position.part) as file:
            # A power cut, or somebody, may have taken the end of it: no hole takes its place.
            position.size_bytes = min(position.size_bytes, file.seek(0, 2))
            file.seek(position.size_bytes)
            file.write(b"".join(encoded[:count]))
            file.truncate()
        for number in numbers[:final]:
            del position.open[number]
            position.lines = number + 1
        position.size_bytes += sum(map(len, encoded[:final]))
        return is_full

    def _fitting(self, lines: list[_Line], encoded: list[bytes]) -> tuple[int, bool]:
        """Return how many lines go into the open part, and whether it is full with them."""
        parts = self._parts
        if parts is None or not (parts.max_bytes or parts.max_seconds):
            return len(lines), False
        size = self.position.size_bytes
        for at, line in enumerate(lines):
            if parts.max_seconds and size and self._age_s(line) > parts.max_seconds:
                return at, True
            size += len(encoded[at])
            if parts.max_bytes and size >= parts.max_bytes:
                return at + 1, True
        return len(lines), False

    def _age_s(self, line: _Line) -> float:
        return _seconds(line.ts) - _seconds(self.position.part_since)

    def _part_name(self, line: _Line) -> str:
        """Return where the next lines go; the same again when they are written again."""
        if self._parts is None:
            return self._name
        digits = _NOT_DIGIT.sub("", line.ts)  # YYYYMMDDHHMMSS and microseconds
        # Lines of one moment may begin several parts.
        nanoseconds = f"{digits[14:20]:0<6}{self.position.lines % 1000:03}"
        return f"logs/output{self._suffix}_{digits[:8]}_{digits[8:14]}_{nanoseconds}.log"

    # -- raw text --------------------------------------------------------------------------

    def _write_raw(self, data: bytes) -> None:
        if not data:
            return
        position = self.position
        if not self._is_raw_settled:
            self._settle_raw()
        if position.raw_bytes >= MAX_RAW_BYTES and self._raw_path.exists():
            self._raw_path.replace(self._older_raw_path)
            position.raw_bytes = 0
        with _opened(self._raw_path) as file:
            end = file.seek(0, 2)
            file.seek(min(end, position.raw_bytes))
            file.write(data)
            file.truncate()
        position.raw_bytes += len(data)

    def _settle_raw(self) -> None:
        """Take back a new beginning that came after the position: it comes again."""
        self._is_raw_settled = True
        size_bytes = self.position.raw_bytes
        if _size_of(self._raw_path) < size_bytes <= _size_of(self._older_raw_path):
            self._older_raw_path.replace(self._raw_path)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _parts_of(settings: dict[str, Any]) -> Parts | None:
    """Return how the console is cut, or None for one file."""
    if not settings.get("console_multipart"):
        return None
    return Parts(
        int(_limit(settings.get("console_chunk_max_bytes"))),
        _limit(settings.get("console_chunk_max_seconds")),
    )


def _limit(value: object) -> float:
    """Return a limit as given; 0, none, for what is no number above it."""
    if isinstance(value, int | float) and 0 < value < float("inf"):
        return float(value)
    return 0.0


def _opened(path: Path) -> BufferedRandom:
    """Open a file for changes; made where it is missing."""
    try:
        return path.open("r+b")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w+b")


class _Line(msgspec.Struct):
    content: str = ""
    ts: str = ""


_decode_json = msgspec.json.Decoder(_Line).decode


def _decode_line(text: str) -> _Line:
    try:
        return _decode_json(text)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return _Line(text)


def _seconds(stamp: str) -> float:
    """Return seconds of a time of the file stream; only differences mean something."""
    from datetime import datetime

    return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0
