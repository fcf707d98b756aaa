"""How deep JSON is nested, counted before it is parsed: the parser's work grows with its square.

A hundred thousand brackets, which are 100 KB, would keep a thread busy for minutes. Of usual text a
few replacements leave nearly nothing to count; they cost a fraction of the parsing.
"""

from __future__ import annotations

import re

#: All bytes but quotes and brackets.
_OTHERS = bytes(set(range(256)) - set(b'"{}[]'))
_STRING = re.compile(rb'"[^"]*"')
#: Pairs of levels that nobody needs to be told of: a manifest has about two.
_FEW = 6


class Nesting:
    """The depth of a text that comes piece by piece."""

    def __init__(self) -> None:
        #: The deepest level so far, or up to twelve less.
        self.deepest = 0
        self._depth = 0
        #: What the last piece ended within: a string, an escaped character.
        self._opened = b""

    def feed(self, piece: bytes) -> None:
        """Take the next bytes."""
        text = self._opened + piece
        is_escaping = (len(text) - len(text.rstrip(b"\\"))) % 2 == 1
        text = text.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _OTHERS)
        text = text.replace(b'""', b"")
        is_in_string = text.count(b'"') % 2 == 1
        self._opened = b'"' * is_in_string + b"\\" * is_escaping
        brackets = _STRING.sub(b"", text + b'"' * is_in_string)
        for _ in range(_FEW):
            brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
        for bracket in brackets:
            self._depth += 1 if bracket in b"{[" else -1
            self.deepest = max(self.deepest, self._depth)
