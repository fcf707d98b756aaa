"""The files below a folder, as artifacts see them: without the folders of our own runs.

A run folder holds the files of earlier artifacts, and may hold staged copies: an artifact of the
folder in which a script runs would contain all artifacts before it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from trackd.artifacts.staging import staging_root
from trackd_proto.layout import RUN_FACTS

if TYPE_CHECKING:
    from collections.abc import Iterator


def files_below(root: str | os.PathLike[str], *, follow_links: bool) -> Iterator[Path]:
    """Yield the files below a folder; hidden ones, too.

    Args:
        root: the folder; it may be a run folder itself.
        follow_links: go into folders that are links.
    """
    staging = staging_root()
    for folder, inner, files in os.walk(root, followlinks=follow_links):
        inner[:] = [name for name in inner if not _is_ours(Path(folder, name), staging)]
        for name in files:
            yield Path(folder, name)


def _is_ours(folder: Path, staging: Path) -> bool:
    return (folder / RUN_FACTS).exists() or folder.absolute() == staging
