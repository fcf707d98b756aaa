"""The console of a writer: what a terminal of 32 rows would show of stdout and stderr.

Two terminals share one list of lines. A line gets its number when its first character
arrives; the last 32 of them can still change. Understood are line feed, carriage return and
`ESC [ A`/`ESC [ B` (up, down); every other escape is printed as it is, colours included.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from trackd_proto.records import LOG_LINES

if TYPE_CHECKING:
    from trackd_proto.records import ConsoleOutput

_ROWS = 32
_MAX_LINE_CHARS = 4096
_STDERR = 2
_PIECE = re.compile(r"\n|\r|\x1b\[[AB]|(?:[^\n\r\x1b]|\x1b(?!\[[AB]))+")
#: Beginnings of an escape sequence that the next text may complete.
_UNFINISHED = ("\x1b", "\x1b[")


class Line(msgspec.Struct, array_like=True):
    """One console line."""

    number: int
    stderr: bool
    time_s: float
    text: str = ""
    #: Text as last reported; a blank written over nothing is no change until more follows.
    shown: str = ""

    def put(self, text: str, column: int) -> bool:
        """Write at a column; return whether what is to be reported changed."""
        text = text[: max(0, _MAX_LINE_CHARS - column)]
        if not text:
            return False
        before = self.text
        if column > len(before):
            before += " " * (column - len(before))
        end = column + len(text)
        covered = before[column:end].ljust(len(text))
        self.text = before[:column] + text + before[end:]
        last = _last_difference(covered, text)
        if last < 0:
            return False
        self.shown = self.text[: max(len(before), column + last + 1)]
        return True


def _last_difference(before: str, after: str) -> int:
    """Return the last index at which two texts of one length differ, or -1."""
    if before == after:
        return -1
    if before.isspace():  # the usual case: text is appended
        return len(after.rstrip(" ")) - 1
    return max(i for i, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1])


class _Terminal(msgspec.Struct, array_like=True):
    """Cursor and window of one stream; the window holds line numbers."""

    row: int = 0
    column: int = 0
    window: list[int] = msgspec.field(default_factory=list[int])
    #: Beginning of an escape sequence that the next text may complete.
    escape: str = ""

    def down(self) -> None:
        self.row += 1
        if self.row >= _ROWS:
            del self.window[:1]
            self.row -= 1


class Console:
    """Turns raw output into numbered lines."""

    def __init__(self, label: str) -> None:
        self.line_count = 0
        self._label = label
        self._terminals = (_Terminal(), _Terminal())
        #: Lines that can still change, by number.
        self._lines: dict[int, Line] = {}
        self._changed: dict[int, Line] = {}

    def write(self, record: ConsoleOutput) -> int:
        """Take raw text; return about how many bytes of lines it changed."""
        if record.stream == LOG_LINES:
            self._append(record)
            return len(record.text)
        stderr = record.stream == _STDERR
        terminal = self._terminals[stderr]
        text = terminal.escape + record.text
        terminal.escape = next((end for end in _UNFINISHED if text.endswith(end)), "")
        text = text.removesuffix(terminal.escape)
        for piece in _PIECE.findall(text):
            match piece:
                case "\n":
                    terminal.column = 0
                    terminal.down()
                case "\r":
                    terminal.column = 0
                case "\x1b[A":
                    terminal.row = max(0, terminal.row - 1)
                case "\x1b[B":
                    terminal.down()
                case _:
                    self._put(terminal, piece, record.time_s, stderr=stderr)
        return len(text)

    def _append(self, record: ConsoleOutput) -> None:
        """Add whole lines that never were on a terminal: nothing in them is understood."""
        for text in record.text.removesuffix("\n").split("\n"):
            line = self._lines[self._add_line(record.time_s, stderr=False)]
            line.text = line.shown = text

    def _put(self, terminal: _Terminal, text: str, time_s: float, *, stderr: bool) -> None:
        while terminal.row >= len(terminal.window):
            terminal.window.append(self._add_line(time_s, stderr=stderr))
        number = terminal.window[terminal.row]
        line = self._lines.get(number)
        if line and line.put(text, terminal.column):
            self._changed[number] = line
        terminal.column += len(text)

    def _add_line(self, time_s: float, *, stderr: bool) -> int:
        number = self.line_count
        self.line_count += 1
        self._lines[number] = self._changed[number] = Line(number, stderr, time_s)
        self._lines.pop(number - _ROWS, None)
        return number

    def take(self) -> dict[int, str]:
        """Return the lines changed since the last call, encoded, by number."""
        changed, self._changed = self._changed, {}
        return {number: encode_line(changed[number], self._label) for number in sorted(changed)}

    def to_state(self) -> list[Any]:
        """Return what `from_state` needs."""
        return [self.line_count, self._label, self._terminals, self._lines, self._changed]

    @classmethod
    def from_state(cls, state: list[Any]) -> Console:
        """Return the console as it was."""
        made = cls(state[1])
        made.line_count = state[0]
        made._terminals = msgspec.convert(state[2], tuple[_Terminal, _Terminal])
        made._lines = msgspec.convert(state[3], dict[int, Line])
        changed = msgspec.convert(state[4], dict[int, Line])
        made._changed = {n: made._lines.get(n, line) for n, line in changed.items()}
        return made


class _Shown(Protocol):
    """What a line has to say."""

    @property
    def stderr(self) -> bool: ...
    @property
    def time_s(self) -> float: ...
    @property
    def shown(self) -> str: ...


def encode_line(line: _Shown, label: str) -> str:
    """Return a line in the structured form of the file stream."""
    facts: dict[str, Any] = {"level": "error"} if line.stderr else {}
    stamp = datetime.fromtimestamp(line.time_s, UTC).replace(tzinfo=None)
    facts["ts"] = stamp.isoformat(timespec="microseconds")
    if label:
        facts["label"] = label
    facts["content"] = line.shown
    return msgspec.json.encode(facts).decode()
