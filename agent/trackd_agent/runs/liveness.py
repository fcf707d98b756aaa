"""Whether the process behind a writer lives: by process id and start time, and by its lock."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

from trackd_proto.layout import SPOOL_LOCK

if TYPE_CHECKING:
    from trackd_agent.runs.writer import Writer

#: Fields of /proc/<pid>/stat behind the command name, counted from `state`.
_STATE_FIELD = 0
_START_TICKS_FIELD = 19


def start_ticks(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; 0: there is no such process.

    A process that ended and was not reaped yet counts as gone.
    """
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    fields = raw.rpartition(b")")[2].split()
    if len(fields) <= _START_TICKS_FIELD or fields[_STATE_FIELD] in (b"Z", b"X"):
        return 0
    return int(fields[_START_TICKS_FIELD])


def lock_is_free(spool_dir: Path) -> bool | None:
    """Return whether nobody holds the lock of a spool folder; None: there is no such lock."""
    try:
        descriptor = os.open(spool_dir / SPOOL_LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def looks_dead(writer: Writer) -> bool:
    """Whether the process behind a writer is gone; False as long as that is not certain.

    The process id decides where the agent can see it. Without a connection the lock of the
    spool decides as well: the kernel frees it whatever way the process ended.
    """
    facts = writer.facts
    is_attached = writer.state == "attached"
    if facts.pid and facts.pid_start_ticks and start_ticks(facts.pid) != facts.pid_start_ticks:
        return True
    if is_attached:
        return False
    is_free = lock_is_free(Path(facts.spool_dir)) if facts.spool_dir else None
    if is_free is None:  # no spool to come back with: a process that is not there is gone
        return bool(facts.pid) and not start_ticks(facts.pid)
    return is_free
