"""Finding the agent of this node, and starting one where there is none."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from trackd_proto import layout

if TYPE_CHECKING:
    from collections.abc import Generator

_SERVICE_VARIABLE = "TRACKD_SERVICE"
_UNIX = "unix:"
_CONNECT_TIMEOUT_S = 1.0
_START_TIMEOUT_S = 10.0
_START_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_SYSTEM_SOCKET = Path("/run/trackd/agent.sock")


class Discovery:
    """Knows where the agent's socket is, whether somebody listens, and how to start an agent."""

    def __init__(self) -> None:
        self.data_dir = layout.data_dir()
        service = os.environ.get(_SERVICE_VARIABLE, "")
        #: True when the user named the agent: then none is started here.
        self.is_given = bool(service)
        self._service = service
        self._socket = layout.socket_path()
        self._next_start_s = 0.0
        self._pause_s = _START_PAUSE_S
        #: Whether somebody killed the last agent that was started here before it listened.
        self._was_killed = False
        #: How the last agent that was started here ended before it listened; empty: it did not.
        self.failure = ""

    @property
    def target(self) -> str:
        """Address of the agent for gRPC."""
        if self._service:
            return self._service
        own_only = bool(os.environ.get("TRACKD_DIR")) or self._socket.exists()
        if not own_only and _answers(_SYSTEM_SOCKET):
            return f"{_UNIX}{_SYSTEM_SOCKET}"
        return f"{_UNIX}{self._socket}"

    def is_listening(self) -> bool:
        """Tell whether a process accepts connections at the target."""
        target = self.target
        if target.startswith(_UNIX):
            return _answers(Path(target[len(_UNIX) :]))
        host, _, port = target.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S):
                return True
        except (OSError, ValueError):
            return False

    def start_agent(self) -> None:
        """Start an agent in its own session, unless another process is just doing that.

        Several ranks may call this at once: a lock lets one of them through, and the agent's
        own lock decides in the end. The agent outlives this process. An agent that does not come
        up is tried again after a second, then at ever longer intervals.

        Raises:
            OSError: the data directory cannot be written.
        """
        if self.is_given or time.monotonic() < self._next_start_s:
            return
        self._next_start_s = time.monotonic() + self._pause_s
        folder = self.data_dir / "agent"
        layout.make_private(folder)
        with _try_lock(folder / "start.lock") as is_mine:
            if not is_mine or self.is_listening():
                return
            with (folder / "agent.log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "trackd_agent"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd="/",
                    env=self._agent_environment(),
                )
            # The agent outlives us; while it does not, somebody has to collect its exit status.
            threading.Thread(target=process.wait, name="trackd-reaper", daemon=True).start()
            self._wait_until_listening(process)

    def _agent_environment(self) -> dict[str, str]:
        """Return our environment with a data directory that means the same in any folder."""
        environ = dict(os.environ)
        if environ.get("TRACKD_DIR"):
            environ["TRACKD_DIR"] = str(self.data_dir)
        return environ

    def _wait_until_listening(self, process: subprocess.Popen[bytes]) -> None:
        """Keep the start lock while the agent comes up, at most a few seconds."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.is_listening() or process.returncode == 0:  # 0: another agent was first
                self.failure, self._pause_s, self._was_killed = "", _START_PAUSE_S, False
                return
            if process.returncode == -signal.SIGKILL and not self._was_killed:
                self._was_killed = True  # it says nothing about the next one, which comes soon
                return
            if process.returncode is not None:
                self._note_failure(process.returncode)
                return
            time.sleep(0.01)

    def _note_failure(self, status: int) -> None:
        """Keep what an agent that failed said last; the next attempt comes later."""
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        self._next_start_s = time.monotonic() + self._pause_s
        path = self.data_dir / "agent" / "agent.log"
        last = ""
        with contextlib.suppress(OSError):
            lines = path.read_text(errors="replace").splitlines()
            last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        self.failure = f"it ended with status {status} ({last[:200]}); see {path}"


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_TIMEOUT_S)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


@contextlib.contextmanager
def _try_lock(path: Path) -> Generator[bool]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
