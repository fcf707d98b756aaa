"""Calls of a forked process, in which gRPC does not work: a fresh process makes each of them.

`python -m trackd.sending.bridge <method> <seconds>` reads a request from its standard input (its
length, then its bytes), makes the call, and writes what comes back: frames of a letter, a length
and bytes. `a` is an answer, `e` an error in JSON, `z` the end. It leaves when its input closes, as
it does when the process that asks dies or wants no more. A call costs about half a second.
"""

from __future__ import annotations

import json
import math
import os
import struct
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import grpc

from trackd.sending.agent_link import AgentCallError
from trackd.sending.artifact_link import ArtifactLink, answer_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.message import Message

    from trackd_proto.v1 import artifact_pb2_grpc

_Answer = TypeVar("_Answer")
_LENGTH = struct.Struct("<I")
_HEAD = struct.Struct("<cI")
_ANSWER, _ERROR, _END = b"a", b"e", b"z"


class _Names:
    """In place of a stub: each method is its own name."""

    def __getattr__(self, name: str) -> str:
        return name


class BridgedLink(ArtifactLink):
    """The connection for artifacts of a forked process; see `ArtifactLink`."""

    def _unary(
        self,
        method: Callable[[artifact_pb2_grpc.ArtifactServiceStub], Callable[..., _Answer]],
        request: object,
        timeout_s: float,
    ) -> _Answer:
        name = cast("Callable[[Any], str]", method)(_Names())
        (answer,) = _call(name, cast("Message", request), timeout_s)
        return cast("_Answer", answer)

    def _stream(
        self,
        method: Callable[[artifact_pb2_grpc.ArtifactServiceStub], Callable[..., Iterator[_Answer]]],
        request: object,
        timeout_s: float | None,
    ) -> Iterator[_Answer]:
        name = cast("Callable[[Any], str]", method)(_Names())
        return cast("Iterator[_Answer]", _call(name, cast("Message", request), timeout_s))


def _call(name: str, request: Message, timeout_s: float | None) -> Iterator[Message]:
    """Let a process make a call; whoever stops early closes this."""
    seconds = str(math.inf if timeout_s is None else timeout_s)
    # -P: no file of the user's folder is taken for a module.
    command = [sys.executable, "-P", "-m", __name__, name, seconds]
    data = request.SerializeToString()
    kind = answer_type(name)
    try:
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(_LENGTH.pack(len(data)) + data)
                process.stdin.flush()
                while (found := _read(process.stdout)) is not None and found[0] != _END:
                    letter, body = found
                    if letter == _ERROR:
                        raise _error_of(body)
                    yield kind.FromString(body)
                if found is None:
                    raise _died("it ended")
            finally:
                process.kill()  # it holds nothing
    except OSError as error:  # it did not start, or did not listen to the end
        raise _died(str(error)) from error


def _read(source: IO[bytes]) -> tuple[bytes, bytes] | None:
    head = source.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    letter, length = _HEAD.unpack(head)
    body = source.read(length)
    return (letter, body) if len(body) == length else None


def _died(why: str) -> AgentCallError:
    message = f"the process that asks the agent for this forked one ({sys.executable}): {why}"
    return AgentCallError(grpc.StatusCode.INTERNAL, "BRIDGE_ENDED", message, retryable=True)


def _error_of(body: bytes) -> AgentCallError:
    found = json.loads(body)
    status = grpc.StatusCode[found.pop("status")]
    return AgentCallError(status, **found)


# --- in the process of its own -------------------------------------------------------------------


def main(name: str, seconds: str) -> NoReturn:
    """Make one call for the process that started this one."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    (length,) = _LENGTH.unpack(source.read(_LENGTH.size))
    data = source.read(length)
    threading.Thread(target=_leave_with, args=(source,), daemon=True).start()
    timeout_s = float(seconds)
    try:
        for answer in ArtifactLink().call_named(
            name, data, None if math.isinf(timeout_s) else timeout_s
        ):
            _write(target, _ANSWER, answer)
    except AgentCallError as error:
        told = {
            "status": error.status.name,
            "code": error.code,
            "message": error.message,
            "retryable": error.retryable,
            "details": error.details,
        }
        _write(target, _ERROR, json.dumps(told).encode())
    else:
        _write(target, _END, b"")
    os._exit(0)  # a Python that ends in order aborts: the thread still reads


def _leave_with(source: IO[bytes]) -> None:
    """End this process when nobody wants its answers any more."""
    source.read()
    os._exit(1)


def _write(target: IO[bytes], letter: bytes, body: bytes) -> None:
    target.write(_HEAD.pack(letter, len(body)) + body)
    target.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
