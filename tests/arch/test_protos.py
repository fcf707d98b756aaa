"""The generated code is what the protos say, and the protos keep their style."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.source import ROOT

PROTO = ROOT / "proto"
SCRIPTS = Path(sys.executable).parent
OUTPUTS = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")


def test_the_committed_code_is_what_the_protos_generate(tmp_path: Path) -> None:
    """`poe proto` writes it; the options are those of that task."""
    protos = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    outputs = [f"--{kind}{tmp_path}" for kind in ("python_out=", "grpc_python_out=")]
    outputs += [f"--{kind}{tmp_path}" for kind in ("mypy_out=quiet:", "mypy_grpc_out=quiet:")]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", *outputs, *protos]
    path = f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', '')}"  # where protoc finds its plugins
    ended = subprocess.run(
        command, cwd=PROTO, env={**os.environ, "PATH": path}, capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr.decode()
    fresh = {file.relative_to(tmp_path): file.read_text() for file in tmp_path.rglob("*.py*")}
    committed = {
        file.relative_to(PROTO): file.read_text()
        for file in PROTO.rglob("*_pb2*")
        if file.name.endswith(OUTPUTS)
    }
    assert sorted(fresh) == sorted(committed)
    stale = [str(name) for name, text in fresh.items() if committed[name] != text]
    assert not stale, f"run `poe proto`: {stale}"


def test_the_protos_pass_buf_lint() -> None:
    ended = subprocess.run(
        [SCRIPTS / "buf", "lint", "proto"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
