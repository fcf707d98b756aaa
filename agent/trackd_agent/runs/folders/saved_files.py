"""The files of a run as its document lists them: the files folder and what was announced."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from trackd_agent.transfer import is_safe_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

#: Files that the recorder itself makes, and the console files.
_OWN_FILES = re.compile(
    r"requirements\.txt|wandb-metadata\.json|wandb-summary\.json|config\.yaml"
    r"|conda-environment\.yaml|diff[^/]*\.patch|output(_[^/]*)?\.log|logs/output[^/]*\.log"
)
#: Larger JSON files are listed without their content.
MAX_JSON_BYTES = 64 * 1024


def list_files(files_dir: Path | None, policies: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return one entry a file, sorted by name.

    Args:
        files_dir: the run's files folder, where there is one.
        policies: policy of each announced file, by name.
    """
    names = set(policies)
    if files_dir is not None and files_dir.is_dir():
        names.update(_walk(files_dir))
    return [
        _describe(files_dir, name, policies.get(name))
        for name in sorted(names)
        if not _OWN_FILES.fullmatch(name)
    ]


def _walk(files_dir: Path) -> Iterator[str]:
    """Yield the names of files; a link to a folder counts as one entry, not as its content."""
    pending = [files_dir]
    while pending:
        for path in pending.pop().iterdir():
            if path.is_dir() and not path.is_symlink():
                pending.append(path)
            else:
                yield path.relative_to(files_dir).as_posix()


def _describe(files_dir: Path | None, name: str, policy: str | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "size": None, "md5": None, "policy": policy}
    path = files_dir / name if files_dir and is_safe_name(name) else None
    try:
        if path is None or not path.is_file():
            return entry
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
            entry["size"], entry["md5"] = file.tell(), digest.hexdigest()
            if name.endswith(".json") and entry["size"] <= MAX_JSON_BYTES:
                file.seek(0)
                entry["json"] = json.loads(file.read())
    except (OSError, ValueError):
        pass  # gone or unreadable meanwhile, or no JSON after all: listed with what is known
    return entry
