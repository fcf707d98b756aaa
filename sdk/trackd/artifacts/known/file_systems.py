"""How far the times of files tell that their bytes are still the same."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MAPPINGS, _MOUNTS = Path("/proc/self/maps"), Path("/proc/self/mountinfo")
#: File systems that tell each change at once.
_OWN_DISKS = ("btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs")
_ESCAPED = re.compile(r"\\([0-7]{3})")


def is_on_own_disk(path: str, mounts: Path = _MOUNTS) -> bool:
    """Tell whether a path is on a file system of this machine that tells each change at once."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return False
    place, best, kind = f"{os.path.realpath(path)}/", "", ""
    for line in lines:
        facts = line.split()
        point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), facts[4]).rstrip("/") + "/"
        if len(point) >= len(best) and place.startswith(point):  # the last one lies on top
            best, kind = point, facts[facts.index("-") + 1]
    return kind in _OWN_DISKS


def mapped_files() -> set[tuple[int, int]] | None:
    """Return device and inode of the files that this process may change in its memory.

    None: the system does not tell.
    """
    try:
        lines = _MAPPINGS.read_bytes().splitlines()
    except OSError:
        return None
    found: set[tuple[int, int]] = set()
    for line in lines:
        mapping = line.split(maxsplit=5)
        if len(mapping) == 6 and mapping[1].startswith(b"rw") and mapping[1].endswith(b"s"):
            try:
                facts = os.stat(mapping[5])  # noqa: PTH116 - any bytes
            except (OSError, ValueError):
                continue  # it has no name any more, or is no file
            found.add((facts.st_dev, facts.st_ino))
    return found
