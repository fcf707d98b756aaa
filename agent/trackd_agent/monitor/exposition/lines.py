"""One line of an exposition: pure functions of its bytes.

Read generously, for exporters are written by hand: blanks and tabs between any two tokens, labels
with any number of commas or none, values with bytes that are no UTF-8, names of any characters
but blanks, braces and quotes, and quoted names (`{"a.name", label="x"} 1`, of formats that allow
UTF-8). What follows the value, a timestamp or an exemplar, is not looked at.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: Longer lines are not looked at: no metric is that long, and a body without line ends is none.
MAX_LINE_BYTES = 64 * 1024

# Possessive throughout (`*+`): a line that does not match fails in linear time, hostile or not.
_QUOTED = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_PAIR = rb'(?:[^\s={},"]++|' + _QUOTED + rb")[ \t]*+=[ \t]*+" + _QUOTED
_ITEM = rb"(?>" + _PAIR + rb"|" + _QUOTED + rb")[ \t,]*+"
_SAMPLE = re.compile(
    rb"([ \t]*+([^\s{}\"#][^\s{}\"]*+)?+[ \t]*+(?:\{[ \t,]*+((?:" + _ITEM + rb")*+)\})?+)"
    rb"[ \t]*+([^\s{]\S*+)"
)
_ITEMS = re.compile(
    rb'(?:([^\s={},"]++)|(' + _QUOTED + rb"))(?:[ \t]*+=[ \t]*+(" + _QUOTED + rb"))?+"
)
_PLAIN_PAIR = re.compile(r'([^\s={},"]++)[ \t]*+=[ \t]*+"([^"]*+)"')
_TYPE = re.compile(rb'[ \t]*+#[ \t]+TYPE[ \t]+([^\s"]+|' + _QUOTED + rb")[ \t]+(\S+)[ \t]*\r?$")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", '"': '"', "\\": "\\"}


class Line(NamedTuple):
    """A sample: what it is called, and where its value stands."""

    head: bytes  # as written, up to the value
    name: str
    labels: bytes  # as written, between the braces
    value: bytes


def parse_sample(line: bytes) -> Line | None:
    """Return the parts of a sample's line, None where it is no sample.

    The head ends with the last character before the blanks before the value.
    """
    if len(line) > MAX_LINE_BYTES or not (match := _SAMPLE.match(line)):
        return None
    head, plain_name, labels, value = match.groups(b"")
    name = _text(plain_name) or _quoted_name(labels)
    return Line(head.rstrip(b" \t"), name, labels, value) if name else None


def plain_head(line: bytes) -> tuple[bytes, str] | None:
    """Return head and name of a line without timestamp or exemplar, which may yet be no sample.

    None where it cannot be told without reading the line.
    """
    head, _, _ = line.rpartition(b" ")
    name, brace, _ = head.partition(b"{")
    if not name or b" " in name or (brace and (not head.endswith(b"}") or b" # {" in head)):
        return None
    return head, _text(name)


def parse_labels(labels: bytes) -> dict[str, str]:
    """Return label values by name from the text between the braces of a sample."""
    if not (b"\\" in labels or labels.startswith(b'"') or b',"' in labels or b', "' in labels):
        return dict(_PLAIN_PAIR.findall(_text(labels)))
    return {
        _unquote(quoted) if quoted else _text(plain): _unquote(value)
        for plain, quoted, value in _ITEMS.findall(labels)
        if value
    }


def parse_value(text: bytes) -> float | None:
    """Return the number of a sample, infinities and NaN as such, None where it is no number."""
    if b"_" in text:  # Python's way of writing numbers, nobody else's
        return None
    try:
        return float(text)
    except ValueError:
        return None


def is_comment(line: bytes) -> bool:
    """Return whether a line is a comment, as `# TYPE` lines are; blanks may come first."""
    return line.lstrip(b" \t").startswith(b"#")


def parse_type(line: bytes) -> tuple[str, str] | None:
    """Return metric and type of a `# TYPE` line, None for other comments."""
    if len(line) > MAX_LINE_BYTES or not (match := _TYPE.match(line)):
        return None
    name, kind = match.groups()
    return _unquote(name) if name.startswith(b'"') else _text(name), _text(kind)


def _text(written: bytes) -> str:
    """Return text; bytes that are no UTF-8 are replaced, as the W&B client does."""
    return written.decode(errors="replace")


def _quoted_name(labels: bytes) -> str:
    for _, quoted, value in _ITEMS.findall(labels):
        if quoted and not value:
            return _unquote(quoted)
    return ""


def _unquote(quoted: bytes) -> str:
    text = _text(quoted[1:-1])
    if "\\" not in text:
        return text
    # An escape that the formats do not know stands for itself.
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[0]), text)
