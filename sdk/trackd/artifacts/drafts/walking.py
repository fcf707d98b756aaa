"""The files below a folder, as artifacts see them: without the folders of our own.

A run folder holds the files of earlier artifacts, and may hold staged copies: an artifact of the
folder in which a script runs would contain all artifacts before it. The data directory holds keys.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from trackd.artifacts.drafts.staging import staging_root
from trackd_proto import layout
from trackd_proto.layout import RUN_FACTS

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What lies beside run folders and leads into the latest one.
_LATEST_RUN = "latest-run"
_LINKS_TO_RUNS = frozenset({_LATEST_RUN, "debug.log", "debug-internal.log"})


def files_below(root: str | os.PathLike[str], *, follow_links: bool) -> Iterator[Path]:
    """Yield the files below a folder; see `paths_below`."""
    return map(Path, paths_below(root, follow_links=follow_links))


def paths_below(root: str | os.PathLike[str], *, follow_links: bool) -> Iterator[str]:
    """Yield the files below a folder as texts that begin with it; hidden ones, too.

    Args:
        root: the folder; it may be a run folder itself.
        follow_links: go into folders that are links.
    """
    own = {str(staging_root()), str(layout.data_dir().absolute())}
    for folder, inner, files in os.walk(root, followlinks=follow_links):
        links = _LINKS_TO_RUNS if _LATEST_RUN in (*inner, *files) else frozenset[str]()
        inner[:] = [name for name in inner if not _is_ours(Path(folder, name), own)]
        yield from (f"{folder}/{name}" for name in files if name not in links)


def _is_ours(folder: Path, own: set[str]) -> bool:
    return (folder / RUN_FACTS).exists() or str(folder.absolute()) in own
