"""Thousands of versions of one small artifact: what they cost, and that deleting them frees it.

    python tests/perf/many_versions.py                      30,000 versions of a 1 kB file
    python tests/perf/many_versions.py --versions 3000

Logged over HTTP by four clients into four collections, then deleted one by one in a loop by one
client. Said are the seconds for both (and of the server's processor, which a busy machine changes
less), the share of manifests, how long a page of 100 versions takes, and what is left: objects on
disk, bytes of the project, and whether the books balance (`fsck`) and sum up to what is on the
disk. Exits with 1 where one of the statements does not hold; how long the deletions took is a
statement about a machine that does nothing else, and said apart.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if __package__ is None:  # started as a script
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.artifact_wire import Artifacts
from tests.support.server import running_server

if TYPE_CHECKING:
    from tests.support.server import RunningServer

CLIENTS = 4
MAX_DELETE_S = 60
MIN_FREED = 0.999
#: How long the background may take for the space of rows.
SETTLED_S = 60
LIST = """query ($name: String!) { project(name: "p", entityName: "local") {
  artifactCollection(name: $name) { artifacts(first: 100) { edges { node { id state } } } } } }"""


def log_some(server: RunningServer, collection: str, count: int) -> list[str]:
    """Log versions of a file of 1 kB; return their ids."""
    artifacts, dice = Artifacts(server), random.Random(collection)
    try:
        return [artifacts.log(collection, {"f": dice.randbytes(1000)}) for _ in range(count)]
    finally:
        artifacts.close()


def list_s(artifacts: Artifacts) -> float:
    """Return the seconds that a page of versions takes."""
    began = time.perf_counter()
    artifacts.graphql(LIST, {"name": "c0"})
    return time.perf_counter() - began


def cpu_s(server: RunningServer) -> float:
    """Return the processor's seconds that the server took so far."""
    times = psutil.Process(server.process.pid).cpu_times()
    return times.user + times.system


def is_exact(artifacts: Artifacts) -> bool:
    """Tell whether the parts sum up to the disk, as soon as nothing is being given back."""
    end_s = time.monotonic() + SETTLED_S
    while time.monotonic() < end_s:
        usage = artifacts.usage()
        if usage["physical"] == usage["disk"]:
            return True
        time.sleep(0.1)
    return False


def project_bytes(usage: dict[str, Any]) -> int:
    """Return the bytes that projects have to themselves."""
    return sum(project["exclusive"] for project in usage["projects"])


def measure(server: RunningServer, count: int) -> bool:
    """Log, look, delete; return whether all statements hold."""
    artifacts = Artifacts(server)
    began, used = time.perf_counter(), cpu_s(server)
    with ThreadPoolExecutor(CLIENTS) as pool:
        started = [
            pool.submit(log_some, server, f"c{number}", count // CLIENTS)
            for number in range(CLIENTS)
        ]
        ids = [version for each in started for version in each.result()]
    logged, used = time.perf_counter() - began, cpu_s(server) - used
    full = artifacts.usage()
    manifests = full["kinds"]["manifest"] / (1000 * len(ids))
    print(
        f"{len(ids)} versions logged in {logged:.1f} s, {len(ids) / logged:.0f}/s;"
        f" {used / len(ids) * 1000:.2f} ms of the server's processor each"
    )
    print(f"manifests: {full['kinds']['manifest']} bytes, {manifests:.1%} of the payload")
    database = (server.directory / "trackd.sqlite").stat().st_size
    print(f"database: {database / len(ids):.0f} bytes a version, the log of changes apart")
    print(f"a page of 100 versions: {list_s(artifacts) * 1000:.1f} ms")
    began, used = time.perf_counter(), cpu_s(server)
    for version in ids:
        artifacts.delete(version)
    deleted, used = time.perf_counter() - began, cpu_s(server) - used
    left = artifacts.usage()
    freed = 1 - project_bytes(left) / project_bytes(full)
    objects = sum(path.is_file() for path in (server.directory / "blobs").rglob("*"))
    is_ok, exact = artifacts.fsck()["ok"], is_exact(artifacts)
    print(
        f"deleted in {deleted:.1f} s, {len(ids) / deleted:.0f}/s;"
        f" {used / len(ids) * 1000:.2f} ms of the server's processor each; freed {freed:.3%}"
    )
    print(f"left: {objects} objects, {left['disk']} bytes on disk")
    print(f"fsck ok: {is_ok}; parts sum up to the disk: {exact}")
    print(f"deleted within {MAX_DELETE_S} s: {deleted < MAX_DELETE_S}")
    artifacts.close()
    return freed >= MIN_FREED and objects == 0 and is_ok and exact and manifests < 0.4


async def main() -> int:
    """Measure with a server of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", type=int, default=30_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        async with running_server(Path(folder)) as server:
            holds = await asyncio.to_thread(measure, server, options.versions)
    print("all hold" if holds else "NOT all hold")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
