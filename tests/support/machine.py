"""A machine on paper: a procfs and a sysfs below a folder, for collectors to read."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trackd_agent.monitor import MonitorConfig, Subject
from trackd_agent.monitor.readers import Readers

if TYPE_CHECKING:
    from trackd_agent.monitor.subject import Target

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "facts" / "samples"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="no recorded samples beside the repository"
)
MEMORY_TOTAL_BYTES = 16 * 1024**3


@dataclass
class Machine:
    """Writes what the kernel would show; every part can be changed between two samples."""

    root: Path
    interfaces: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])

    def __post_init__(self) -> None:
        (self.proc / "net").mkdir(parents=True)
        (self.sys / "class" / "net").mkdir(parents=True)
        (self.sys / "dev" / "block").mkdir(parents=True)
        (self.sys / "block").mkdir(parents=True)
        (self.proc / "stat").write_text("cpu  0 0 0 0\nbtime 1700000000\n")
        self.set_memory(available_kib=12 * 1024**2)
        self.set_network({})
        self.set_disks({})

    @property
    def proc(self) -> Path:
        return self.root / "proc"

    @property
    def sys(self) -> Path:
        return self.root / "sys"

    @property
    def config(self) -> MonitorConfig:
        return MonitorConfig(
            proc_root=self.proc, sys_root=self.sys, library_path="", deadline_s=60.0
        )

    def target(self, pid: int = 42, disk_paths: tuple[str, ...] = (), tree: bool = False) -> Target:
        subject = Subject(
            key=f"rank-{pid}", pid=pid, disk_paths=disk_paths, track_process_tree=tree
        )
        return Readers.of(self.config).target(subject)

    def set_memory(self, available_kib: int) -> None:
        lines = {
            "MemTotal": MEMORY_TOTAL_BYTES // 1024,
            "MemFree": 1024,
            "MemAvailable": available_kib,
            "Buffers": 0,
            "Cached": 0,
            "Active": 0,
            "Inactive": 0,
            "Shmem": 0,
            "SReclaimable": 0,
            "Slab": 0,
            "SwapCached": 0,
        }
        text = "".join(f"{name}:{kib:>16} kB\n" for name, kib in lines.items())
        (self.proc / "meminfo").write_text(text)

    def set_process(
        self,
        pid: int,
        *,
        cpu_ticks: int = 0,
        reaped_ticks: int = 0,
        threads: int = 1,
        rss_pages: int = 0,
        start_ticks: int = 1000,
        children: tuple[int, ...] = (),
        parent: int = 1,
    ) -> None:
        folder = self.proc / str(pid)
        thread = folder / "task" / str(pid)
        thread.mkdir(parents=True, exist_ok=True)
        times = f"{cpu_ticks - cpu_ticks // 3} {cpu_ticks // 3} {reaped_ticks} 0"
        (folder / "stat").write_text(
            f"{pid} (a (very) odd name) S {parent} 1 1 0 -1 4194304 9 9 9 9 {times} "
            f"20 0 {threads} 0 {start_ticks} 99999999 "
            f"{rss_pages} 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17\n"
        )
        (thread / "children").write_text(" ".join(map(str, children)))

    def end_process(self, pid: int) -> None:
        (self.proc / str(pid) / "stat").unlink()

    def put_in_cgroup(self, pid: int, sample: Path) -> Path:
        """Put a process into a cgroup with the files of `sample`; returns the cgroup's folder."""
        mount = self.root / "cgroup fs"
        leaf = mount / "pod" / "main"
        leaf.mkdir(parents=True, exist_ok=True)
        for file in sample.iterdir():
            (leaf / file.name).write_bytes(file.read_bytes())
        (self.proc / str(pid) / "cgroup").write_text("0::/kube/pod/main\n")
        escaped = str(mount).replace(" ", "\\040")
        (self.proc / str(pid) / "mountinfo").write_text(
            "21 1 254:0 / / rw - ext4 /dev/vda rw\n"
            f"35 21 0:30 /kube {escaped} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
        )
        return leaf

    def set_network(
        self, interfaces: dict[str, tuple[int, int]], members: tuple[str, ...] = ()
    ) -> None:
        """Set received and sent bytes by interface; `members` belong to a bond or bridge."""
        lines = ["Inter-|   Receive  |  Transmit\n", " face |bytes packets | bytes packets\n"]
        for name, (received, sent) in interfaces.items():
            lines.append(f"{name:>6}: {received} 1 0 0 0 0 0 0 {sent} 1 0 0 0 0 0 0\n")
            folder = self.sys / "class" / "net" / name
            folder.mkdir(exist_ok=True)
            if name in members and not (folder / "master").is_symlink():
                (folder / "master").symlink_to("../bond0")
        (self.proc / "net" / "dev").write_text("".join(lines))

    def set_disks(self, devices: dict[str, tuple[int, int]], carries: str | None = None) -> None:
        """Set sectors (512 bytes) read and written by device; `carries` holds this test's folder.

        A name that ends in `p` and a digit is a partition: it has no folder in /sys/block.
        """
        lines: list[str] = []
        for name, (read, written) in devices.items():
            lines.append(f" 254 0 {name} 9 0 {read} 0 9 0 {written} 0 0 0 0\n")
            if name[-2:-1] != "p":
                (self.sys / "block" / name).mkdir(exist_ok=True)
        (self.proc / "diskstats").write_text("".join(lines))
        if carries:
            number = os.stat(self.root).st_dev
            link = self.sys / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
            link.unlink(missing_ok=True)
            link.symlink_to(f"../../devices/virtual/block/{carries}")
