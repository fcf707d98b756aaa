"""Large files of ranks on the server's machine: taken over whole, stored once, read the same."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from tests.support.agent import running_agent
from tests.support.runs import until
from tests.support.server import running_server
from tests.system.test_artifact_saves import begin, is_in_order, versions
from tests.system.test_recovery_of_runs import settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.server import RunningServer

SIZE = 48 * 1024 * 1024
#: Logs a file, the same with 2 MiB changed right after it, and one more that has nothing of them.
CHECKPOINTS = """
import hashlib, os, random, sys, trackd
size = int(sys.argv[1])
draw = random.Random(5)
data = bytearray(draw.randbytes(size))
path = "model"
run = trackd.init(project="p", id="r1", settings=trackd.Settings(x_disable_stats=True))
for number in range(3):
    with open(path, "wb") as file:
        file.write(data)
    artifact = trackd.Artifact("model", "data")
    artifact.add_file(path)
    run.log_artifact(artifact).wait()
    print(hashlib.md5(data).hexdigest(), flush=True)
    if number == 0:
        data[size // 2:size // 2 + 2**21] = draw.randbytes(2**21)
    else:
        data = draw.randbytes(size)
run.finish()
"""


def stored_bytes(server: RunningServer) -> int:
    return sum(path.stat().st_size for path in (server.directory / "blobs").rglob("*/*"))


async def test_checkpoints_do_not_travel_and_are_stored_once(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path) as server,
        running_agent(tmp_path, **settings_for(server)) as agent,
    ):
        script = tmp_path / "train.py"
        script.write_text(CHECKPOINTS)
        rank = await anyio.run_process(
            [sys.executable, str(script), str(SIZE)], cwd=tmp_path, env=agent.environment
        )
        digests = rank.stdout.decode().split()[-3:]
        assert await agent.flush()
        (state,) = (await agent.status()).upstreams
        assert state.bytes_sent < 0.1 * SIZE  # the changed part of the second one
        await until(lambda: 2 * SIZE < stored_bytes(server) < 2.1 * SIZE)
        for version, digest in zip(versions(server, "model"), digests, strict=True):
            (file,) = version["files"]["edges"]
            with server.client() as client:
                content = client.get(file["node"]["directUrl"]).content
            assert hashlib.md5(content).hexdigest() == digest
        assert is_in_order(server)
        assert not any((server.directory / "inbox").iterdir())
        assert not list(tmp_path.glob("trackd/run-*/artifacts/*"))


#: Logs a file in place, which stays the user's own.
IN_PLACE = """
import os, sys, trackd
with open("own", "wb") as file:
    file.write(os.urandom(int(sys.argv[1])))
run = trackd.init(project="p", id="r1", settings=trackd.Settings(x_disable_stats=True))
artifact = trackd.Artifact("own", "data")
artifact.add_file("own", policy="immutable")
run.log_artifact(artifact).wait()
with open("own", "r+b") as file:
    file.write(b"changed")
run.finish()
"""


async def test_a_file_of_the_user_is_never_taken_over(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path) as server,
        running_agent(tmp_path, **settings_for(server)) as agent,
    ):
        rank = begin(agent, tmp_path, IN_PLACE, "4000000")
        assert await anyio.to_thread.run_sync(rank.wait) == 0
        assert (tmp_path / "own").stat().st_nlink == 1
        assert (tmp_path / "own").read_bytes().startswith(b"changed")
        assert is_in_order(server)


#: A server of ours behind a proxy that lets nothing pass but what other servers have, too.
BEHIND_A_PROXY = (
    "-c",
    """
from starlette.responses import PlainTextResponse
from trackd_server.api import adoption, content_reads

async def refused(request):
    return PlainTextResponse("who are you?", 418)

adoption.adopt = content_reads.extents = content_reads.read = refused
from trackd_server.app.verbs import server
server(prog_name="trackd server")
""",
)
THERE_AND_BACK = """
import os, trackd
run = trackd.init(project="p", id="r1", settings=trackd.Settings(x_disable_stats=True))
artifact = trackd.Artifact("model", "data")
for name, size in (("large", 3_000_000), ("small", 1000)):
    with artifact.new_file(name, mode="wb") as file:
        file.write(os.urandom(size))
run.log_artifact(artifact).wait()
run.finish()
artifact.verify(artifact.download(root="back", skip_cache=True))
"""


async def test_a_proxy_that_knows_no_short_cuts_is_no_hindrance(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path, program=BEHIND_A_PROXY) as server,
        running_agent(tmp_path, **settings_for(server)) as agent,
    ):
        rank = begin(agent, tmp_path, THERE_AND_BACK)
        assert await anyio.to_thread.run_sync(rank.wait) == 0
        assert [path.name for path in sorted((tmp_path / "back").iterdir())] == ["large", "small"]
        assert "files_not_adopted" in agent.log
        assert is_in_order(server)
