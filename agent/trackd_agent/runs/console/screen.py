"""The console of a writer that asked for the whole emulation (`wrap_emu`, `redirect`).

A screen of 100 rows for each stream, with the cursor moves, erasures and colours that progress
bars and full-screen output use. Colours are kept as escape sequences at the places where they
change; other control sequences leave no trace. Lines are numbered as by `Console`.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from trackd_agent.runs.console.lines import encode_line
from trackd_proto.records import LOG_LINES

if TYPE_CHECKING:
    from trackd_proto.records import ConsoleOutput

_ROWS = 100
#: Lines that stay within reach: those of the two screens lie among each other.
_KEPT_LINES = 128
_MAX_COLUMN = 8 * 1024
_STDERR = 2
_PIECE = re.compile(
    r"\x1b\[(?P<parameters>[0-9;:?<=>]{0,256})[ -/]*(?P<command>[@-~])"  # control sequence
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # operating system command, such as a title
    r"|\x1b[()*+][A-Za-z0-9]|\x1b[^\[\]()*+]"  # other escapes
    r"|(?P<control>[\x00-\x08\x0a-\x1f\x7f-\x9f])"
    r"|(?P<text>[^\x00-\x08\x0a-\x1f\x7f-\x9f]+)"
)
#: The beginning of a sequence that the next text may complete.
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;:?<=>]*[ -/]*|\][^\x07\x1b]*\x1b?|[()*+])?\Z")
_MAX_UNFINISHED = 4096
_COLOURS = frozenset([*range(30, 38), *range(90, 98)])
_BACKGROUNDS = frozenset([*range(40, 48), *range(100, 108)])
#: What switches an attribute off, by what switches it on.
_OFF = {1: 22, 2: 22, 3: 23, 4: 24, 5: 25, 7: 27, 8: 28, 9: 29}


class Style(NamedTuple):
    """How characters look; the codes of the control sequence `m`."""

    colour: str = ""
    background: str = ""
    attributes: tuple[int, ...] = ()

    def with_codes(self, parameters: str) -> Style:
        """Return the style after a control sequence."""
        style = self
        codes = [int(code) if code.isdigit() else 0 for code in re.split("[;:]", parameters)]
        while codes:
            code = codes.pop(0)
            if code in (38, 48):  # a colour of a palette (5;n), or of three parts (2;r;g;b)
                count = {5: 2, 2: 4}.get(codes[0] if codes else -1, len(codes))
                wide = ";".join(map(str, [code, *codes[:count]]))
                del codes[:count]
                style = style._replace(**{"colour" if code == 38 else "background": wide})
            else:
                style = style.with_code(code)
        return style

    def with_code(self, code: int) -> Style:
        """Return the style after one code."""
        if code == 0:
            return Style()
        if code in _COLOURS or code == 39:
            return self._replace(colour=str(code) if code in _COLOURS else "")
        if code in _BACKGROUNDS or code == 49:
            return self._replace(background=str(code) if code in _BACKGROUNDS else "")
        if code in _OFF:
            return self._replace(attributes=tuple(sorted({*self.attributes, code})))
        kept = tuple(on for on in self.attributes if _OFF[on] != code)
        return self._replace(attributes=kept)

    def change_from(self, before: Style) -> str:
        """Return the sequences that turn a style into this one."""
        codes: list[str] = []
        if self.colour != before.colour:
            codes.append(self.colour or "39")
        if self.background != before.background:
            codes.append(self.background or "49")
        codes += sorted({str(_OFF[on]) for on in before.attributes if on not in self.attributes})
        codes += [str(on) for on in self.attributes if on not in before.attributes]
        return "".join(f"\x1b[{code}m" for code in codes)


_PLAIN = Style()


class ScreenLine(msgspec.Struct, array_like=True):
    """One console line, a cell a character."""

    number: int
    stderr: bool
    time_s: float
    text: str = ""
    #: One a character; empty while all are plain, which nearly all lines are.
    styles: list[Style] = msgspec.field(default_factory=list[Style])

    def put(self, text: str, column: int, style: Style) -> None:
        """Write at a column."""
        before = self.text.ljust(column)
        end = column + len(text)
        self.text = before[:column] + text + before[end:]
        if self.styles or style != _PLAIN:
            self.styles += [_PLAIN] * (len(before) - len(self.styles))
            self.styles[column:end] = [style] * len(text)

    def erase(self, start: int, end: int | None = None) -> None:
        """Make cells blank."""
        last = len(self.text) if end is None else min(end, len(self.text))
        if start < last:
            self.put(" " * (last - start), start, _PLAIN)

    @property
    def shown(self) -> str:
        """The text with its colours, without blanks at the end."""
        if not self.styles:
            return self.text.rstrip(" ")
        cells = list(zip(self.text, self.styles, strict=True))
        while cells and cells[-1] == (" ", _PLAIN):
            cells.pop()
        before, parts = _PLAIN, list[str]()
        for style, group in groupby(cells, lambda cell: cell[1]):
            parts += [style.change_from(before), *(character for character, _ in group)]
            before = style
        return "".join(parts)


class _Screen(msgspec.Struct, array_like=True):
    """Cursor and window of one stream; the window holds line numbers."""

    row: int = 0
    column: int = 0
    window: list[int] = msgspec.field(default_factory=list[int])
    style: Style = _PLAIN
    escape: str = ""

    def move(self, rows: int, columns: int = 0) -> None:
        """Move the cursor; at the bottom the window scrolls."""
        self.row = max(0, self.row + rows)
        if (over := self.row - _ROWS + 1) > 0:
            del self.window[:over]
            self.row -= over
        self.column = min(_MAX_COLUMN, max(0, self.column + columns))


class ScreenConsole:
    """Turns raw output into numbered lines; see `Console` for the other emulation."""

    def __init__(self, label: str) -> None:
        self.line_count = 0
        self._label = label
        self._screens = (_Screen(), _Screen())
        self._lines: dict[int, ScreenLine] = {}
        self._changed: dict[int, ScreenLine] = {}

    def write(self, record: ConsoleOutput) -> int:
        """Take raw text; return about how many bytes of lines it changed."""
        if record.stream == LOG_LINES:
            for text in record.text.removesuffix("\n").split("\n"):
                self._add_line(record.time_s, stderr=False).put(text, 0, _PLAIN)
            return len(record.text)
        stderr = record.stream == _STDERR
        screen = self._screens[stderr]
        text = screen.escape + record.text
        unfinished = _UNFINISHED.search(text, max(0, len(text) - _MAX_UNFINISHED))
        screen.escape = unfinished.group() if unfinished else ""
        for piece in _PIECE.finditer(text[: len(text) - len(screen.escape)]):
            if plain := piece["text"]:
                self._put(screen, plain, record.time_s, stderr=stderr)
            elif control := piece["control"]:
                _apply_control(screen, control)
            elif command := piece["command"]:
                self._apply(screen, command, piece["parameters"])
        return len(text)

    def _put(self, screen: _Screen, text: str, time_s: float, *, stderr: bool) -> None:
        while screen.row >= len(screen.window):
            screen.window.append(self._add_line(time_s, stderr=stderr).number)
        text = text[: max(0, _MAX_COLUMN - screen.column)]
        if text and (line := self._touch(screen, screen.row)):
            line.put(text, screen.column, screen.style)
        screen.column += len(text)

    def _add_line(self, time_s: float, *, stderr: bool) -> ScreenLine:
        number = self.line_count
        self.line_count += 1
        line = self._lines[number] = self._changed[number] = ScreenLine(number, stderr, time_s)
        self._lines.pop(number - _KEPT_LINES, None)
        return line

    def _touch(self, screen: _Screen, row: int) -> ScreenLine | None:
        """Return the line of a row, marked as changed; None where it is out of reach."""
        if row >= len(screen.window):
            return None
        line = self._lines.get(screen.window[row])
        if line is not None:
            self._changed[line.number] = line
        return line

    def _apply(self, screen: _Screen, command: str, parameters: str) -> None:
        """Apply one control sequence."""
        if command == "m":
            screen.style = screen.style.with_codes(parameters)
            return
        numbers = [int(n) if n.isdigit() else 0 for n in parameters.split(";")]
        if command == "J":
            self._erase_screen(screen, numbers[0])
        elif command == "K":
            self._erase_line(screen, screen.row, numbers[0])
        else:
            _move_cursor(screen, command, [min(max(1, n), _MAX_COLUMN) for n in numbers])

    def _erase_line(self, screen: _Screen, row: int, mode: int) -> None:
        if line := self._touch(screen, row):
            start = screen.column if mode == 0 else 0
            line.erase(start, screen.column + 1 if mode == 1 else None)

    def _erase_screen(self, screen: _Screen, mode: int) -> None:
        if mode in (0, 1):
            self._erase_line(screen, screen.row, mode)
        rows = {0: range(screen.row + 1, _ROWS), 1: range(screen.row)}.get(mode, range(_ROWS))
        for row in rows:
            if line := self._touch(screen, row):
                line.erase(0)

    def take(self) -> dict[int, str]:
        """Return the lines changed since the last call, encoded, by number."""
        changed, self._changed = self._changed, {}
        return {n: encode_line(changed[n], self._label) for n in sorted(changed)}

    def to_state(self) -> list[Any]:
        """Return what `from_state` needs."""
        return [self.line_count, self._label, self._screens, self._lines, self._changed]

    @classmethod
    def from_state(cls, state: list[Any]) -> ScreenConsole:
        """Return the console as it was."""
        made = cls(state[1])
        made.line_count = state[0]
        made._screens = msgspec.convert(state[2], tuple[_Screen, _Screen])
        made._lines = msgspec.convert(state[3], dict[int, ScreenLine])
        changed = msgspec.convert(state[4], dict[int, ScreenLine])
        made._changed = {n: made._lines.get(n, line) for n, line in changed.items()}
        return made


def _move_cursor(screen: _Screen, command: str, numbers: list[int]) -> None:
    """Apply a control sequence that moves the cursor; others leave no trace."""
    count = numbers[0]
    match command:
        case "A" | "F":
            screen.move(-count)
        case "B" | "E":
            screen.move(count)
        case "C":
            screen.move(0, count)
        case "D":
            screen.move(0, -count)
        case "G":
            screen.column = count - 1
        case "H" | "f":
            screen.row = min(count, _ROWS) - 1
            screen.column = numbers[1] - 1 if numbers[1:] else 0
        case _:
            return
    if command in "EF":
        screen.column = 0


def _apply_control(screen: _Screen, control: str) -> None:
    """Apply one control character; others than these leave no trace."""
    match control:
        case "\n":
            screen.move(1)
            screen.column = 0
        case "\r":
            screen.column = 0
        case "\b":
            screen.move(0, -1)
        case _:
            pass
