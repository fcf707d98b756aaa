"""The life of an agent process: start, being one too many, stop, idleness, last resorts."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest
from tests.support.agent import agent_environment, running_agent

from trackd_agent.daemon.servers import agent_kept

if TYPE_CHECKING:
    from pathlib import Path


async def run_again(environment: dict[str, str], *options: str) -> tuple[int, str]:
    done = await anyio.run_process(
        [sys.executable, "-m", "trackd_agent", *options],
        env=environment,
        check=False,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout.decode()


async def test_a_second_agent_says_who_serves_and_leaves(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        status, said = await run_again(agent.environment)
        assert status == 0
        assert str(agent.pid) in said
        assert (await agent.status()).pid == agent.pid


async def test_many_that_start_at_once_are_one(tmp_path: Path) -> None:
    environment = agent_environment(tmp_path / "data")
    agents = [
        subprocess.Popen(
            [sys.executable, "-m", "trackd_agent"], env=environment, stderr=subprocess.DEVNULL
        )
        for _ in range(5)
    ]
    with anyio.fail_after(120):
        while sum(agent.poll() is None for agent in agents) > 1:
            await anyio.sleep(0.05)
    (survivor,) = [agent for agent in agents if agent.returncode is None]
    assert all(agent.returncode in (0, None) for agent in agents)
    survivor.kill()
    await anyio.to_thread.run_sync(survivor.wait)


async def test_an_agent_takes_over_from_one_that_is_just_leaving(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        await agent.kill()
        with (agent.data / "agent" / "agent.lock").open("r+b") as leaving:
            fcntl.flock(leaving, fcntl.LOCK_EX)
            agent.begin()
            await anyio.sleep(1)
            assert agent.process.poll() is None
        await agent.wait_listening()
        assert (await agent.status()).pid == agent.pid


async def test_an_agent_starts_over_what_a_killed_one_left(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        await agent.kill()
        assert agent.socket.exists()
        await agent.start()
        assert (await agent.status()).pid == agent.pid


async def test_sigterm_ends_it_and_cleans_up(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        async with agent.admin():
            assert await agent.terminate() == 0
        assert not agent.socket.exists()


async def test_sigint_ends_it_too(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        agent.signal(signal.SIGINT)
        assert await agent.wait() == 0


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        agent.signal(signal.SIGTERM)
        agent.signal(signal.SIGINT)
        assert await agent.wait() in (0, 1)


async def test_an_agent_whose_server_is_in_use_is_not_idle(tmp_path: Path) -> None:
    async with running_agent(tmp_path, TRACKD_IDLE_TIMEOUT="1000") as agent:
        with agent_kept(agent.data), anyio.fail_after(120):
            seen = 0
            while seen < 20:  # one after the other: ours, and the one that asks
                status = await agent.status()
                seen = seen + 1 if status.connections > 1 and not status.idle_exit_in_s else 0
                await anyio.sleep(0.1)
        with anyio.fail_after(120):
            while not (await agent.status()).idle_exit_in_s:
                await anyio.sleep(0.1)


async def test_an_idle_agent_leaves(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text("first_rank_timeout_s = 0.2\n")
    config = str(tmp_path / "agent.toml")
    async with running_agent(
        tmp_path, started=False, TRACKD_IDLE_TIMEOUT="0", TRACKD_CONFIG=config
    ) as agent:
        agent.begin()  # it may be gone before anybody sees it listen
        assert await agent.wait() == 0


async def test_a_new_agent_waits_for_its_first_rank(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text("first_rank_timeout_s = 1000\n")
    config = str(tmp_path / "agent.toml")
    async with running_agent(tmp_path, TRACKD_IDLE_TIMEOUT="0", TRACKD_CONFIG=config) as agent:
        await anyio.sleep(1.0)
        assert agent.process.poll() is None
        left_s = 0.0
        with anyio.fail_after(120):
            while not left_s:  # while the last question's connection is open it is not idle
                left_s = (await agent.status()).idle_exit_in_s
        assert left_s <= 1000


async def test_an_agent_without_its_data_directory_leaves(tmp_path: Path) -> None:
    async with running_agent(tmp_path) as agent:
        await agent.status()  # it is up
        shutil.rmtree(agent.data)
        assert await agent.wait() == 1
        assert not agent.data.exists()


async def test_an_unwritable_data_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")  # root may write anywhere, but not below a file
    status, said = await run_again(agent_environment(tmp_path / "data"))
    assert status == 2
    assert str(tmp_path / "data") in said
    assert "TRACKD_DIR" in said


async def test_a_wrong_setting_ends_the_start_before_a_socket_opens(tmp_path: Path) -> None:
    environment = agent_environment(tmp_path / "data", TRACKD_JOURNAL__SYNC="maybe")
    status, said = await run_again(environment)
    assert status == 2
    assert "journal.sync='maybe'" in said
    assert not (tmp_path / "data" / "run").exists()


async def test_a_taken_port_moves_the_embedded_server(tmp_path: Path) -> None:
    server = tmp_path / "data" / "server"
    server.mkdir(parents=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (server / "port").write_text(str(port))
        async with running_agent(tmp_path, TRACKD_SERVER__START="at_once") as agent:
            with anyio.fail_after(120):
                while (await agent.status()).upstreams[0].state != "ready":
                    await anyio.sleep(0.1)
            assert not (await agent.status()).upstreams[0].base_url.endswith(f":{port}")
            await agent.terminate()


async def test_the_server_comes_back_at_its_address_and_leaves_with_the_agent(
    tmp_path: Path,
) -> None:
    async with running_agent(tmp_path, TRACKD_SERVER__START="at_once") as agent:

        async def ready() -> str:
            with anyio.fail_after(120):
                while (state := (await agent.status()).upstreams[0]).state != "ready":
                    await anyio.sleep(0.05)
            return state.base_url

        address = await ready()
        lock = agent.data / "server" / "server.lock"
        first_pid = int(lock.read_text())
        os.kill(first_pid, signal.SIGKILL)
        with anyio.fail_after(120):
            while int(lock.read_text() or first_pid) == first_pid:
                await anyio.sleep(0.05)
        assert await ready() == address
        second_pid = int(lock.read_text())
        await agent.kill()
        with anyio.fail_after(120):
            while is_running(second_pid):
                await anyio.sleep(0.05)


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"
    return False


async def test_systemd_hears_ready_and_stopping(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(120)
        async with running_agent(
            tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="600000"
        ) as agent:
            heard = (await anyio.to_thread.run_sync(manager.recv, 4096)).decode()
            assert heard.splitlines()[0] == "READY=1"
            while "WATCHDOG=1" not in heard:
                heard = (await anyio.to_thread.run_sync(manager.recv, 4096)).decode()
            await agent.terminate()
            manager.setblocking(False)
            rest: list[str] = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    rest.append(manager.recv(4096).decode())
            assert any("STOPPING=1" in text for text in rest)


async def test_a_socket_from_systemd_is_served(tmp_path: Path) -> None:
    path = tmp_path / "data" / "run" / "agent.sock"
    path.parent.mkdir(parents=True, mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        launcher = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3, inheritable=True); "
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
            "os.execv(sys.executable, [sys.executable, '-m', 'trackd_agent'])"
        )
        async with running_agent(tmp_path, started=False) as agent:
            with (tmp_path / "data.agent.log").open("wb") as log:
                agent.process = subprocess.Popen(
                    [sys.executable, "-c", launcher, str(listener.fileno())],
                    env=agent.environment,
                    pass_fds=(listener.fileno(),),
                    stderr=log,
                )
            assert (await agent.status()).pid == agent.pid
            assert await agent.terminate() == 0
            assert path.exists()  # systemd's, not ours


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize(
    ("unit", "scope"),
    [
        ("trackd-agent.service", "--system"),
        ("trackd-agent.socket", "--system"),
        ("trackd-agent-user.service", "--user"),
    ],
)
def test_the_units_are_valid(tmp_path: Path, unit: str, scope: str) -> None:
    folder = os.path.join(os.path.dirname(__file__), "..", "..", "systemd")
    done = subprocess.run(
        ["systemd-analyze", scope, "verify", os.path.join(folder, unit)],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "trackd" not in done.stderr, done.stderr
