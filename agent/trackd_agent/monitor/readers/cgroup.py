"""The cgroup (version 2) of a process: its limits, and what it uses now.

Only the leaf is read, as in the W&B client: a parent's usage includes siblings. Limits are read
once, when a subject is first seen; a limit that is raised later counts for later subjects.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A cgroup that limits memory or CPU, and its limits."""

    folder: Path
    memory_limit_bytes: int  # 0: none
    cpu_limit: float  # CPUs; 0: none


class CgroupReader:
    """Finds and reads cgroups."""

    def __init__(self, proc_root: Path) -> None:
        self._proc = proc_root

    def find(self, pid: int) -> Cgroup | None:
        """Return the cgroup that limits a process, None where nothing limits it."""
        process = self._proc / str(pid)
        membership, mounts = read_text(process / "cgroup"), read_text(process / "mountinfo")
        folder = parse_leaf(membership or "", mounts or "")
        if folder is None:
            return None
        memory = parse_memory_max(read_text(folder / "memory.max") or "max")
        cpu = parse_cpu_max(read_text(folder / "cpu.max") or "max 100000")
        return Cgroup(folder, memory, cpu) if memory or cpu else None

    def memory_bytes(self, cgroup: Cgroup) -> int | None:
        """Return what the cgroup uses now, page cache included; None if it is gone."""
        text = read_text(cgroup.folder / "memory.current")
        return int(text) if text else None

    def counters(self, cgroup: Cgroup, file_name: str) -> dict[str, int]:
        """Return a flat-keyed file (`cpu.stat`, `memory.events`), empty if it is gone."""
        return parse_flat_keyed(read_text(cgroup.folder / file_name) or "")


def read_text(path: Path) -> str | None:
    """Return a small file's text, None where it is missing or may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def parse_leaf(membership: str, mounts: str) -> Path | None:
    """Return the folder of a process's cgroup from its `cgroup` and `mountinfo` files."""
    leaf = next((line[3:] for line in membership.splitlines() if line.startswith("0::")), None)
    if leaf is None or ".." in PurePosixPath(leaf).parts:
        return None  # no version 2, or seen from inside another cgroup namespace
    for line in mounts.splitlines():
        fields, separator, kind = line.partition(" - ")
        if not separator or not kind.startswith("cgroup2 "):
            continue
        root, mount_point = (_unescape(field) for field in fields.split(" ")[3:5])
        path = PurePosixPath(leaf)
        if path.is_relative_to(root):
            return Path(mount_point) / path.relative_to(root)
    return None


def parse_memory_max(text: str) -> int:
    """Return the limit of `memory.max` in bytes, 0 for none."""
    return 0 if text.strip() == "max" else int(text)


def parse_cpu_max(text: str) -> float:
    """Return the limit of `cpu.max` (`<quota|max> <period>`) in CPUs, 0 for none."""
    quota, period = text.split()
    return 0.0 if quota == "max" else int(quota) / int(period)


def parse_flat_keyed(text: str) -> dict[str, int]:
    """Return the numbers of a file with one `name number` a line."""
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}


def _unescape(field: str) -> str:
    """Return a field of `mountinfo` as it was: blanks are written in octal there."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field
