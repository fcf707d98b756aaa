"""What can keep a run from being recorded or uploaded: each check looks and says what it saw."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from trackd.account import keys
from trackd.recording.spool_place import network_file_system
from trackd.sending import quiet_grpc
from trackd.settings import misspelt_in
from trackd_proto import layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trackd.sending.discovery import Discovery
    from trackd.settings import Loaded
    from trackd_proto.v1 import admin_pb2, admin_pb2_grpc

#: Less than this is a problem: journals and spools need room.
_LEAST_FREE_BYTES = 1 << 30
_CALL_TIMEOUT_S = 5.0
_SERVER_STATES = ("ready", "starting", "not_started")
#: States of collectors that need no reason of their own.
_STATES = {"off": "switched off by the agent's settings", "waiting": "not read so far"}
#: Collectors that read what a run's setting names.
_ASKED_BY = {"dcgm": "x_stats_dcgm_exporter", "openmetrics": "x_stats_open_metrics_endpoints"}
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw; `remedy` is empty where all is well."""

    subject: str
    text: str
    remedy: str = ""

    @property
    def is_well(self) -> bool:
        """Whether nothing is to be done."""
        return not self.remedy


def findings(loaded: Loaded, discovery: Discovery) -> Iterator[Finding]:
    """Yield what there is to say, most important first."""
    yield from _settings(loaded)
    yield from _disk(discovery.data_dir)
    yield from _spool(discovery.data_dir)
    yield from _agent(discovery)
    yield from _server(loaded)


def _settings(loaded: Loaded) -> Iterator[Finding]:
    files = ", ".join(map(str, loaded.files)) or "no settings file"
    yield Finding("settings", f"{files}, {len(loaded.environ)} environment variables")
    for problem in loaded.problems:
        yield Finding("settings", problem, "correct the file or remove it")
    for name, meant in misspelt_in(os.environ).items():
        yield Finding("settings", f"{name} sets nothing", f"is {meant} meant?")


def _disk(data: Path) -> Iterator[Finding]:
    there = next(folder for folder in (data, *data.parents) if folder.exists())
    remedy = "set TRACKD_DIR to a folder on a local disk that you may write to"
    if not os.access(there, os.W_OK | os.X_OK):
        yield Finding("data", f"{there} cannot be written", remedy)
        return
    if kind := network_file_system(there):
        yield Finding("data", f"{data} is on a network file system ({kind})", remedy)
        return
    free = shutil.disk_usage(there).free
    short = "free some space, or set TRACKD_DIR to another disk"
    yield Finding("data", f"{data}, {size(free)} free", short if free < _LEAST_FREE_BYTES else "")


def _spool(data: Path) -> Iterator[Finding]:
    root = layout.spool_root(data)
    segments = [path for path in root.glob("*/*") if path.is_file()] if root.is_dir() else []
    folders = {path.parent for path in segments}
    total = sum(path.stat().st_blocks * 512 for path in segments if path.exists())
    yield Finding("spool", f"{_counted(len(folders), 'writer')}, {size(total)} on disk")


def _agent(discovery: Discovery) -> Iterator[Finding]:
    if not discovery.is_listening():
        where = discovery.target
        if discovery.is_given:
            yield Finding("agent", f"none at {where}", "start it, or unset TRACKD_SERVICE")
        else:
            yield Finding("agent", f"none at {where}; `init` starts one")
        yield Finding(
            "monitor", "what devices are here an agent tells: `trackd up`, then ask again"
        )
        return
    status = _ask(discovery.target, _get_status)
    if status is None:
        remedy = f"see {discovery.data_dir / 'agent' / 'agent.log'}; `trackd down`, `trackd up`"
        yield Finding("agent", f"at {discovery.target}: it does not answer", remedy)
        return
    yield Finding(
        "agent",
        f"process {status.pid}, version {status.version}, at {discovery.target}; "
        f"{_counted(len(status.runs), 'run')}, {size(status.backlog_bytes)} to upload",
    )
    for upstream in status.upstreams:
        text = f"{upstream.name} at {upstream.base_url or '?'}: {upstream.state}"
        well = upstream.state in _SERVER_STATES
        remedy = "" if well else f"{upstream.problem or 'see `trackd status`'}"
        yield Finding("server", text, remedy)
    yield from _monitor(discovery)


def _monitor(discovery: Discovery) -> Iterator[Finding]:
    """Yield what each collector of system metrics found here, or why it did not."""
    node = _ask(discovery.target, _read_node)
    if node is None:
        yield Finding("monitor", "the agent cannot say what it measures", "see `trackd status`")
        return
    for each in node.collectors:
        parts = "".join(f"; not read: {problem}" for problem in each.problems)
        if each.state == "ok":
            yield Finding(
                "monitor", f"{each.name}: found, read in {each.duration_ms:.1f} ms{parts}"
            )
        elif each.state == "failing":
            often = f"{each.failures} of {each.ticks} readings failed"
            log, name = discovery.data_dir / "agent" / "agent.log", each.name
            yield Finding(
                "monitor",
                f"{name}: {often}: {each.reason}",
                (f"is {_ASKED_BY[name]} of the run right? " if name in _ASKED_BY else "")
                + f"see {log}; TRACKD_MONITOR__COLLECTORS='{{\"{name}\": false}}' for the agent "
                "switches it off",
            )
        else:
            reason = _STATES.get(each.state, each.reason)
            yield Finding("monitor", f"{each.name}: not used: {reason}{parts}")


def _server(loaded: Loaded) -> Iterator[Finding]:
    settings = loaded.settings
    address = settings.base_url
    if not address:
        yield Finding("server", "the agent's own one (no base_url is set)")
    elif settings.api_key:
        yield Finding("server", f"{address}, key from {loaded.sources.get('api_key', 'settings')}")
    elif source := keys.find(address)[1]:
        yield Finding("server", f"{address}, key from {source}")
    else:
        yield Finding("server", f"{address}, no API key", "run `trackd login`")


def _get_status(admin: admin_pb2_grpc.AdminServiceStub) -> admin_pb2.GetStatusResponse:
    from trackd_proto.v1 import admin_pb2

    return admin.GetStatus(admin_pb2.GetStatusRequest(), timeout=_CALL_TIMEOUT_S)


def _read_node(admin: admin_pb2_grpc.AdminServiceStub) -> admin_pb2.ReadNodeResponse:
    from trackd_proto.v1 import admin_pb2

    return admin.ReadNode(admin_pb2.ReadNodeRequest(), timeout=_CALL_TIMEOUT_S)


def _ask(target: str, call: Callable[[admin_pb2_grpc.AdminServiceStub], Answer]) -> Answer | None:
    """Return what the agent answers; None: it does not."""
    quiet_grpc.load()
    import grpc

    from trackd_proto.v1 import admin_pb2_grpc

    with grpc.insecure_channel(target) as channel:
        try:
            return call(admin_pb2_grpc.AdminServiceStub(channel))
        except grpc.RpcError:
            return None


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def size(count: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
