"""Downloaded artifacts compared with their manifest."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from trackd.artifacts.hashing import digest_file
from trackd.artifacts.notices import warn
from trackd.artifacts.paths import logical_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.manifest import ManifestEntry

_HASH_THREADS = 8


def remove_foreign(artifact: Artifact, root: Path) -> None:
    """Remove files below a folder that are not in an artifact; folders stay.

    Raises:
        OSError: one cannot be removed.
        CommError: the manifest cannot be read.
    """
    for path in foreign_files(artifact, root):
        path.unlink()


def verify(artifact: Artifact, root: Path) -> None:
    """Check that a folder holds the files of an artifact and no others.

    Raises:
        ValueError: a file is foreign, a folder, or has other contents.
        FileNotFoundError: a file is missing.
        CommError: the manifest cannot be read.
    """
    foreign = next(foreign_files(artifact, root), None)
    if foreign is not None:
        raise ValueError(f"verify(): {foreign} is not in artifact {artifact.name}")
    entries = artifact.manifest.entries.values()
    files = [entry for entry in entries if entry.ref is None]

    def check(entry: ManifestEntry) -> None:
        path = root / logical_path(entry.path)
        if path.is_dir():
            raise ValueError(f"verify(): {entry.path!r} is a folder, not a file")
        found = digest_file(path, entry.file_algorithm)
        if found.digest != entry.digest:
            raise ValueError(
                f"verify(): {entry.path!r} has digest {found.digest}, and {entry.digest} in "
                f"artifact {artifact.name}"
            )

    pool = ThreadPoolExecutor(_HASH_THREADS)
    try:
        for _ in pool.map(check, files):
            pass
    finally:
        pool.shutdown(cancel_futures=True)
    if references := len(entries) - len(files):
        warn(f"verify(): {references} references of {artifact.name} are not checked")


def foreign_files(artifact: Artifact, root: Path) -> Iterator[Path]:
    """Yield the files below a folder that are not in an artifact."""
    entries = artifact.manifest
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if entries.get_entry_by_path(path.relative_to(root).as_posix()) is None:
                yield path
