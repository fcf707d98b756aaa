"""One script under the reference and under ours: what each of them recorded."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio.to_thread
import pytest
from tests.support.agent import running_agent

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXPORT = Path(__file__).parents[1] / "conformance" / "reference_export.py"
_OURS_EXPORT = "from trackd.cli import main; main()"
#: Differs from run to run, whoever records it.
_CHANCE = frozenset(
    {"_timestamp", "_runtime", "sha256", "md5", "size", "path", "filenames", "digest"}
    | {"artifact_path", "_latest_artifact_path"}
)
_TIMES = ("runtime", "per_second")


def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def needs(*modules: str) -> None:
    """Skip the test where one of them is not installed; none is imported here."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install 'trackd[frameworks]'")


async def ours(folder: Path, script: str, run_id: str = "") -> dict[str, Any]:
    """Run a script that says `import sdk`; return the document of what `trackd` recorded.

    Args:
        folder: for everything.
        script: Python source.
        run_id: of several runs the one to return.
    """
    work = folder / "ours"
    async with running_agent(folder) as agent:
        made = _prepare(work, script, "trackd")

        def run() -> str:
            _run([sys.executable, str(made)], work, {**agent.environment, "WANDB_MODE": "offline"})
            [run_dir] = [
                path for path in (work / "trackd").glob(f"*run-*{run_id}") if path.is_dir()
            ]
            command = [sys.executable, "-c", _OURS_EXPORT, "export", "--json", str(run_dir)]
            return _run(command, work, agent.environment)

        return json.loads(await anyio.to_thread.run_sync(run))


async def reference(folder: Path, script: str) -> dict[str, Any]:
    """Run a script that says `import sdk`; return the document of what `wandb` recorded."""
    work = folder / "reference"
    made = _prepare(work, script, "wandb")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "TRACKD_"))}
    settings = {**kept, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}

    def run() -> str:
        _run([sys.executable, str(made)], work, settings)
        command = [sys.executable, str(_EXPORT), str((work / "wandb/latest-run").resolve())]
        return _run(command, work, settings)

    return json.loads(await anyio.to_thread.run_sync(run))


def _prepare(work: Path, script: str, module: str) -> Path:
    work.mkdir(parents=True)
    path = work / "main.py"
    path.write_text(script.replace("import sdk", f"import {module} as sdk"))
    return path


def comparable(value: Any) -> Any:
    """Return a part of a document without what differs by chance."""
    if isinstance(value, dict):
        return {
            key: comparable(item)
            for key, item in cast("dict[str, Any]", value).items()
            if key not in _CHANCE and not any(word in key for word in _TIMES)
        }
    if isinstance(value, list):
        return [comparable(item) for item in cast("list[Any]", value)]
    # Five digits, as text: NaN equals itself.
    return f"{value:.5g}" if isinstance(value, float | int) else value


def artifacts(document: dict[str, Any]) -> list[Any]:
    """Return what names the artifacts of a document."""
    return [
        (made["type"], made["aliases"], [file["path"] for file in made["files"]],
         sorted(made["metadata"]))
        for made in document["artifacts"]
    ]  # fmt: skip
