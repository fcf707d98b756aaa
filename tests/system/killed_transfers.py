"""Transfers of one large file that die half way: what goes twice, and what becomes of them.

    python -m tests.system.killed_transfers                             4 GiB, all cases
    python -m tests.system.killed_transfers --bytes 100000000 --case "agent, in parts"

A rank logs a file of random bytes in place, so that no server takes a copy over; all that goes to
the server passes a relay that counts it. At half of it the victims get SIGKILL; agent and server
come back, a rank does not. Said are the bytes that went twice, whether the version is there exactly
once, whether it holds the same bytes, and whether the server's books balance. A download is killed
in the same way, from a server that an agent does not know as its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import math
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from tests.support.agent import running_agent
from tests.support.server import WHOLE, WITHOUT_CHUNKS, running_server
from tests.system.test_recovery_of_runs import settings_for

from trackd_agent.daemon.instance import answers
from trackd_proto import layout

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from tests.support.agent import RunningAgent
    from tests.support.server import RunningServer

#: The goal: no more than this goes twice, however large the file is.
MAX_TWICE_BYTES = 64_000_000
_BLOCK_BYTES = 4 * 1024 * 1024
_BUFFER_BYTES = 256 * 1024
_TIMEOUT_S = 900.0

RANK = """
import sys, trackd
run = trackd.init(project="p", id="r1", settings=trackd.Settings(x_disable_stats=True))
artifact = trackd.Artifact("big", "data")
artifact.add_file(sys.argv[1], policy="immutable")
run.log_artifact(artifact)
run.finish()
"""

#: Downloads what was logged, into a folder in which something lies already.
READER = """
import pathlib, sys, trackd
root = pathlib.Path(sys.argv[1])
root.mkdir()
(root / "notes").write_text("mine")
trackd.Api().artifact("local/p/big:v0").download(str(root), skip_cache=True)
"""

VERSIONS = """query { project(name: "p", entityName: "local") {
  artifactType(name: "data") { artifactCollection(name: "big") { artifacts(first: 100) {
    edges { node { versionIndex state files(first: 10) { edges { node {
      name directUrl sizeBytes } } } } } } } } } }"""


@dataclass(frozen=True)
class Case:
    """Who dies, and how the file travels.

    Attributes:
        victims: what is killed.
        in_parts: towards a server that knows nothing of chunks.
        is_download: it dies on its way back.
    """

    victims: tuple[str, ...]
    in_parts: bool = False
    is_download: bool = False


CASES = {
    "agent": Case(("agent",)),
    "rank": Case(("rank",)),
    "agent and server": Case(("agent", "server")),
    "agent, in parts": Case(("agent",), in_parts=True),
    "agent and server, in parts": Case(("agent", "server"), in_parts=True),
    "agent, downloading": Case(("agent",), in_parts=True, is_download=True),
}


@dataclass(frozen=True)
class Outcome:
    """What was found.

    Attributes:
        size_bytes: of the file.
        moved_bytes: all that went to the server, or came from it.
        states: of the versions that are there in the end.
        is_same: whether the version has the bytes of the file.
        is_in_order: whether the server's books and disk agree.
        took_s: from the beginning to the end.
        killed_at_bytes: what had gone, or come, when the victims died.
    """

    size_bytes: int
    moved_bytes: int
    states: list[str]
    is_same: bool
    is_in_order: bool
    took_s: float
    killed_at_bytes: int = 0

    @property
    def twice_bytes(self) -> int:
        """What travelled beside the bytes of the file, heads and questions included."""
        return self.moved_bytes - self.size_bytes

    @property
    def problems(self) -> list[str]:
        """What must not be."""
        found = {
            f"{self.twice_bytes} bytes went twice": self.twice_bytes > MAX_TWICE_BYTES,
            f"versions: {self.states}": self.states != ["COMMITTED"],
            "other bytes than were logged": not self.is_same,
            "the server's books do not balance": not self.is_in_order,
        }
        return [problem for problem, is_so in found.items() if is_so]


@dataclass
class Relay:
    """Passes connections on to a server, and counts what goes there and comes back.

    From `hold_sent_bytes` or `hold_received_bytes` on nothing passes until it may go on: whoever is
    killed then dies half way, however fast the transfer is.
    """

    port: int
    listener: socket.socket
    sent_bytes: int = 0
    received_bytes: int = 0
    hold_sent_bytes: float = math.inf
    hold_received_bytes: float = math.inf
    is_held: threading.Event = field(default_factory=threading.Event)
    may_go_on: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        """Pass connections on until the listener is shut down, and they have ended."""
        passing: list[threading.Thread] = []
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                passing.append(threading.Thread(target=self._pass_both_ways, args=(near,)))
                passing[-1].start()
        for thread in passing:
            thread.join()

    def _pass_both_ways(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self.port))
        except OSError:  # the server is just dead
            near.close()
            return
        for each in (near, far):  # what waits in here has neither gone nor come
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        with near, far:
            back = threading.Thread(target=self._pass_on, args=(far, near, False))
            back.start()
            self._pass_on(near, far, True)
            back.join()

    def _hold(self) -> None:
        sent, received = self.sent_bytes, self.received_bytes
        if sent >= self.hold_sent_bytes or received >= self.hold_received_bytes:
            self.is_held.set()
            self.may_go_on.wait()

    def _pass_on(self, source: socket.socket, target: socket.socket, goes_there: bool) -> None:
        buffer = memoryview(bytearray(_BUFFER_BYTES))
        with contextlib.suppress(OSError):  # one of them was killed
            while count := source.recv_into(buffer):
                with self._lock:
                    if goes_there:
                        self.sent_bytes += count
                    else:
                        self.received_bytes += count
                self._hold()
                target.sendall(buffer[:count])
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def relay_to(server: RunningServer) -> Generator[Relay]:
    """Run a relay in front of a server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay = Relay(urlsplit(server.address).port or 0, listener)
        serving = threading.Thread(target=relay.serve)
        serving.start()
        try:
            yield relay
        finally:
            relay.may_go_on.set()
            listener.shutdown(socket.SHUT_RDWR)
            serving.join()


def write_random(path: Path, size_bytes: int) -> str:
    """Fill a file with bytes that repeat nowhere; return their MD5."""
    dice, digest = random.Random(1), hashlib.md5(usedforsecurity=False)
    with path.open("wb") as file:
        for at in range(0, size_bytes, _BLOCK_BYTES):
            block = dice.randbytes(min(_BLOCK_BYTES, size_bytes - at))
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


class Cluster(NamedTuple):
    """What a case runs with: servers one after another, what counts, an agent, what ends them."""

    servers: list[RunningServer]
    relay: Relay
    agent: RunningAgent
    stack: contextlib.AsyncExitStack


@contextlib.asynccontextmanager
async def running_cluster(
    folder: Path, *, in_parts: bool, **settings: str
) -> AsyncGenerator[Cluster]:
    """Run a server, a relay in front of it, and an agent; a second server goes into the list."""
    program = WITHOUT_CHUNKS if in_parts else WHOLE
    sizes = {"TRACKD_ARTIFACTS__MULTIPART_BYTES": str(64 * 1024**2)} if in_parts else {}
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_server(folder, program=program))
        relay = stack.enter_context(relay_to(server))
        given: dict[str, Any] = settings_for(server) | sizes
        given |= settings | {"TRACKD_BASE_URL": relay.address, "TRACKD_IDLE_TIMEOUT": "5"}
        agent = await stack.enter_async_context(running_agent(folder, **given))
        yield Cluster([server], relay, agent, stack)


async def kill_half_way(folder: Path, size_bytes: int, case: Case, **settings: str) -> Outcome:
    """Log a file, kill at half of its upload, and look what becomes of it."""
    file = folder / "big"
    md5 = await anyio.to_thread.run_sync(write_random, file, size_bytes)
    began_s = time.monotonic()
    with anyio.fail_after(_TIMEOUT_S):
        async with running_cluster(folder, in_parts=case.in_parts, **settings) as cluster:
            servers, relay, agent, stack = cluster
            if case.is_download:
                return await _kill_download(cluster, folder, (size_bytes, md5), began_s)
            relay.hold_sent_bytes = size_bytes // 2
            rank = _begin(agent, folder, RANK, file)
            while not relay.is_held.is_set():
                assert rank.poll() is None, "the rank ended early"
                await anyio.sleep(0.005)
            killed_at_bytes = relay.sent_bytes
            if "rank" in case.victims:
                rank.kill()
            if "agent" in case.victims:
                await agent.kill()
            if "server" in case.victims:
                await servers[0].kill()
                program = WITHOUT_CHUNKS if case.in_parts else WHOLE
                again = running_server(folder, port=relay.port, program=program)
                servers.append(await stack.enter_async_context(again))
            relay.may_go_on.set()
            if "agent" in case.victims:
                await agent.start()
            status = await anyio.to_thread.run_sync(rank.wait)
            assert status == (-signal.SIGKILL if "rank" in case.victims else 0)
            assert await agent.flush(_TIMEOUT_S)
            sent_bytes = relay.sent_bytes
            outcome = await anyio.to_thread.run_sync(
                _look, servers[-1], (size_bytes, sent_bytes), md5, time.monotonic() - began_s
            )
            return replace(outcome, killed_at_bytes=killed_at_bytes)


async def _kill_download(
    cluster: Cluster, folder: Path, content: tuple[int, str], began_s: float
) -> Outcome:
    servers, relay, agent, _ = cluster
    size_bytes, md5 = content
    root = folder / "root"
    assert await anyio.to_thread.run_sync(_begin(agent, folder, RANK, folder / "big").wait) == 0
    assert await agent.flush(_TIMEOUT_S)
    before_bytes = relay.received_bytes
    relay.hold_received_bytes = before_bytes + size_bytes // 2
    reader = _begin(agent, folder, READER, root)
    while not relay.is_held.is_set():
        assert reader.poll() is None, "the download ended early"
        await anyio.sleep(0.005)
    assert not (root / "big").exists()
    killed_at_bytes = relay.received_bytes - before_bytes
    await agent.kill()
    relay.may_go_on.set()
    assert await anyio.to_thread.run_sync(reader.wait) == 0  # it started another agent
    moved_bytes = relay.received_bytes - before_bytes
    outcome = await anyio.to_thread.run_sync(
        _look, servers[-1], (size_bytes, moved_bytes), md5, time.monotonic() - began_s
    )
    is_same = await anyio.to_thread.run_sync(_md5_of, root / "big") == md5
    with contextlib.suppress(ProcessLookupError):  # the reader's agent, unless it has left
        os.kill(int(layout.agent_lock(agent.data).read_text()), signal.SIGTERM)
    while answers(agent.socket):
        await anyio.sleep(0.1)
    holds_that_alone = sorted(path.name for path in root.iterdir()) == ["big", "notes"]
    is_same = outcome.is_same and is_same and holds_that_alone
    return replace(outcome, is_same=is_same, killed_at_bytes=killed_at_bytes)


def _md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _begin(
    agent: RunningAgent, folder: Path, source: str, argument: Path
) -> subprocess.Popen[bytes]:
    script = folder / "script.py"
    script.write_text(source)
    command = [sys.executable, str(script), str(argument)]
    return subprocess.Popen(command, cwd=folder, env=agent.environment)


def _look(server: RunningServer, size: tuple[int, int], md5: str, took_s: float) -> Outcome:
    project: dict[str, Any] = server.graphql(VERSIONS)["project"]
    edges = project["artifactType"]["artifactCollection"]["artifacts"]["edges"]
    versions = [edge["node"] for edge in edges]
    with server.client() as client:
        ok = client.get("/api/v1/fsck", params={"verify": "true"}, timeout=_TIMEOUT_S).json()["ok"]
        is_same = bool(versions)
        for version in versions:
            (held,) = version["files"]["edges"]
            digest = hashlib.md5(usedforsecurity=False)
            with client.stream("GET", held["node"]["directUrl"]) as answer:
                for piece in answer.iter_bytes(_BLOCK_BYTES):
                    digest.update(piece)
            is_same = is_same and digest.hexdigest() == md5
    states = [version["state"] for version in versions]
    return Outcome(*size, states, is_same, ok, took_s)


async def main() -> int:
    """Run the cases; exit status 1 when one of them is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=4 * 1024**3)
    parser.add_argument("--case", choices=CASES, action="append")
    options = parser.parse_args()
    is_bad = False
    for name in options.case or CASES:
        with tempfile.TemporaryDirectory() as folder:
            outcome = await kill_half_way(Path(folder), options.bytes, CASES[name])
        is_bad = is_bad or bool(outcome.problems)
        told = {
            "case": name,
            "file_bytes": outcome.size_bytes,
            "killed_at_bytes": outcome.killed_at_bytes,
            "twice_bytes": outcome.twice_bytes,
            "took_s": round(outcome.took_s, 1),
            "problems": outcome.problems,
        }
        print(json.dumps(told), flush=True)
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
