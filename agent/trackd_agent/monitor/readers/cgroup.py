"""The cgroup of a process: its limits, and what it uses now; version 2, else version 1.

Only the leaf is read, as in the W&B client (which knows version 2 alone): a parent's usage includes
siblings. Limits are read once, when a subject is first seen; a limit that is raised later counts
for later subjects. Formats: the kernel's documentation of cgroup-v1 and cgroup-v2.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

#: From here on a limit of version 1 is none: it says so with the largest number of whole pages.
_NO_LIMIT_BYTES = 2**60
_RESOURCES = ("cpu", "memory", "io")


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A cgroup that limits memory or CPU, and its limits."""

    memory_folder: Path
    cpu_folder: Path  # the same in version 2
    memory_limit_bytes: int  # 0: none
    cpu_limit: float  # CPUs; 0: none
    version: int = 2


class CgroupReader:
    """Finds and reads cgroups."""

    def __init__(self, proc_root: Path) -> None:
        self._proc = proc_root

    def find(self, pid: int) -> Cgroup | None:
        """Return the cgroup that limits a process, None where nothing limits it."""
        membership = read_text(self._proc / str(pid) / "cgroup") or ""
        mounts = self._mounts(pid)
        found = [self._find_2(membership, mounts), self._find_1(membership, mounts)]
        return next((each for each in found if each), None)

    def _mounts(self, pid: int) -> str:
        """Return the mounts by which the files of a process's cgroup are found from here.

        A process in a container has mounts of its own, which mean nothing to us.
        """
        process = self._proc / str(pid)
        try:
            theirs, ours = ((each / "ns" / "mnt").readlink() for each in (process, self._own))
        except OSError:  # not ours to see
            theirs = ours = None
        return read_text((process if theirs == ours else self._own) / "mountinfo") or ""

    @property
    def _own(self) -> Path:
        return self._proc / "self"

    def _find_2(self, membership: str, mounts: str) -> Cgroup | None:
        folder = parse_leaf(membership, mounts)
        if folder is None:
            return None
        memory = parse_memory_max(read_text(folder / "memory.max") or "max")
        cpu = parse_cpu_max(read_text(folder / "cpu.max") or "max 100000")
        return Cgroup(folder, folder, memory, cpu) if memory or cpu else None

    def _find_1(self, membership: str, mounts: str) -> Cgroup | None:
        memory_folder = parse_leaf(membership, mounts, "memory")
        cpu_folder = parse_leaf(membership, mounts, "cpu")
        memory, cpu = 0, 0.0
        if memory_folder:
            memory = parse_memory_max(read_text(memory_folder / "memory.limit_in_bytes") or "")
            memory = 0 if memory >= _NO_LIMIT_BYTES else memory
        if cpu_folder:
            quota = read_text(cpu_folder / "cpu.cfs_quota_us") or ""
            period = read_text(cpu_folder / "cpu.cfs_period_us") or ""
            cpu = parse_cpu_max(f"{quota.strip()} {period.strip()}")
        if not (memory or cpu):
            return None
        nowhere = Path("/nonexistent")
        return Cgroup(memory_folder or nowhere, cpu_folder or nowhere, memory, cpu, version=1)

    def memory_bytes(self, cgroup: Cgroup) -> int | None:
        """Return what the cgroup uses now, page cache included; None if it is gone."""
        name = "memory.current" if cgroup.version == 2 else "memory.usage_in_bytes"
        text = (read_text(cgroup.memory_folder / name) or "").strip()
        return int(text) if text.isdecimal() else None

    def throttling(self, cgroup: Cgroup) -> tuple[int, int] | None:
        """Return in how many periods the cgroup was throttled, and how many there were."""
        found = parse_flat_keyed(read_text(cgroup.cpu_folder / "cpu.stat") or "")
        if "nr_throttled" not in found or "nr_periods" not in found:
            return None
        return found["nr_throttled"], found["nr_periods"]

    def oom_kills(self, cgroup: Cgroup) -> int | None:
        """Return how many processes the kernel killed because the memory was used up."""
        name = "memory.events" if cgroup.version == 2 else "memory.oom_control"
        return parse_flat_keyed(read_text(cgroup.memory_folder / name) or "").get("oom_kill")

    def stalls_us(self, cgroup: Cgroup) -> dict[tuple[str, str], int]:
        """Return for how long processes waited (PSI), in microseconds since the cgroup began.

        By resource (`cpu`, `memory`, `io`) and extent: `some` of them waited, or `full`: all did.
        Empty in version 1, and where the kernel does not count.
        """
        if cgroup.version != 2:
            return {}
        return {
            (resource, extent): total_us
            for resource in _RESOURCES
            for extent, total_us in parse_pressure(
                read_text(cgroup.cpu_folder / f"{resource}.pressure") or ""
            ).items()
        }


def read_text(path: Path) -> str | None:
    """Return a small file's text, None where it is missing or may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def parse_leaf(membership: str, mounts: str, controller: str = "") -> Path | None:
    """Return the folder of a process's cgroup from its `cgroup` and `mountinfo` files.

    Args:
        membership: lines `<number>:<controllers>:<path>`; those of version 2 name no controller.
        mounts: lines as in proc(5).
        controller: of version 1; empty: version 2.
    """
    leaf = _leaf(membership, controller)
    if leaf is None or ".." in PurePosixPath(leaf).parts:
        return None  # no such version, or seen from inside another cgroup namespace
    for line in mounts.splitlines():
        fields, separator, kind = line.partition(" - ")
        if not separator or len(fields.split(" ")) < 5 or not _is_kind(kind, controller):
            continue
        root, mount_point = (_unescape(field) for field in fields.split(" ")[3:5])
        path = PurePosixPath(leaf)
        if path.is_relative_to(root):
            return Path(mount_point) / path.relative_to(root)
    return None


def _leaf(membership: str, controller: str) -> str | None:
    for line in membership.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(",") and (controller or number == "0"):
            return path
    return None


def _is_kind(kind: str, controller: str) -> bool:
    """Whether a mount (`<type> <source> <options>`) is the tree of a controller, or version 2."""
    words = kind.split(" ")
    if not controller:
        return words[0] == "cgroup2"
    return words[0] == "cgroup" and controller in words[-1].split(",")


def parse_memory_max(text: str) -> int:
    """Return the limit of `memory.max` in bytes, 0 for none."""
    return int(text) if text.strip().isdecimal() else 0


def parse_cpu_max(text: str) -> float:
    """Return the limit of `cpu.max` (`<quota|max> <period>`) in CPUs, 0 for none."""
    words = text.split()
    if len(words) != 2 or not all(map(str.isdecimal, words)) or not int(words[1]):
        return 0.0
    return int(words[0]) / int(words[1])


def parse_flat_keyed(text: str) -> dict[str, int]:
    """Return the numbers of a file with one `name number` a line; other lines are left out."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def parse_pressure(text: str) -> dict[str, int]:
    """Return the totals of a `.pressure` file in microseconds, for `some` and `full`."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        extent, _, rest = line.partition(" ")
        totals = [word.removeprefix("total=") for word in rest.split() if word.startswith("total=")]
        if extent in ("some", "full") and totals and totals[0].isdecimal():
            found[extent] = int(totals[0])
    return found


def _unescape(field: str) -> str:
    """Return a field of `mountinfo` as it was: blanks are written in octal there."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field
