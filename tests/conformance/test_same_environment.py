"""The environment that the reference's client and ours record of the same script, side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
from tests.support.agent import running_agent
from tests.support.server import RunningServer, running_server
from tests.system.test_monitor_metadata import described, environments, metadata_service

if TYPE_CHECKING:
    from pathlib import Path

_LIMIT_S = 240
pytestmark = pytest.mark.timeout(3 * _LIMIT_S)

SCRIPT = """
import os, sys, time
module = __import__(sys.argv[1])
paths = module.Settings(x_stats_disk_paths=("/", "/tmp", "/nowhere"))
run = module.init(project="p", id=sys.argv[1], settings=paths)
run.log({"a": 1})
while not os.path.exists(sys.argv[2]):  # what the reference finds out later comes when it comes
    time.sleep(0.1)
run.finish()
"""
#: What both are known to tell, some of it later than the rest.
TOLD = {"coreweave", "slurm", "git", "docker", "cpu"}
#: Of this very run, or of this very moment.
VOLATILE = {"startedAt", "writerId", "args"}
#: Names of our own for what the reference does not look at.
OURS = {"container", "kubernetes", "platform", "cloud", "cgroup"}


async def recorded(folder: Path, module: str, place: dict[str, str], server: RunningServer) -> None:
    """Run the script under a module, until the server has been told everything."""
    told = folder.parent / f"{module} has told"
    running = subprocess.Popen(
        [sys.executable, "train.py", module, told],
        cwd=folder,
        env=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with anyio.move_on_after(_LIMIT_S):
        while running.poll() is None and not is_told(server, module):
            await anyio.sleep(0.2)
    told.touch()
    output, _ = await anyio.to_thread.run_sync(lambda: running.communicate(timeout=_LIMIT_S))
    assert running.returncode == 0, output


def is_told(server: RunningServer, run: str) -> bool:
    """Tell whether a writer of a run told everything that is looked for here."""
    return any(each.keys() >= TOLD for each in described(server, run).values())


def comparable(environment: dict[str, Any]) -> dict[str, Any]:
    """Return an environment without what differs from run to run."""
    kept = {name: value for name, value in environment.items() if name not in VOLATILE}
    for disk in kept["disk"].values():
        disk["used"] = 0 < int(disk["used"]) <= int(disk["total"])
    return kept


def repository(folder: Path) -> None:
    (folder / "train.py").write_text(SCRIPT)
    git = ["git", "-c", "user.name=n", "-c", "user.email=n@example.com"]
    remote = ["remote", "add", "origin", "https://example.com/team/project.git"]
    for command in (["init", "-q"], remote, ["add", "train.py"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], cwd=folder, check=True)


async def test_both_clients_tell_the_same_of_process_and_machine(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    repository(folder)
    options = ("--coreweave-organization", "cw-1")
    async with (
        running_server(tmp_path, options=options) as server,
        running_agent(tmp_path) as agent,
    ):
        with metadata_service() as address:
            wishes = {
                "BASE_URL": server.address,
                "API_KEY": server.key,
                "DOCKER": "team/image:1",
                "USERNAME": "somebody",
                "EMAIL": "somebody@example.com",
                "X_STATS_COREWEAVE_METADATA_BASE_URL": address,
                "X_STATS_GPU_COUNT": "5",
                "X_STATS_GPU_TYPE": "mine",
                "X_STATS_CPU_COUNT": "7",
            }
            place = {
                **os.environ,
                **agent.environment,
                **{f"WANDB_{name}": value for name, value in wishes.items()},
                "HOME": str(tmp_path),
                "SLURM_JOB_ID": "7",
                "SLURM_STEP_NODELIST": "n[1-2]",
            }
            for module in ("wandb", "trackd"):
                await recorded(folder, module, place, server)
            assert await agent.flush()
            theirs, ours = (environments(server, name)[1] for name in ("wandb", "trackd"))
    assert theirs.keys() >= TOLD
    assert comparable({k: v for k, v in ours.items() if k not in OURS}) == comparable(theirs)
