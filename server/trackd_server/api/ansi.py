"""Colours of console lines: what a terminal would show of their escape sequences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: An escape sequence: parameters and the letter of a CSI one, an OSC one, or any other.
_ESCAPE = re.compile(
    r"\x1b(?:\[(?P<codes>[0-9;:]*)(?P<final>[ -/]*[@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[^\[\]])"
)
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yield (classes of style, text) of a line; sequences that are no colours are left out."""
    colour, bold, start = "", "", 0
    for found in _ESCAPE.finditer(text):
        if text[start : found.start()]:
            yield f"{colour} {bold}".strip(), text[start : found.start()]
        start = found.end()
        if found["final"] == "m":
            colour, bold = _styled(found["codes"], colour, bold)
    if text[start:]:
        yield f"{colour} {bold}".strip(), text[start:]


def _styled(codes: str, colour: str, bold: str) -> tuple[str, str]:
    for code in (int(code or 0) for code in codes.split(";") if len(code) < 4 and ":" not in code):
        if code in (38, 48):  # 256 colours and more: what follows are its parameters
            return "", bold
        if code in (0, 39):
            colour = ""
        elif 30 <= code <= 37 or 90 <= code <= 97:
            colour = f"ansi-{_COLOURS[code % 10]}"
        bold = "ansi-bold" if code == 1 else "" if code in (0, 22) else bold
    return colour, bold
