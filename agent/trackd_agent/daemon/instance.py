"""Being the one agent of a data directory: its lock, and its public socket.

Needs the standard library only: an agent that is one too many finds out before it loads more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
from typing import TYPE_CHECKING

from trackd_proto import layout

if TYPE_CHECKING:
    from pathlib import Path

_BACKLOG = 512
_PROBE_TIMEOUT_S = 1.0
_FIRST_INHERITED = 3
_WRITABLE_BY_OTHERS = 0o022
_PRIVATE_FOLDER = "rpc"
_PRIVATE_SOCKET = "s"  # short: the public socket's path is already as long as it may be


class CannotStart(Exception):
    """The agent cannot start; the message says why and what to change."""


class AgentLock:
    """The lock of a data directory, held for the life of the process."""

    def __init__(self, data: Path) -> None:
        self.path = layout.agent_lock(data)
        self._descriptor = -1

    def acquire(self) -> bool:
        """Take the lock and write our pid into it; False when another process has it.

        Raises:
            CannotStart: the data directory cannot be used.
        """
        try:
            layout.make_private(self.path.parent)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self.path, flags, 0o600)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._descriptor)
                return False
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise CannotStart(
                f"cannot use {self.path.parent}: {error.strerror}; set TRACKD_DIR to a folder "
                "on a local disk that you can write to"
            ) from error
        return True

    @property
    def holder(self) -> str:
        """Pid of the holder, as it wrote it."""
        try:
            return self.path.read_text().strip() or "unknown"
        except OSError:
            return "unknown"

    def is_in_place(self) -> bool:
        """Whether the lock file is still the one that we hold: the data directory is there."""
        try:
            there, ours = self.path.stat(), os.fstat(self._descriptor)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


class PublicSocket:
    """The socket on which the agent listens: its own, or one that systemd hands over."""

    def __init__(self, listener: socket.socket, path: Path, *, inherited: bool) -> None:
        self.listener = listener
        self.path = path
        self._inherited = inherited
        self._identity = (0, 0) if inherited else _identity_of(path)

    @property
    def address(self) -> str:
        """The address as `TRACKD_SERVICE` takes it."""
        return f"unix:{self.path}"

    def private_path(self) -> Path:
        """Return where grpcio's own socket lies; its folder is made, open to nobody else.

        Raises:
            CannotStart: it cannot be made.
        """
        folder = self.path.parent / _PRIVATE_FOLDER
        secure_folder(folder, shared=False)
        return folder / _PRIVATE_SOCKET

    def remove(self) -> None:
        """Take the socket file away, unless it is not ours (any more)."""
        if self._inherited:
            return
        with contextlib.suppress(OSError):
            if _identity_of(self.path) == self._identity:
                self.path.unlink()


def listen(path: Path, *, shared: bool = False) -> PublicSocket:
    """Return the public socket, listening. The lock must be held.

    Args:
        path: where it lies, unless systemd hands one over.
        shared: other users may connect, and are judged by their credentials.

    Raises:
        CannotStart: the folder is not safe, or somebody else listens there.
    """
    if (inherited := _inherited()) is not None:
        return inherited
    secure_folder(path.parent, shared=shared)
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o111 if shared else 0o177)
    try:
        listener.bind(str(path))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotStart(f"cannot listen on {path}: {error.strerror or error}") from error
    finally:
        os.umask(before)
    return PublicSocket(listener, path, inherited=False)


def answers(path: Path) -> bool:
    """Tell whether a process listens on a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT_S)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def secure_folder(folder: Path, *, shared: bool) -> None:
    """Make a folder for sockets, or make sure that an existing one is safe.

    Raises:
        CannotStart: it is a symbolic link, belongs to somebody else, or others may write to it.
    """
    try:
        folder.mkdir(mode=0o755 if shared else 0o700, parents=True, exist_ok=True)
        facts = folder.lstat()
    except OSError as error:
        raise CannotStart(f"cannot use {folder}: {error.strerror}") from error
    if not stat.S_ISDIR(facts.st_mode):
        problem = "is not a folder (or a symbolic link)"
    elif facts.st_uid != os.getuid():
        problem = f"belongs to user {facts.st_uid}"
    elif facts.st_mode & _WRITABLE_BY_OTHERS:
        problem = "can be written to by other users"
    else:
        return
    raise CannotStart(
        f"{folder} {problem}: no place for the agent's socket; remove it, or set TRACKD_SOCKET"
    )


def _identity_of(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_ino, facts.st_ctime_ns  # numbers of deleted files are used again


def _remove_stale(path: Path) -> None:
    """Remove the socket file of an agent that died; nobody else holds the lock."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise CannotStart(f"cannot use {path}: {error.strerror}") from error
    if not stat.S_ISSOCK(facts.st_mode):
        raise CannotStart(f"{path} is there and no socket: remove it")
    if answers(path):
        raise CannotStart(
            f"an agent of another data directory listens on {path}: set TRACKD_SOCKET, or set "
            "TRACKD_DIR, which moves the socket as well"
        )
    path.unlink(missing_ok=True)


def _inherited() -> PublicSocket | None:
    """Return the socket that systemd opened for us (sd_listen_fds), if any."""
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    if pid != str(os.getpid()) or not count.isdigit() or int(count) < 1:
        return None
    from pathlib import Path

    listener = socket.socket(fileno=_FIRST_INHERITED)
    listener.set_inheritable(False)
    name = listener.getsockname()
    if listener.family != socket.AF_UNIX or not isinstance(name, str) or not name:
        raise CannotStart("the socket from systemd must be a Unix socket with a path")
    return PublicSocket(listener, Path(name), inherited=True)
