"""Files that the agent itself writes into a run's files folder."""

from __future__ import annotations

import json
import math
import platform
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

    from trackd_proto.records import Start

CONFIG_FILE = "config.yaml"
SUMMARY_FILE = "wandb-summary.json"
METADATA_FILE = "wandb-metadata.json"

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*\Z")
_YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_BAD_IN_FILE_NAME = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


def console_file_name(label: str) -> str:
    """Return the name of a writer's console file."""
    return f"output_{_BAD_IN_FILE_NAME.sub('_', label)}.log" if label else "output.log"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.trackd")
    temporary.write_bytes(content)
    temporary.replace(path)


def metadata_of(start: Start) -> bytes:
    """Return the content of `wandb-metadata.json`."""
    facts: dict[str, object] = {
        "os": platform.platform(),
        "python": f"CPython {start.python_version}",
        "startedAt": datetime.fromtimestamp(start.time_s, UTC).isoformat().replace("+00:00", "Z"),
        "program": start.program,
        "host": start.host,
        "cliVersion": start.sdk_version,
        "writerId": start.label or start.run_id,
    }
    return json.dumps(facts, indent=2).encode()


def yaml_of(value: dict[str, Any]) -> bytes:
    """Return a mapping as YAML: block style for mappings and lists, JSON for the rest."""
    return ("\n".join(_yaml_lines(value, "")) + "\n").encode("utf-8", "replace")


def _yaml_lines(value: object, indent: str) -> list[str]:
    lines: list[str] = []
    if isinstance(value, dict):
        for key, child in sorted(cast("dict[str, object]", value).items()):
            lines += _yaml_entry(f"{indent}{_yaml_key(key)}:", child, indent)
    elif isinstance(value, list):
        for child in cast("list[object]", value):
            lines += _yaml_entry(f"{indent}-", child, indent)
    return lines


def _yaml_entry(head: str, child: object, indent: str) -> list[str]:
    if isinstance(child, dict | list) and child:
        return [head, *_yaml_lines(cast("object", child), indent + "    ")]
    if isinstance(child, float) and math.isnan(child):
        return [f"{head} .nan"]
    if child in (float("inf"), float("-inf")):
        return [f"{head} {'' if child == float('inf') else '-'}.inf"]
    return [f"{head} {json.dumps(child, ensure_ascii=False, default=str)}"]


def _yaml_key(key: str) -> str:
    plain = _PLAIN_KEY.match(key) and key.lower() not in _YAML_WORDS
    return key if plain else json.dumps(key, ensure_ascii=False)


class LogPosition(msgspec.Struct, array_like=True):
    """Up to where a console file is final, and the lines behind that may still change."""

    lines: int = 0
    size_bytes: int = 0
    open: dict[int, str] = msgspec.field(default_factory=dict[int, str])


#: Lines that the console emulation may still change, with room.
_WINDOW_LINES = 64


class ConsoleFile:
    """The text of a writer's console as a file, edited lines included.

    Blocking. After a crash it goes on from a position in a checkpoint: what came behind is
    written again.
    """

    def __init__(self, path: Path, position: LogPosition | None = None) -> None:
        self.path = path
        self.position = position or LogPosition()

    @property
    def is_empty(self) -> bool:
        """Whether no line was ever written."""
        return not (self.position.lines or self.position.open)

    def update(self, edits: dict[int, str]) -> None:
        """Take edited lines (texts of the file stream, by line number) and write them.

        Raises:
            OSError: the file cannot be written.
        """
        position = self.position
        for number, line in edits.items():
            if number >= position.lines:
                position.open[number] = _content_of(line)
        last = max(position.open, default=position.lines - 1)
        final = max(position.lines, last + 1 - _WINDOW_LINES)
        closed = "".join(
            position.open.pop(n, "") + "\n" for n in range(position.lines, final)
        ).encode("utf-8", "replace")
        shown = "".join(position.open.get(n, "") + "\n" for n in range(final, last + 1))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("r+b" if self.path.exists() else "w+b") as file:
            file.seek(position.size_bytes)
            file.write(closed + shown.encode("utf-8", "replace"))
            file.truncate()
        position.size_bytes += len(closed)
        position.lines = final


class _ConsoleLine(msgspec.Struct):
    content: str = ""


_decode_line = msgspec.json.Decoder(_ConsoleLine).decode


def _content_of(line: str) -> str:
    try:
        return _decode_line(line).content
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return line
