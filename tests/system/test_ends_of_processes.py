"""All the ways in which a training process can end: each keeps its rows and gets its state."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import anyio
import httpx
from tests.support.agent import running_agent

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 30
BEGIN = f"""
import os, sys, signal, threading, time, trackd
def init():
    return trackd.init(project="p", id=os.environ["CASE"])
def log(run):
    for n in range({ROWS}):
        run.log({{"n": n}})
"""
#: Name of the case: script, exit status of the process, state of the run.
CASES: dict[str, tuple[str, int, str]] = {
    "no-finish": ("log(init())", 0, "finished"),
    "twice": ("run = init(); log(run); run.finish(); run.finish(); trackd.finish()", 0, "finished"),
    "in-thread": (
        "def work():\n    log(init())\nt = threading.Thread(target=work); t.start(); t.join()",
        0,
        "finished",
    ),
    "finish-in-thread": (
        "run = init(); log(run); t = threading.Thread(target=run.finish); t.start(); t.join()",
        0,
        "finished",
    ),
    "in-signal-handler": (
        "signal.signal(signal.SIGUSR1, lambda *_: log(init())); os.kill(os.getpid(), 10)",
        0,
        "finished",
    ),
    "collected": ("import gc\nrun = init(); log(run); del run; gc.collect()", 0, "finished"),
    "streams-closed": (
        "run = init(); log(run); sys.stdout.close(); sys.stderr.close(); run.finish()",
        0,
        "finished",
    ),
    "no-streams": ("sys.stdout = sys.stderr = None\nrun = init(); log(run)", 0, "finished"),
    "odd-stdout": (
        (
            "class Out:\n    __slots__ = ()\n    def write(self, text): return len(text)\n"
            "    def flush(self): pass\nsys.stdout = Out(); run = init(); log(run); print(1)"
        ),
        0,
        "finished",
    ),
    "daemon-thread": (
        (
            "run = init(); log(run)\ndef on():\n    while True: run.log({'more': 1})\n"
            "threading.Thread(target=on, daemon=True).start(); time.sleep(0.1)"
        ),
        0,
        "finished",
    ),
    "exception": ("log(init()); 1 / 0", 1, "failed"),
    "sys-exit": ("log(init()); sys.exit(3)", 3, "failed"),
    "os-exit": ("log(init()); os._exit(4)", 4, "crashed"),
    "abort": ("log(init()); os.abort()", -6, "crashed"),
    "sigterm": ("log(init()); os.kill(os.getpid(), 15)", -15, "crashed"),
    "execv": ("log(init()); os.execv('/bin/sleep', ['sleep', '0.1'])", 0, "crashed"),
}


async def test_every_end_of_a_process_keeps_its_rows_and_its_state(tmp_path: Path) -> None:
    async with running_agent(tmp_path, TRACKD_SERVER__START="at_once") as agent:
        for case, (script, status, _) in CASES.items():
            done = await anyio.run_process(
                [sys.executable, "-c", BEGIN + script],
                cwd=tmp_path,
                env={**agent.environment, "CASE": case},
                stderr=subprocess.PIPE,
                check=False,
            )
            assert done.returncode == status, (case, done.stderr.decode())
        for case, (_, _, state) in CASES.items():
            found = await _document(agent.data, case)
            numbers = [row["n"] for row in found["history"] if "n" in row]
            assert numbers == list(range(ROWS)), case
            assert found["run"]["state"] == state, case


async def _document(data: Path, run_id: str) -> dict[str, Any]:
    """Return what the embedded server holds of a run, once it is over."""
    address = (data / "server" / "address").read_text().strip()
    key = (data / "server" / "api_key").read_text().strip()
    deadline = time.monotonic() + 120
    async with httpx.AsyncClient(
        base_url=address, auth=("api", key), timeout=120, trust_env=False
    ) as client:
        while True:
            answer = await client.get(f"/api/v1/runs/local/p/{run_id}/document")
            if answer.status_code == 200 and answer.json()["run"]["state"] != "running":
                return answer.json()
            assert time.monotonic() < deadline, (run_id, answer.text[:500])
            await anyio.sleep(0.1)
