"""`trackd.Api` and the reference's, on the same server: what one answers, the other does.

Two projects of equal contents are made by the real client; `api/calls.py` reads, searches and
edits one with each module and prints what came of every call. What is raised must be of the
reference's class, or of one derived from it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.server import RunningServer, running_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

HERE = Path(__file__).parent / "api"
MODULES = ("wandb", "trackd")
_LIMIT_S = 500
#: Classes of the reference that a script cannot name: what they stand for.
MEANT = {"ValidationError": "ValueError", "WandbApiFailedError": "CommError"}

#: Below the limit of the test: both modules run at once, one script after the other.
pytestmark = pytest.mark.timeout(2 * _LIMIT_S + 60)

Told = dict[str, dict[str, Any]]


def call(server: RunningServer, folder: Path, script: str, *words: str) -> str:
    """Run a script against the server, with either module; return what it prints."""
    folder.mkdir(exist_ok=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "TRACKD_"))}
    done = subprocess.run(
        [sys.executable, HERE / script, *words],
        cwd=folder,
        env={
            **kept,
            **server.wandb_environment(folder),
            "TRACKD_DIR": str(folder / "trackd"),
            "TRACKD_IDLE_TIMEOUT": "1",
        },
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def tell(server: RunningServer, folder: Path, module: str) -> Told:
    project, registry = f"same-{module}", f"shelf-{module}"
    call(server, folder / module, "seed.py", project, registry)
    printed = call(server, folder / module, "calls.py", module, project, registry)
    return {told["call"]: told for told in map(json.loads, printed.splitlines())}


@pytest.fixture(name="told")
async def told_by_both(tmp_path: Path) -> AsyncGenerator[dict[str, Told]]:
    async with running_server(tmp_path) as server:
        with ThreadPoolExecutor(len(MODULES)) as pool:
            started = {module: pool.submit(tell, server, tmp_path, module) for module in MODULES}
            yield {module: each.result() for module, each in started.items()}


def test_both_answer_and_refuse_alike(told: dict[str, Told]) -> None:
    different: dict[str, tuple[Any, Any]] = {}
    for label, theirs in told["wandb"].items():
        ours = told["trackd"][label]
        if "raised" in theirs:
            kind = theirs["raised"][0]
            is_same = MEANT.get(kind, kind) in ours.get("raised", ())
        else:
            is_same = theirs["answer"] == ours.get("answer", "raised")
        if not is_same:
            different[label] = theirs, ours
    assert not different
    assert len(told["wandb"]) > 270
