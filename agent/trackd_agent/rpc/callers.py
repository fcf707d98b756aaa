"""Who calls: the kernel's word about a peer, carried to the handlers in the name of a socket.

grpcio shows a handler only the name of the peer's socket. So the doorman binds its end of each
connection to the abstract name `trackd-<uid>-<pid>-<n>` before it joins it to grpcio's private
socket, which nobody else can reach (its folder has mode 0700).
"""

from __future__ import annotations

import os
import re
import socket
import struct
from typing import TYPE_CHECKING, Any

from trackd_agent.core.errors import NotAllowed, NotAuthenticated
from trackd_agent.runs.options import Caller

if TYPE_CHECKING:
    import grpc.aio

_UCRED = struct.Struct("3i")
_NAME = re.compile(r"trackd-(\d+)-(\d+)-[0-9a-f]+")


def peer_of(connection: socket.socket) -> Caller:
    """Return the process at the other end of a Unix socket, as the kernel says."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(raw)
    return Caller(uid=uid, pid=pid)


def abstract_name(caller: Caller, unique: str) -> str:
    """Return the abstract socket address that names a caller; `unique` is hexadecimal."""
    return f"\0trackd-{caller.uid}-{caller.pid}-{unique}"


def caller_of(context: grpc.aio.ServicerContext[Any, Any]) -> Caller:
    """Return who makes a call.

    Raises:
        NotAuthenticated: the connection did not come through the doorman.
    """
    found = _NAME.search(context.peer())
    if found is None:
        raise NotAuthenticated(
            "CALLER_UNKNOWN", "connect to the agent's public socket: this one names no caller"
        )
    return Caller(uid=int(found[1]), pid=int(found[2]))


def require_own_user(context: grpc.aio.ServicerContext[Any, Any], what: str) -> None:
    """Let in only the user that the agent runs as (and root): the rest has other files.

    Raises:
        NotAllowed: another user calls.
    """
    caller = caller_of(context)
    if caller.uid not in (0, os.getuid()):
        raise NotAllowed(
            "OTHER_USER",
            f"{what}: this agent runs as user {os.getuid()} and does that for this user only, "
            f"not for {caller.uid}; start an agent of your own (unset TRACKD_SERVICE)",
        )
