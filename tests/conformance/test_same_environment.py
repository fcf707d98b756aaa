"""The environment that the reference's client and ours record of the same script, side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from tests.support.agent import running_agent
from tests.support.server import running_server
from tests.system.test_monitor_metadata import environments, metadata_service

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import sys, time
module = __import__(sys.argv[1])
paths = module.Settings(x_stats_disk_paths=("/", "/tmp", "/nowhere"))
run = module.init(project="p", id=sys.argv[1], settings=paths)
run.log({"a": 1})
time.sleep(1)  # the reference's second record comes when it comes
run.finish()
"""
#: Of this very run, or of this very moment.
VOLATILE = {"startedAt", "writerId", "args"}
#: Names of our own for what the reference does not look at.
OURS = {"container", "kubernetes", "platform", "cloud", "cgroup"}


async def recorded(folder: Path, module: str, place: dict[str, str]) -> None:
    """Run the script under a module."""
    done = await anyio.to_thread.run_sync(
        lambda: subprocess.run(
            [sys.executable, "train.py", module],
            cwd=folder,
            env=place,
            capture_output=True,
            text=True,
            check=False,
        )
    )
    assert done.returncode == 0, done.stderr


def comparable(environment: dict[str, Any]) -> dict[str, Any]:
    """Return an environment without what differs from run to run."""
    kept = {name: value for name, value in environment.items() if name not in VOLATILE}
    for disk in kept["disk"].values():
        disk["used"] = str(round(int(disk["used"]) / 2**30))
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
                await recorded(folder, module, place)
            assert await agent.flush()
            theirs, ours = (environments(server, name)[1] for name in ("wandb", "trackd"))
    assert {"coreweave", "slurm", "git", "docker", "cpu"} <= theirs.keys()
    assert comparable({k: v for k, v in ours.items() if k not in OURS}) == comparable(theirs)
