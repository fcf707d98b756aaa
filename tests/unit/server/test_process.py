"""The server as a process: start, stop, kill, and what stands in its way."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import anyio
import httpx
from tests.support.server import running_server


def refused(*options: str, env: dict[str, str] | None = None) -> dict[str, str]:
    """Start a server that cannot start; return its error."""
    done = subprocess.run(
        [sys.executable, "-m", "trackd_server", "--json", *options],
        capture_output=True,
        timeout=240,
        check=False,
        env=env,
    )
    assert done.returncode == 2, done
    assert b"Traceback" not in done.stderr, done.stderr
    return json.loads(done.stdout)["error"]


async def test_it_serves_says_where_and_leaves_in_good_order(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        assert (
            httpx.get(f"{server.address}/healthz", timeout=120, trust_env=False).json()["status"]
            == "ok"
        )
        assert (server.directory / "address").read_text().strip() == server.address
        key = server.directory / "api_key"
        assert len(server.key) >= 40 and key.stat().st_mode & 0o777 == 0o600
        for path in (server.directory, server.directory / "trackd.sqlite"):
            assert path.stat().st_mode & 0o077 == 0, path
        assert await server.stop() == 0
        assert not (server.directory / "address").exists()
    async with running_server(tmp_path) as again:
        assert again.key == server.key


async def test_everything_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        rows = [json.dumps({"_step": n, "x": n}) for n in range(1000)]
        for start in range(0, 1000, 100):
            part = {"offset": start, "content": rows[start : start + 100]}
            server.stream("r", {"files": {"wandb-history.jsonl": part}})
        with server.client() as client:
            assert client.put("/files/local/p/r/a.txt", content=b"kept").status_code == 200
        await server.kill()
    async with running_server(tmp_path) as server:
        last = {"offset": 950, "content": rows[950:]}  # the retry of a lost answer
        server.stream("r", {"files": {"wandb-history.jsonl": last}})
        document = server.document("r")
        assert [row["x"] for row in document["history"]] == list(range(1000))
        assert document["files"][0]["size"] == 4


async def test_a_kill_during_uploads_leaves_no_bytes_without_owner(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        server.stream("r", {})
        with socket.create_connection(
            (server.address[7:].split(":")[0], port_of(server.address))
        ) as s:
            head = f"PUT /files/local/p/r/big HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 30}\r\n"
            token = server.headers["authorization"]
            s.sendall(f"{head}Authorization: {token}\r\n\r\n".encode())
            for _ in range(20):
                s.sendall(b"x" * (1 << 20))
            blobs = server.directory / "blobs"
            with anyio.fail_after(120):
                while not any(path.is_file() for path in blobs.rglob("*")):
                    await anyio.sleep(0.05)
            await server.kill()
    async with running_server(tmp_path) as server:
        assert not any(path.is_file() for path in (server.directory / "blobs").rglob("*"))
        assert server.document("r")["files"] == []


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


async def test_it_leaves_when_its_supervisor_is_gone(tmp_path: Path) -> None:
    async with running_server(tmp_path, options=["--exit-on-stdin-close"]) as server:
        assert server.process.stdin is not None
        server.process.stdin.close()
        with anyio.fail_after(120):
            while server.process.poll() is None:
                await anyio.sleep(0.02)
        assert server.process.returncode == 0


async def test_a_second_signal_ends_it_although_an_upload_never_does(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        server.stream("r", {})
        with socket.create_connection(("127.0.0.1", port_of(server.address))) as s:
            head = "PUT /files/local/p/r/f HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"
            token = server.headers["authorization"]
            s.sendall(f"{head}Authorization: {token}\r\nExpect: 100-continue\r\n\r\n".encode())
            assert b" 100 " in s.recv(100)  # it waits for the body
            server.process.send_signal(signal.SIGTERM)
            await _refuses_connections(server.address)
            server.process.send_signal(signal.SIGTERM)
            with anyio.fail_after(120):
                while server.process.poll() is None:
                    await anyio.sleep(0.02)
        # The signal itself ends it where this machine was so slow that it had all but left.
        assert server.process.returncode in (0, -signal.SIGTERM)


async def _refuses_connections(address: str) -> None:
    with anyio.fail_after(120):
        while True:
            try:
                socket.create_connection(("127.0.0.1", port_of(address))).close()
            except ConnectionError:
                return
            await anyio.sleep(0.02)


async def test_a_second_server_names_the_holder_of_the_directory(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        error = refused("--dir", str(server.directory), "--port", "0")
        assert error["code"] == "DIRECTORY_IN_USE"
        assert str(server.process.pid) in error["message"]
        assert (server.directory / "address").read_text().strip() == server.address


async def test_a_port_in_use_is_said_plainly(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        port = str(port_of(server.address))
        error = refused("--dir", str(tmp_path / "other"), "--port", port)
        assert error["code"] == "ADDRESS_UNUSABLE" and port in error["message"]
        assert "--port" in error["message"]


def test_an_unusable_directory_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    error = refused("--dir", str(tmp_path / "file" / "below"), "--port", "0")
    assert error["code"] == "DIRECTORY_UNUSABLE" and "--dir" in error["message"]
    error = refused("--dir", "/proc/nowhere", "--port", "0")
    assert error["code"] == "DIRECTORY_UNUSABLE"
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "trackd.sqlite").write_bytes(b"no database" * 500)
    error = refused("--dir", str(tmp_path / "junk"), "--port", "0")
    assert error["code"] == "DATABASE_UNUSABLE"
    (tmp_path / "short").mkdir()
    (tmp_path / "short" / "api_key").write_text("too-short\n")
    assert refused("--dir", str(tmp_path / "short"))["code"] == "INVALID_API_KEY"


async def test_pages_open_for_the_servers_own_user_only_by_a_name_of_this_machine(
    tmp_path: Path,
) -> None:
    async with running_server(tmp_path) as server:
        with httpx.Client(base_url=server.address, timeout=120, trust_env=False) as browser:
            assert browser.get("/").status_code == 200
            port = port_of(server.address)
            assert browser.get("/", headers={"host": f"localhost:{port}"}).status_code == 200
            rebound = browser.get("/", headers={"host": f"evil.example:{port}"})
            assert rebound.status_code == 403
            assert browser.post("/graphql", json={"query": "{viewer{id}}"}).status_code == 401
        if os.getuid() == 0:  # another user of the machine must log in
            fetch = (  # nothing imported after giving up root: the files may not be readable
                "import os, socket, sys\n'x'.encode('idna')\nos.setuid(65534)\n"
                "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
                "s.sendall(b'GET / HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n')\n"
                "print(s.recv(100).split()[1].decode())"
            )
            command = [sys.executable, "-c", fetch, str(port)]
            done = subprocess.run(command, capture_output=True, timeout=240, check=True)
            assert done.stdout.strip() == b"401"


async def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        async with httpx.AsyncClient(
            base_url=server.address, headers=server.headers, trust_env=False, timeout=240
        ) as client:

            async def write(rank: int) -> None:
                for start in range(0, 100, 10):
                    lines = [json.dumps({"_step": n, "r": rank}) for n in range(start, start + 10)]
                    body = {"files": {"wandb-history.jsonl": {"offset": start, "content": lines}}}
                    named = {"x-wandb-async-client-id": str(rank), "x-trackd-label": f"rank_{rank}"}
                    path = "/files/local/p/r/file_stream"
                    answer = await client.post(path, json=body, headers=named)
                    assert answer.status_code == 200

            async with anyio.create_task_group() as tasks:
                for rank in range(16):
                    tasks.start_soon(write, rank)
        found = [(row["r"], row["_step"]) for row in server.document("r")["history"]]
        assert found == [(rank, n) for rank in range(16) for n in range(100)]


async def test_a_run_of_a_million_rows_is_exported_in_bounded_memory(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        with server.client() as client:
            for start in range(0, 1_000_000, 50_000):
                lines = [f'{{"_step":{n},"x":{n}.5}}' for n in range(start, start + 50_000)]
                body = {"files": {"wandb-history.jsonl": {"offset": start, "content": lines}}}
                path = "/files/local/p/r/file_stream"
                assert client.post(path, json=body).status_code == 200
            count = size = 0
            kept = b""
            with client.stream("GET", "/api/v1/runs/local/p/r/document") as answer:
                for piece in answer.iter_bytes():
                    count += (kept + piece).count(b'"_step"')
                    kept = piece[-len(b'"_step"') + 1 :]
                    size += len(piece)
            assert count == 1_000_000 and size > 20_000_000
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        assert int(peak.split()[1]) < 160_000, peak
