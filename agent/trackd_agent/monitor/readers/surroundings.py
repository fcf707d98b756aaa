"""What shows where a process runs: its cgroup, mounts, variables, marks, and the firmware."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Longest file that is read here; mount tables of large hosts are longer and not needed whole.
MAX_BYTES = 256 * 1024
_FIRMWARE = (
    "sys_vendor",
    "bios_vendor",
    "product_name",
    "product_uuid",
    "board_asset_tag",
    "chassis_asset_tag",
)
_NAMESPACE = "var/run/secrets/kubernetes.io/serviceaccount/namespace"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a process shows of where it runs; empty where it may not be looked at."""

    cgroup: str = ""  # /proc/<pid>/cgroup
    mounts: str = ""  # /proc/<pid>/mountinfo
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    namespace: str = ""  # of Kubernetes
    containerenv: str | None = None  # podman's file; None: not there
    has_dockerenv: bool = False


class SurroundingsReader:
    """Reads below the roots of procfs and sysfs."""

    def __init__(self, proc_root: Path, sys_root: Path) -> None:
        self._proc = proc_root
        self._sys = sys_root

    def firmware(self) -> dict[str, str]:
        """Return what the firmware says of the machine, by file name of `/sys/class/dmi/id`."""
        folder = self._sys / "class" / "dmi" / "id"
        return {name: text.strip() for name in _FIRMWARE if (text := _head(folder / name))}

    def cpuinfo(self) -> str:
        """Return what the kernel says of the first processors."""
        return _head(self._proc / "cpuinfo") or ""

    def scene(self, pid: int) -> Scene:
        """Return what a process shows; files of a container are looked up in its own root."""
        process = self._proc / str(pid)
        root = process / "root"
        environ = _head(process / "environ")
        return Scene(
            cgroup=_head(process / "cgroup") or "",
            mounts=_head(process / "mountinfo") or "",
            environ={
                name: value
                for entry in (environ or "").split("\0")
                for name, _, value in [entry.partition("=")]
                if name
            },
            namespace=(_head(root / _NAMESPACE) or "").strip(),
            containerenv=_head(root / "run" / ".containerenv"),
            has_dockerenv=_head(root / ".dockerenv") is not None,
        )


def _head(path: Path) -> str | None:
    """Return the beginning of a file, None where it is missing or may not be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode(errors="replace")
    except OSError:
        return None
