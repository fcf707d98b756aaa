"""The measuring environment of the benchmarks: fresh directories, tagged processes, accounting."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

WORKLOAD = Path(__file__).with_name("workload.py")
TAG = "TRACKD_BENCH_TAG"


@dataclass
class Usage:
    """What one process used, as last seen while it lived."""

    role: str
    cpu_s: float = 0.0
    peak_rss_mib: float = 0.0
    written_bytes: int = 0


def role_of(process: psutil.Process) -> str:
    """Return rank, agent, server or service (of the peer)."""
    words = " ".join(process.cmdline())
    for part, role in (
        ("trackd_server", "server"),
        ("trackd_agent", "agent"),
        ("wandb-core", "service"),
        ("wandb-symon", "service"),
        ("gpu_stats", "service"),
        ("wandb-xpu", "service"),
        ("workload.py", "rank"),
    ):
        if part in words:
            return role
    return "other"


@dataclass
class Watch:
    """Samples every process with the tag until closed."""

    tag: str
    period_s: float = 0.05
    seen: dict[int, Usage] = field(default_factory=dict[int, Usage])
    peak_total_rss_mib: float = 0.0
    peak_by_role: dict[str, float] = field(default_factory=dict[str, float])
    _stop: threading.Event = field(default_factory=threading.Event)
    _known: set[int] = field(default_factory=set[int])

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.sample()

    def _loop(self) -> None:
        while not self._stop.wait(self.period_s):
            self.sample()

    def sample(self) -> None:
        """Read every tagged process once."""
        by_role: dict[str, float] = {}
        for process in psutil.process_iter():
            pid = process.pid
            if pid in self._known and pid not in self.seen:
                continue
            try:
                if pid not in self.seen:
                    self._known.add(pid)
                    if process.environ().get(TAG) != self.tag:
                        continue
                    self.seen[pid] = Usage(role_of(process))
                usage = self.seen[pid]
                role = role_of(process)
                if role not in ("other", usage.role):  # so far it was its parent's copy
                    usage = self.seen[pid] = Usage(role)
                times = process.cpu_times()
                usage.cpu_s = times.user + times.system
                rss = process.memory_info().rss / 2**20
                usage.peak_rss_mib = max(usage.peak_rss_mib, rss)
                usage.written_bytes = process.io_counters().write_bytes
                by_role[usage.role] = by_role.get(usage.role, 0.0) + rss
            except (psutil.Error, OSError):
                continue
        self.peak_total_rss_mib = max(self.peak_total_rss_mib, sum(by_role.values()))
        for role, rss in by_role.items():
            self.peak_by_role[role] = max(self.peak_by_role.get(role, 0.0), rss)

    def cpu_s(self, role: str) -> float:
        """Return the CPU seconds of all processes of a role."""
        return sum(u.cpu_s for u in self.seen.values() if u.role == role)

    def rss_mib(self, role: str) -> float:
        """Return the peak of the resident memory that all processes of a role have together."""
        return self.peak_by_role.get(role, 0.0)


class Bench:
    """One measuring environment: a work folder, a tag, a server for the peer, clean-up."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="trackd-bench-"))
        self.tag = uuid.uuid4().hex
        self.data = self.root / "data"
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "TRACKD_"))},
            TAG: self.tag,
            "TRACKD_DIR": str(self.data),
            "TRACKD_IDLE_TIMEOUT": "600",
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_SILENT": "true",
            "TRACKD_SILENT": "true",
            "WANDB_CACHE_DIR": str(self.root / "cache"),
            "WANDB_DATA_DIR": str(self.root / "wandb-data"),
            "WANDB_CONFIG_DIR": str(self.root / "wandb-config"),
        }
        self.server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and process.environ().get(TAG) == self.tag:
                    process.kill()
            except (psutil.Error, OSError):
                continue
        if self.server:
            self.server.wait()
        time.sleep(0.2)
        shutil.rmtree(self.root, ignore_errors=True)

    def serve_peer(self) -> None:
        """Start a server of ours for the peer's online runs."""
        folder = self.root / "peer-server"
        self.server = subprocess.Popen(
            [sys.executable, "-m", "trackd_server", "--dir", str(folder), "--port", "0"],
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        address = folder / "address"
        deadline = time.monotonic() + 20
        while not address.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.env["WANDB_BASE_URL"] = address.read_text().strip()
        self.env["WANDB_API_KEY"] = (folder / "api_key").read_text().strip()

    def environment(self, sdk: str) -> dict[str, str]:
        """Return the environment of a workload: each SDK sees only its own variables."""
        other = "TRACKD_DIR" if sdk == "wandb" else "WANDB_BASE_URL"
        env = {k: v for k, v in self.env.items() if k != other}
        if sdk == "trackd":
            env.pop("WANDB_API_KEY", None)
        return env

    def start(self, sdk: str, *options: str) -> subprocess.Popen[bytes]:
        """Start a workload."""
        return subprocess.Popen(
            [sys.executable, str(WORKLOAD), "--sdk", sdk, *options],
            env=self.environment(sdk),
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def run(self, sdk: str, *options: str) -> dict[str, Any]:
        """Run a workload to its end and return its figures."""
        process = self.start(sdk, *options)
        out, _ = process.communicate(timeout=900)
        if process.returncode != 0 or not out:
            raise RuntimeError(f"workload {sdk} {options} ended with {process.returncode}")
        return json.loads(out.splitlines()[-1])

    def trackd(self, *words: str) -> dict[str, Any]:
        """Run a verb of the command line with `--json`."""
        out = subprocess.run(
            [sys.executable, "-m", "trackd", *words, "--json"],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        ).stdout
        return json.loads(out)

    def wait_uploaded(self, timeout_s: float = 600) -> float:
        """Wait until the agent has no backlog; return the time of that moment."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.trackd("status").get("backlog_bytes") == 0:
                return time.time()
            time.sleep(0.05)
        raise TimeoutError("the backlog did not drain")
