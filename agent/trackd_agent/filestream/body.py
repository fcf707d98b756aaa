"""Bodies of file_stream requests: ready lines in, as few requests as the limits allow out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from trackd_proto.wandb_http import (
    CONSOLE_FILE,
    EVENTS_FILE,
    HISTORY_FILE,
    MAX_LINE_BYTES,
    MAX_REQUEST_BYTES,
    SUMMARY_FILE,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class FileStreamConfig(BaseModel):
    """Limits of the protocol."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Largest sum of line lengths in one request, in bytes.
    max_request_bytes: int = Field(default=MAX_REQUEST_BYTES, ge=1024)
    #: Largest line; longer ones are dropped and counted, in bytes.
    max_line_bytes: int = Field(default=MAX_LINE_BYTES, ge=256)
    #: A refusal for size (413) of a smaller body is no matter of its size, in bytes.
    least_refusable_bytes: int = Field(default=64 * 1024, ge=0)
    #: Silence after which a heartbeat tells the server that the run lives, in seconds.
    heartbeat_s: float = Field(default=30.0, gt=0)


@dataclass(slots=True)
class Offsets:
    """Line numbers at which the next lines of a stream go, and where the stream began."""

    history: int = 0
    events: int = 0
    #: Added to the line numbers of the console: lines that an earlier attempt wrote.
    console_base: int = 0


@dataclass(slots=True)
class Outgoing:
    """What one turn of a writer has to say."""

    history: list[str] = field(default_factory=list[str])
    events: list[str] = field(default_factory=list[str])
    console: dict[int, str] = field(default_factory=dict[int, str])
    summary: str | None = None
    uploaded: list[str] = field(default_factory=list[str])
    preempting: bool = False
    complete: bool = False
    exit_code: int | None = None
    #: Rows whose step went back, by number.
    late: dict[int, str] = field(default_factory=dict[int, str])

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send."""
        lines = self.history or self.events or self.console or self.summary is not None
        return not (lines or self.late or self.uploaded or self.preempting or self.complete)


@dataclass(slots=True)
class Request:
    """One request: a consecutive block of lines per file, and flags."""

    files: dict[str, tuple[int, list[str]]] = field(
        default_factory=dict[str, tuple[int, list[str]]]
    )
    uploaded: list[str] = field(default_factory=list[str])
    preempting: bool = False
    complete: bool = False
    exit_code: int | None = None

    @property
    def line_count(self) -> int:
        """Lines in the request."""
        return sum(len(lines) for _, lines in self.files.values())

    def encode(self) -> bytes:
        """Return the body; an empty request is a heartbeat."""
        body: dict[str, object] = {}
        if self.files:
            body["files"] = {
                name: {"offset": offset, "content": lines}
                for name, (offset, lines) in self.files.items()
            }
        if self.uploaded:
            body["uploaded"] = self.uploaded
        if self.preempting:
            body["preempting"] = True
        if self.complete:
            body["complete"] = True
            body["exitcode"] = self.exit_code
        try:
            return msgspec.json.encode(body)
        except UnicodeEncodeError:  # a lone surrogate; nothing else may suffer from it
            clean = replace(self, files={n: (o, _clean(ls)) for n, (o, ls) in self.files.items()})
            clean.uploaded = _clean(self.uploaded)
            return clean.encode()

    def halves(self) -> tuple[Request, Request]:
        """Return two requests that say the same with half of the lines each.

        The first carries earlier lines, the second everything that must come last.
        """
        first = Request(preempting=self.preempting)
        second = replace(self, files={}, preempting=False)
        wanted = (self.line_count + 1) // 2
        for name, (offset, lines) in self.files.items():
            cut = min(len(lines), wanted)
            wanted -= cut
            if cut:
                first.files[name] = (offset, lines[:cut])
            if cut < len(lines):
                second.files[name] = (offset + cut, lines[cut:])
        return first, second


def _clean(lines: list[str]) -> list[str]:
    return [line.encode("utf-8", "replace").decode() for line in lines]


def blocks_of(console: dict[int, str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the consecutive blocks of edited console lines, in order of their numbers."""
    start = -1
    lines: list[str] = []
    for number in sorted(console):
        if lines and number != start + len(lines):
            yield start, lines
            lines = []
        if not lines:
            start = number
        lines.append(console[number])
    if lines:
        yield start, lines


def requests_of(
    outgoing: Outgoing, offsets: Offsets, limit_bytes: int, late_file: str = ""
) -> list[Request]:
    """Return the requests that carry everything, in the order in which they must be sent.

    `late_file` names the file of late rows. `offsets` is moved on behind the lines. Flags that
    must come last are in the last request.
    """
    requests = [Request(preempting=outgoing.preempting)]
    room = limit_bytes

    def place(name: str, offset: int, lines: list[str]) -> None:
        nonlocal room
        if name in requests[-1].files:  # another block of the same file
            requests.append(Request())
            room = limit_bytes
        at = 0
        while at < len(lines):
            taken, size = _fitting(lines, at, room)
            if taken == 0 and (requests[-1].files or requests[-1].preempting):
                requests.append(Request())
                room = limit_bytes
                continue
            if taken == 0:  # a line above the limit travels alone
                taken, size = 1, limit_bytes
            requests[-1].files[name] = (offset + at, lines[at : at + taken])
            at += taken
            room = max(0, room - size)
            if at < len(lines):
                requests.append(Request())
                room = limit_bytes

    place(HISTORY_FILE, offsets.history, outgoing.history)
    place(EVENTS_FILE, offsets.events, outgoing.events)
    for start, lines in blocks_of(outgoing.late):
        place(late_file, start, lines)
    if outgoing.summary is not None:
        place(SUMMARY_FILE, 0, [outgoing.summary])
    for start, lines in blocks_of(outgoing.console):
        place(CONSOLE_FILE, offsets.console_base + start, lines)
    offsets.history += len(outgoing.history)
    offsets.events += len(outgoing.events)
    last = requests[-1]
    last.uploaded = outgoing.uploaded
    last.complete = outgoing.complete
    last.exit_code = outgoing.exit_code
    return requests


def _fitting(lines: list[str], start: int, room: int) -> tuple[int, int]:
    """Return how many lines from `start` on fit into the room, and their size.

    Sizes are counted in characters: exact for JSON of plain keys and numbers.
    """
    size = (
        sum(map(len, lines)) if start == 0 else sum(len(lines[i]) for i in range(start, len(lines)))
    )
    if size <= room:
        return len(lines) - start, size
    size = 0
    for at in range(start, len(lines)):
        if size + len(lines[at]) > room:
            return at - start, size
        size += len(lines[at])
    return len(lines) - start, size


def drop_long_lines(outgoing: Outgoing, limit_bytes: int) -> int:
    """Remove lines above the limit of the protocol; return how many.

    Done before offsets are given, so that a replay gives the same ones.
    """
    dropped = 0
    for lines in (outgoing.history, outgoing.events):
        if max(map(len, lines), default=0) * 4 <= limit_bytes:  # at most 4 bytes a character
            continue
        kept = [line for line in lines if _byte_length(line) <= limit_bytes]
        dropped += len(lines) - len(kept)
        lines[:] = kept
    if outgoing.summary is not None and _byte_length(outgoing.summary) > limit_bytes:
        outgoing.summary = None
        dropped += 1
    return dropped


def _byte_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
