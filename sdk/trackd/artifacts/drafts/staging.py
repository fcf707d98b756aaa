"""Copies of added files, from the moment they are added until a run takes them over.

Drafts stage below `$TRACKD_DATA_DIR/artifacts/staging` (or `$WANDB_DATA_DIR/…`) where one of
them is set, else in the folder of the open run, so that what belongs together is on one disk,
else below the data directory. A draft's copies go when it does; those of a process that was killed
go when the agent has all of its run, or another process stages there. A record has links of its own
below its run folder, so it can move, be uploaded and be deleted with the run.
"""

from __future__ import annotations

import os
import shutil
import threading
import weakref
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from trackd_proto import layout, process_folders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackd.artifacts.manifest import ManifestEntry

_VARIABLES = ("TRACKD_DATA_DIR", "WANDB_DATA_DIR")
#: Longest part of a path that file systems take, with room.
_MAX_PART_BYTES = 200
#: Folders of this process by the root that they are in, as long as drafts use them.
_places: weakref.WeakValueDictionary[Path, process_folders.ProcessFolder] = (
    weakref.WeakValueDictionary()
)


def staging_root() -> Path:
    """Return the folder below which drafts stage their files."""
    for variable in _VARIABLES:
        if given := os.environ.get(variable):
            return Path(given).expanduser().absolute() / "artifacts" / "staging"
    from trackd.session import session  # the session knows runs, which know artifacts

    run = session().run
    if run is not None and run.sync_dir:
        return layout.staging_folder(Path(run.sync_dir).absolute())
    return layout.data_dir() / "artifacts" / "staging"


class Staging:
    """The folder of one draft; made when the first file comes, removed with its owner.

    Args:
        owner: whose files these are.
        name: of the folder, unique among drafts.
    """

    def __init__(self, owner: object, name: str) -> None:
        self._name = name
        self._place: process_folders.ProcessFolder | None = None
        self._folder: Path | None = None
        self._numbers = count()
        self._lock = threading.Lock()
        self._owner = weakref.ref(owner)
        self._removal: weakref.finalize[..., object] | None = None

    def new_path(self, name: str = "") -> Path:
        """Return a path for one more file; its folder exists.

        Args:
            name: base name of the file; by default a number.

        Raises:
            OSError: the folder cannot be made.
        """
        with self._lock:
            folder = self._made_folder()
        # With the process, since a forked child goes on with the same numbers.
        number = f"{os.getpid()}-{next(self._numbers)}"
        if not name:
            return folder / number
        own = folder / number
        own.mkdir()
        return own / name

    def owns(self, path: str) -> bool:
        """Tell whether a file was staged here."""
        return self._folder is not None and Path(path).is_relative_to(self._folder)

    def discard(self, path: str | None) -> None:
        """Remove a file that no entry names any more, if it is one of these."""
        if path is not None and self.owns(path):
            Path(path).unlink(missing_ok=True)

    def keep(self) -> None:
        """Leave the files where they are for good: a record names them."""
        if self._removal is not None and self._removal.detach() and self._folder is not None:
            process_folders.keep(self._folder)

    def remove(self) -> None:
        """Remove all files now, unless they are kept.

        Better than to leave it to the finaliser: there Python loses what a signal raises, such
        as the `KeyboardInterrupt` of whoever wants the training to end.
        """
        if self._removal is not None:
            self._removal()

    def _made_folder(self) -> Path:
        if self._folder is None:
            self._place = _place_in(staging_root())
            folder = self._place.path / self._name
            layout.make_private(folder)
            self._folder = folder
            self._removal = weakref.finalize(self._owner(), _remove, folder, os.getpid())
        return self._folder


def _place_in(root: Path) -> process_folders.ProcessFolder:
    place = _places.get(root)
    if place is None or not place.path.exists():  # somebody removed all of it
        place = _places[root] = process_folders.ProcessFolder(root)
    return place


def hand_over(entries: Iterable[ManifestEntry], staging: Staging, target: Path) -> dict[str, Path]:
    """Give a record links of its own to staged files.

    Args:
        entries: of the artifact.
        staging: of its draft.
        target: an empty folder in the run folder.

    Returns:
        Path of each file in `target`, by path in the artifact.

    Raises:
        OSError: a file can neither be linked nor copied; then `target` does not exist.
    """
    try:
        return _hand_over(entries, staging, target)
    except OSError:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _hand_over(entries: Iterable[ManifestEntry], staging: Staging, target: Path) -> dict[str, Path]:
    handed: dict[str, Path] = {}
    made: set[Path] = set()
    for number, entry in enumerate(entries):
        if entry.local_path is None or not staging.owns(entry.local_path):
            continue
        link = target / (entry.path if _fits(entry.path) else f"_{number}")
        if link.parent not in made:
            link.parent.mkdir(parents=True, exist_ok=True)
            made.add(link.parent)
        _link(Path(entry.local_path), link)
        handed[entry.path] = link
    return handed


def _fits(path: str) -> bool:
    """Tell whether a path inside an artifact may be one of a file system."""
    return "\0" not in path and all(
        len(os.fsencode(part)) <= _MAX_PART_BYTES for part in path.split("/")
    )


def _link(source: Path, link: Path) -> None:
    try:
        link.hardlink_to(source)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, link)


def _remove(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # not in a forked child
        shutil.rmtree(folder, ignore_errors=True)
