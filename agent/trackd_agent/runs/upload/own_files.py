"""Files that the agent itself writes into a run's files folder."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG_FILE = "config.yaml"
SUMMARY_FILE = "wandb-summary.json"
METADATA_FILE = "wandb-metadata.json"

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*\Z")
_YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.trackd")
    temporary.write_bytes(content)
    temporary.replace(path)


def metadata_of(environment: Mapping[str, Any]) -> bytes:
    """Return the content of `wandb-metadata.json`."""
    return json.dumps(environment, indent=2).encode()


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
