"""Scripts of our own see the same with `wandb` and with our SDK, both against our server.

`online/scripts/NAME.py` runs under both modules, each in a project and a folder of its own; what
it notes has to be equal.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.to_thread
import pytest
from tests.support.server import running_server

if TYPE_CHECKING:
    from tests.support.server import RunningServer

HERE = Path(__file__).parent / "online"
SCRIPTS = sorted((HERE / "scripts").glob("*.py"))
_LIMIT_S = 500
#: A script mostly waits.
_AT_ONCE = 4

pytestmark = pytest.mark.timeout(_LIMIT_S + 60)


def _run(script: Path, module: str, folder: Path, server: RunningServer) -> list[dict[str, Any]]:
    """Run a script under a module; return what it noted."""
    folder.mkdir()
    out = folder / "noted.jsonl"
    environment = server.wandb_environment(folder) | {
        "TRACKD_BASE_URL": server.address,
        "TRACKD_API_KEY": server.key,
        "TRACKD_DIR": str(folder / "data-of-trackd"),
        "TRACKD_IDLE_TIMEOUT": "1",
        "TRACKD_SILENT": "true",
        "PYTHONPATH": str(HERE),
        "SDK_MODULE": module,
        "PROJECT": f"{script.stem}-{module}".replace("_", "-"),
        "CONF_OUT": str(out),
    }
    work = folder / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, script],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{module}: {done.stdout}{done.stderr}"
    return [json.loads(line) for line in out.read_text().splitlines()]


def _is_same(ours: Any, theirs: Any) -> bool:
    """Tell whether two notes say the same; our errors may be of more classes than theirs."""
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        return ours == theirs
    mine, other = cast("dict[str, Any]", ours), cast("dict[str, Any]", theirs)
    if "raises" in mine and "raises" in other:
        return set(other["raises"]) <= set(mine["raises"])
    return mine.keys() == other.keys() and all(_is_same(mine[key], other[key]) for key in mine)


async def test_scripts_see_the_same_under_both(tmp_path: Path) -> None:
    noted: dict[tuple[str, str], list[dict[str, Any]]] = {}
    limiter = anyio.CapacityLimiter(_AT_ONCE)

    async def run(script: Path, module: str) -> None:
        folder = tmp_path / f"{script.stem}-{module}"
        given = (script, module, folder, server)
        noted[script.stem, module] = await anyio.to_thread.run_sync(_run, *given, limiter=limiter)

    async with running_server(tmp_path) as server, anyio.create_task_group() as group:
        for script in SCRIPTS:
            for module in ("wandb", "trackd"):
                group.start_soon(run, script, module)
    found = {s.stem: _differing(noted[s.stem, "trackd"], noted[s.stem, "wandb"]) for s in SCRIPTS}
    assert not any(found.values()), {name: pairs for name, pairs in found.items() if pairs}


def _differing(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[Any]:
    """Return the notes of both modules that do not say the same."""
    pairs = itertools.zip_longest(ours, theirs)
    return [(mine, other) for mine, other in pairs if not _is_same(mine, other)]
