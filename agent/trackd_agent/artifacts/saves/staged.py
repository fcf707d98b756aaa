"""What was handed over with a record: removed when its save has ended."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from trackd_agent.artifacts.saves.order import MD5_SUFFIX

if TYPE_CHECKING:
    from trackd_agent.artifacts.saves.order import SaveOrder

#: Folder in the run folder with one folder for each record (see `trackd.artifacts.records`).
_FOLDER = "artifacts"
_ENTRIES_SUFFIX = ".entries"


def remove(order: SaveOrder) -> None:
    """Delete the copies that belong to a record, and its list of entries.

    Files with absolute paths are the user's own: they are never touched.
    """
    if order.keeps_files:
        return
    root = Path(order.run_dir)
    for label in _labels(order):
        shutil.rmtree(root / _FOLDER / label, ignore_errors=True)
    if order.record.entries_file:
        for suffix in ("", MD5_SUFFIX):
            (root / (order.record.entries_file + suffix)).unlink(missing_ok=True)


def _labels(order: SaveOrder) -> set[str]:
    if order.record.entries_file:
        return {PurePosixPath(order.record.entries_file).name.removesuffix(_ENTRIES_SUFFIX)}
    labels: set[str] = set()
    for entry in order.record.entries:
        parts = PurePosixPath(entry.local_path or "").parts
        if len(parts) > 2 and parts[0] == _FOLDER and ".." not in parts:
            labels.add(parts[1])
    return labels
