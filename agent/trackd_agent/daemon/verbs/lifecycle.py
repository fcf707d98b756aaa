"""`trackd up` and `trackd down`."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, NoReturn

import click

from trackd_proto import layout

if TYPE_CHECKING:
    from pathlib import Path

    from trackd_proto.v1 import admin_pb2

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_POLL_S = 0.05
_LOG_LINES = 10


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def up(*, as_json: bool) -> None:
    """Start the agent in the background, or say that it runs.

    It stays when this shell ends, and leaves by itself when it was idle for a while
    (TRACKD_IDLE_TIMEOUT seconds). Ranks start one by themselves where none runs.

    Exit status 1: it does not start; the end of its log is shown.

    Example: trackd up
    """
    from trackd_agent.daemon.admin_client import NoAgent, connected
    from trackd_agent.daemon.servers import start_agent

    data = layout.data_dir()
    started = False
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    process = None
    log_from = _log_size(data)
    while True:
        try:
            with connected() as client:
                status = client.status()
        except NoAgent:
            if process is None:
                try:
                    process = start_agent(data)
                except OSError as error:
                    _fail(
                        f"cannot use the data directory {data}: {error.strerror}; "
                        "set TRACKD_DIR to a folder on a local disk that you can write to",
                        as_json=as_json,
                    )
                started = True
            elif process.poll() not in (None, 0) or time.monotonic() > deadline_s:
                said = _end_of_log(data, log_from)
                _fail(f"the agent does not start:\n{said}", as_json=as_json)
        else:
            waiting = any(each.state == "starting" for each in status.upstreams)
            if not (started and waiting) or time.monotonic() > deadline_s:
                break
        time.sleep(_POLL_S)
    _report(status, started=started, as_json=as_json)


@click.command()
@click.option("--now", is_flag=True, help="Leave at once, without draining; nothing gets lost.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def down(*, now: bool, as_json: bool) -> None:
    """Stop the agent and its server.

    Ranks that still run keep their rows on disk and start a new agent after a few seconds.

    Exit status 1: it does not stop.

    Example: trackd down
    """
    from trackd_agent.daemon.admin_client import NoAgent, connected

    try:
        with connected() as client:
            pid = client.status().pid
            client.shutdown(immediate=now)
    except NoAgent as error:
        if as_json:
            click.echo(json.dumps({"stopped": False, "running": False}))
        else:
            click.echo(str(error).partition(";")[0])
        return
    deadline_s = time.monotonic() + _STOP_TIMEOUT_S
    while _lives(pid):
        if time.monotonic() > deadline_s:
            _fail(f"agent {pid} does not stop", as_json=as_json)
        time.sleep(_POLL_S)
    click.echo(json.dumps({"stopped": True, "pid": pid}) if as_json else f"agent {pid} stopped")


def _report(status: admin_pb2.GetStatusResponse, *, started: bool, as_json: bool) -> None:
    server = next((each for each in status.upstreams), None)
    address = server.base_url if server else ""
    if as_json:
        facts = {
            "started": started,
            "pid": status.pid,
            "sockets": list(status.sockets),
            "server": address,
            "data_dir": status.data_dir,
        }
        click.echo(json.dumps(facts))
        return
    word = "started" if started else "already runs"
    click.echo(f"agent {word}: process {status.pid} at {', '.join(status.sockets)}")
    if address:
        click.echo(f"server: {address}")
    elif server is not None:
        click.echo(f"server: {server.state.replace('_', ' ')}")
    click.echo(f"data: {status.data_dir}")


def _fail(text: str, *, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(json.dumps({"error": {"code": "FAILED", "message": text}}))
    else:
        click.echo(f"trackd: {text}", err=True)
    sys.exit(1)


def _log_size(data: Path) -> int:
    try:
        return (data / "agent" / "agent.log").stat().st_size
    except OSError:
        return 0


def _end_of_log(data: Path, after_bytes: int) -> str:
    """Return the last lines of the log behind a position."""
    try:
        said = (data / "agent" / "agent.log").read_bytes()[after_bytes:]
    except OSError:
        said = b""
    lines = said.decode(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_LINES:]) or "it left no log"


def _lives(pid: int) -> bool:
    """Tell whether a process is there and no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
