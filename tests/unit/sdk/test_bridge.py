"""The process that makes a call for a forked one, when things go wrong around it."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from trackd.sending.agent_link import AgentCallError
from trackd.sending.bridge import BridgedLink
from trackd_proto.v1 import artifact_pb2

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("program", ["/bin/true", "/nonexistent", ""])
@pytest.mark.parametrize("size", [1, 1_000_000])
def test_a_process_that_does_not_come_up_is_a_failed_call(
    monkeypatch: pytest.MonkeyPatch, program: str, size: int
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(AgentCallError) as caught:
        BridgedLink().query(artifact_pb2.QueryRequest(query="q" * size))
    assert caught.value.retryable
    assert program in caught.value.message


def test_it_leaves_in_order_while_its_input_is_still_open(tmp_path: Path) -> None:
    given = os.environ | {"TRACKD_SERVICE": f"unix:{tmp_path / 'nobody'}"}
    command = [sys.executable, "-P", "-m", "trackd.sending.bridge", "ListSaves", "0.1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=given, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(struct.pack("<I", 0))
        process.stdin.flush()
        assert b'"NO_AGENT"' in process.stdout.read()
        assert process.wait(30) == 0
        assert process.stderr is not None and not process.stderr.read()


def test_it_leaves_with_whoever_asked(tmp_path: Path) -> None:
    given = os.environ | {"TRACKD_SERVICE": f"unix:{tmp_path / 'nobody'}"}
    command = [sys.executable, "-P", "-m", "trackd.sending.bridge", "ListSaves", "inf"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=given, stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None
        process.stdin.write(struct.pack("<I", 0))
        process.stdin.close()
        assert process.wait(30) == 1
