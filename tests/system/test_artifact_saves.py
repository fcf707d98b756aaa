"""Artifacts of real ranks through a real agent to a real server, killed at awkward moments."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
from tests.support.agent import running_agent
from tests.support.runs import until
from tests.support.server import running_server
from tests.system.killed_transfers import CASES, kill_half_way
from tests.system.test_recovery_of_runs import settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.agent import RunningAgent
    from tests.support.server import RunningServer

#: Logs versions of two collections between rows; a version in four repeats the one before.
MANY = """
import os, random, trackd
run = trackd.init(project="p", id="r1", settings=trackd.Settings(x_disable_stats=True))
random.seed(7)
for number in range(16):
    if number % 4 < 3:
        content = random.randbytes(200_000), os.urandom(50)
    artifact = trackd.Artifact("ab"[number // 4 % 2], "data")
    for name, data in zip(("large", "small"), content):
        with artifact.new_file(name, "wb") as file:
            file.write(data)
    run.log_artifact(artifact)
    run.log({"number": number})
run.finish()
"""

#: Dies as soon as it has logged.
KILLED = """
import os, signal, trackd
run = trackd.init(project="p", id="r1", settings=trackd.Settings(x_disable_stats=True))
artifact = trackd.Artifact("last", "data")
with artifact.new_file("words", "wb") as file:
    file.write(os.urandom(3_000_000))
run.log_artifact(artifact)
os.kill(os.getpid(), signal.SIGKILL)
"""

VERSIONS = """query Versions($name: String!) { project(name: "p", entityName: "local") {
  artifactType(name: "data") { artifactCollection(name: $name) { artifacts(first: 100) {
    edges { node { versionIndex state digest files(first: 10) { edges { node {
      name directUrl sizeBytes } } } } } } } } } }"""


def begin(agent: RunningAgent, folder: Path, source: str, *args: str) -> subprocess.Popen[bytes]:
    script = folder / "train.py"
    script.write_text(source)
    return subprocess.Popen([sys.executable, str(script), *args], cwd=folder, env=agent.environment)


def versions(server: RunningServer, name: str) -> list[dict[str, Any]]:
    project = server.graphql(VERSIONS, {"name": name})["project"]
    kind = project and project["artifactType"]
    found = kind and kind["artifactCollection"]
    edges: list[dict[str, Any]] = found["artifacts"]["edges"] if found else []
    return sorted((edge["node"] for edge in edges), key=lambda node: node["versionIndex"])


def is_in_order(server: RunningServer) -> bool:
    """Whether the server's books and disk agree, and every chunk is what its name says."""
    with server.client() as client:
        return client.get("/api/v1/fsck", params={"verify": "true"}).json()["ok"]


async def test_an_agent_killed_again_and_again_makes_every_version_once(tmp_path: Path) -> None:
    draw = random.Random(3)
    async with (
        running_server(tmp_path) as server,
        running_agent(tmp_path, **settings_for(server)) as agent,
    ):
        rank = begin(agent, tmp_path, MANY)
        journals = agent.data / "agent" / "journal"
        await until(lambda: any(journals.glob("*/*/*.seg")))
        for _ in range(4):
            await anyio.sleep(draw.uniform(0.05, 0.5))
            await agent.restart()
        assert await anyio.to_thread.run_sync(rank.wait) == 0
        await until(lambda: all(len(versions(server, name)) >= 6 for name in "ab"))
        await until(lambda: not any(journals.iterdir()))
        for name in "ab":
            found = versions(server, name)
            assert [version["versionIndex"] for version in found] == list(range(6)), name
            assert {version["state"] for version in found} == {"COMMITTED"}
            assert len({version["digest"] for version in found}) == 6
        assert is_in_order(server)
    assert not list(tmp_path.glob("trackd/run-*/artifacts/*"))


@pytest.mark.parametrize(
    ("name", "size_bytes", "most_twice_bytes"),
    [
        ("agent", 96_000_000, 40_000_000),
        ("agent, in parts", 64_000_000, 12_000_000),
        ("agent, downloading", 64_000_000, 30_000_000),
    ],
)
async def test_a_transfer_that_was_killed_half_way_moves_little_twice(
    tmp_path: Path, name: str, size_bytes: int, most_twice_bytes: int
) -> None:
    sizes = {"MULTIPART_BYTES": "32000000", "PART_BYTES": "2000000", "RESUMED_BYTES": "32000000"}
    given = {f"TRACKD_ARTIFACTS__{name}": size for name, size in sizes.items()}
    outcome = await kill_half_way(tmp_path, size_bytes, CASES[name], **given)
    assert not outcome.problems
    assert outcome.twice_bytes < most_twice_bytes


async def test_what_a_rank_logged_before_it_was_killed_becomes_a_version(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path) as server,
        running_agent(tmp_path, **settings_for(server)) as agent,
    ):
        rank = begin(agent, tmp_path, KILLED)
        assert await anyio.to_thread.run_sync(rank.wait) == -signal.SIGKILL
        await until(lambda: bool(versions(server, "last")))
        await until(lambda: not any((agent.data / "agent" / "journal").iterdir()))
        (version,) = versions(server, "last")
        assert version["state"] == "COMMITTED"
        assert version["files"]["edges"][0]["node"]["sizeBytes"] == 3_000_000
