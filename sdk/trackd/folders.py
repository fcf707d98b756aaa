"""The run folder: where it is made, what is in it, and the links that point to it."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trackd_proto.layout import RunFolderFacts

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_ATTEMPTS = 10_000


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run folder; `files` belongs to the run, `logs` to us."""

    path: Path

    @property
    def files(self) -> Path:
        """Folder of the run's files."""
        return self.path / "files"

    @property
    def logs(self) -> Path:
        """Folder of our logs."""
        return self.path / "logs"

    def make(self) -> None:
        """Create the folder and what is in it."""
        for folder in (self.files, self.logs, self.path / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)


def writable_root(wanted: Path, warn: Callable[[str], None]) -> Path:
    """Return the folder that holds all run folders, made where it was missing.

    Falls back to the temporary directory, with a warning, where it cannot be written.
    """
    reason = _why_not_writable(wanted)
    if not reason:
        return wanted
    import tempfile  # only here: it loads a lot

    fallback = Path(tempfile.gettempdir()) / "trackd"
    if _why_not_writable(fallback):  # that of another user
        fallback = Path(tempfile.mkdtemp(prefix="trackd-"))
    warn(f"cannot write run folders to {wanted} ({reason}); using {fallback}: set TRACKD_ROOT_DIR")
    return fallback


def _why_not_writable(folder: Path) -> str:
    """Return why no folder can be made in one, which is made itself; empty: it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return error.strerror or str(error)
    return "" if os.access(folder, os.W_OK | os.X_OK) else "it is not writable"


def propose(
    root: Path, run_id: str, *, offline: bool, start_time_s: float, suffix: str = ""
) -> RunFolder:
    """Make a new, empty run folder and return it.

    The name tells local time and run id; where it is taken, `-1`, `-2`, … is added.
    """
    stamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(start_time_s))
    name = f"{'offline-' if offline else ''}run-{stamp}-{run_id}{f'-{suffix}' if suffix else ''}"
    for attempt in range(_MAX_ATTEMPTS):
        path = root / (name if not attempt else f"{name}-{attempt}")
        with contextlib.suppress(FileExistsError):
            path.mkdir(parents=True)
            return RunFolder(path)
    raise FileExistsError(f"{root / name} and {_MAX_ATTEMPTS} variants of it exist already")


def establish(folder: RunFolder, facts: RunFolderFacts) -> None:
    """Fill a run folder in use, and let `latest-run` and `debug.log` beside it point to it."""
    folder.make()
    if RunFolderFacts.read(folder.path) is None:
        facts.write(folder.path)
    root = folder.path.parent
    _link(root / "latest-run", folder.path.name)
    _link(root / "debug.log", f"{folder.path.name}/logs/debug.log")


def withdraw(folder: RunFolder) -> None:
    """Remove a proposed folder that another writer's folder made unnecessary."""
    with contextlib.suppress(OSError):
        folder.path.rmdir()


def _link(link: Path, target: str) -> None:
    """Point a symbolic link at a target at once; a file system without links is fine."""
    temporary = link.with_name(f"{link.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)
