"""What a run was made from reaches the server, and files come back with `restore`."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

from tests.support.agent import running_agent
from tests.support.server import RunningServer, running_server
from tests.system.test_sdk_processes import finished, train

if TYPE_CHECKING:
    from pathlib import Path

_FILES = """
query Files($run: String!) {
  project(name: "p", entityName: "local") {
    run(name: $run) { files { edges { node { name } } } }
  }
}
"""
RUN = """
import sys, trackd
run = trackd.init(project="p", id="r", save_code=True)
with open("weights.bin", "w") as file:
    file.write("w" * 1000)
run.save("weights.bin", policy="now")
run.finish()
"""
SECOND_RANK = """
import trackd
trackd.init(project="p", id="r2", settings={"x_primary": False}, save_code=True).finish()
"""
RESTORE = """
import os, trackd
path = "local/p/r"
print(trackd.restore("weights.bin", path, root="back").read() == "w" * 1000)
print(trackd.restore("missing.bin", path))
open("back/weights.bin", "w").write("changed here")
print(trackd.restore("weights.bin", path, root="back").read())
print(len(trackd.restore("weights.bin", path, replace=True, root="back").read()))
print(trackd.restore("wandb-metadata.json", path, root="back").read())
for bad in ("local/p/nobody", "p"):
    try:
        trackd.restore("x", bad)
    except (trackd.CommError, ValueError) as error:
        print(type(error).__name__)
print(*sorted(os.listdir("back")))
"""


def names(server: RunningServer, run: str) -> set[str]:
    edges: list[dict[str, Any]] = server.graphql(_FILES, {"run": run})["project"]["run"]["files"][
        "edges"
    ]
    return {edge["node"]["name"] for edge in edges}


def repository(folder: Path) -> str:
    """Make a git repository with a changed file; return the commit."""
    (folder / "lib.py").write_text("x = 1\n")
    git = ["git", "-c", "user.name=n", "-c", "user.email=n@example.com"]
    (folder / ".gitignore").write_text("*\n!lib.py\n")
    for command in (["init", "-q"], ["add", "lib.py"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    (folder / "lib.py").write_text("x = 2\n")
    done = subprocess.run(
        [*git, "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


async def test_files_come_back_from_the_server_of_this_machine(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        finished(train(tmp_path, RUN, agent.environment))
        assert await agent.flush()
        shown = finished(train(tmp_path, RESTORE, agent.environment)).splitlines()
        assert shown[:4] == ["True", "None", "changed here", "1000"]


async def test_files_of_a_run_reach_the_server_and_come_back(tmp_path: Path) -> None:
    commit = repository(tmp_path)
    async with running_server(tmp_path) as server, running_agent(tmp_path) as agent:
        place = {
            **agent.environment,
            "TRACKD_BASE_URL": server.address,
            "TRACKD_API_KEY": server.key,
            "SLURM_JOB_ID": "7",
            "SLURM_JWT": "nobody sees this",
        }
        finished(train(tmp_path, RUN, place))
        finished(train(tmp_path, SECOND_RANK, place))
        assert await agent.flush()
        made = {"requirements.txt", "diff.patch", "wandb-metadata.json", "weights.bin"}
        assert made <= names(server, "r")
        assert not names(server, "r2") & {*made, "config.yaml", "wandb-summary.json"}
        shown = finished(train(tmp_path, RESTORE, place))
        assert commit in shown
        assert '"slurm": {\n    "job_id": "7"\n  }' in shown
        assert "nobody sees" not in shown
        lines = shown.splitlines()
        assert lines[:4] == ["True", "None", "changed here", "1000"]
        assert lines[-3:-1] == ["CommError", "ValueError"]
        assert lines[-1] == "wandb-metadata.json weights.bin"
