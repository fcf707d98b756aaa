"""From a command to a serving agent: lock, settings, socket, event loop, in this order.

Imports come as late as they can: an agent that is one too many leaves after a few milliseconds.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from trackd_agent.daemon import lean
from trackd_agent.daemon.instance import AgentLock, CannotStart, answers, listen
from trackd_proto import layout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OK = 0
FAILED = 1
CANNOT_START = 2
_HOLDER_WAIT_S = 30.0


def run_agent(options: Mapping[str, str] | None = None) -> int:
    """Serve until told to stop; return the exit status.

    Args:
        options: settings from the command line, by dotted name.
    """
    faulthandler.enable()
    data = layout.data_dir()
    lock = AgentLock(data)
    try:
        if (status := _take(lock)) is not None:
            return status
        lean.keep_out()
        lean.give_back_memory()
        return _serve(data, lock, options or {})
    except CannotStart as error:
        _say(f"cannot start: {error}")
        return CANNOT_START


def leave(status: int) -> NoReturn:
    """End the process now: a worker thread that hangs in a system call cannot hold it up."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


def public_path() -> Path:
    """Return where the agent of this environment listens."""
    from pathlib import Path

    explicit = os.environ.get("TRACKD_SOCKET")
    return Path(explicit).absolute() if explicit else layout.socket_path()


def _take(lock: AgentLock) -> int | None:
    """Take the lock, if need be from an agent that is just leaving or was just killed.

    Returns:
        The exit status where another agent keeps it: all is well if that one answers.
    """
    path = public_path()
    deadline_s = time.monotonic() + _HOLDER_WAIT_S
    while not lock.acquire():
        if answers(path):
            _say(f"an agent already runs: process {lock.holder} at unix:{path}")
            return OK
        if time.monotonic() > deadline_s:
            _say(f"process {lock.holder} holds {lock.path} but does not answer on {path}")
            return FAILED
        time.sleep(0.05)
    return None


def _serve(data: Path, lock: AgentLock, options: Mapping[str, str]) -> int:
    # We fork only to start the server; gRPC's own preparations for forks cost and warn.
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    import anyio

    from trackd_agent import __version__
    from trackd_agent.core import logs
    from trackd_agent.daemon.agent import serve
    from trackd_agent.daemon.notify import Notifier
    from trackd_agent.daemon.premises import Premises
    from trackd_agent.daemon.settings import ConfigError, load_config

    for number in (signal.SIGTERM, signal.SIGINT):  # until the event loop takes them
        signal.signal(number, _leave)
    notifier = Notifier.from_environment()
    try:
        settings = load_config(data, os.environ, options)
    except ConfigError as error:
        raise CannotStart(error.message) from error
    logs.configure(settings.config.log)
    shared = bool(settings.config.rpc.allowed_uids)
    socket = listen(settings.config.socket or layout.socket_path(), shared=shared)
    try:
        premises = Premises(data, lock, socket, settings, notifier, __version__)
        anyio.run(serve, premises, backend_options={"use_uvloop": True})
    finally:
        socket.remove()
        faulthandler.cancel_dump_traceback_later()
    return OK


def _leave(_number: int, _frame: object) -> NoReturn:
    sys.exit(OK)


def _say(text: str) -> None:
    print(f"trackd agent: {text}", file=sys.stderr)  # noqa: T201 - before there is a log
