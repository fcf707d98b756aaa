"""Where the document of a run comes from: its folder, its journals, or a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import grpc

from trackd_agent.daemon.instance import answers
from trackd_agent.daemon.leftovers import let_agent_take_over
from trackd_agent.daemon.servers import (
    NoSuchRun,
    ServerUnreachable,
    find_server,
    socket_of,
    wait_with_agent,
)
from trackd_agent.runs.folders.document import replay, run_document
from trackd_agent.runs.folders.families import grouped
from trackd_agent.runs.folders.run_folder import find_writers
from trackd_agent.runs.folders.saved_files import list_files
from trackd_agent.runs.state.environments import environment_of
from trackd_proto.layout import RunFolderFacts
from trackd_proto.v1.admin_pb2 import FlushRequest
from trackd_proto.v1.admin_pb2_grpc import AdminServiceStub
from trackd_proto.v1.common_pb2 import RunRef

if TYPE_CHECKING:
    from trackd_agent.runs.folders.document import Replay
    from trackd_agent.runs.folders.run_folder import WriterSource

_FLUSH_S = 60.0
_FRESH_S = 10.0
#: What a writer's state counts, for people.
_NOT_RECORDED = {
    "bad_payload": "records whose content is damaged",
    "line_too_long": "rows that are too long",
    "step_went_back": "rows of steps that were over",
    "summary_too_long": "versions of the summary that are too long",
}


def folder_document(run_dir: Path, data: Path, *, whole: bool = False) -> dict[str, Any]:
    """Return the document of a run folder.

    A folder of an offline run is read as it is. Journals of other runs get shorter while they
    are uploaded: the server is asked, after the agent brought it what there is, and the
    journals only count where no server answers.

    Args:
        run_dir: the folder.
        data: the data directory.
        whole: with `environments`, and what else only a server's document has.

    Raises:
        NoSuchRun: there is no run in this folder.
    """
    facts = RunFolderFacts.read(run_dir)
    if facts is not None and facts.mode != "offline":
        try:
            document = _uploaded_document(run_dir, facts, data)
        except (NoSuchRun, ServerUnreachable) as error:
            document = _recorded_document(run_dir, facts)
            _warn(f"{error}; this is what lies on this machine and may not be all")
    else:
        document = _recorded_document(run_dir, facts)
    if not whole:
        for key in ("system", "late_rows", "environments"):
            document.pop(key, None)
    return document


def server_document(path: str, data: Path, base_url: str = "") -> dict[str, Any]:
    """Return the document of `ENTITY/PROJECT/RUN` from a server.

    An agent that runs here and knows the run brings the server what it holds first: a script
    that just ended is there with its last row.

    Raises:
        NoSuchRun: the server holds no such run.
        ServerUnreachable: it does not answer.
    """
    names = path.split("/")
    socket = socket_of(data)
    if answers(socket):
        _flush(socket, RunRef(run_id=names[2], project=names[1]), _FRESH_S)
    entity, project, run = (quote(name, safe="") for name in names)
    server = find_server(data, base_url)
    try:
        document = server.get(f"/api/v1/runs/{entity}/{project}/{run}/document")
    except NoSuchRun:
        raise NoSuchRun(f"{server.base_url} has no run {path}; `trackd ls` lists runs") from None
    document["run"].pop("entity", None)  # a run folder's document has none either
    return document


def _recorded_document(run_dir: Path, facts: RunFolderFacts | None) -> dict[str, Any]:
    replays: list[Replay] = []
    for source, children in grouped(find_writers(run_dir, facts)):
        if made := replay(source, facts, children):
            replays.append(made)
            _report_loss(source, made)
            for child in children:
                _report_gaps(child)
    if not replays:
        raise NoSuchRun(f"{run_dir} holds no run: no record of one can be read there")
    files_dir = run_dir / "files"
    document = run_document(replays, files_dir if files_dir.is_dir() else None)
    told = {each.writer_id: environment_of(each.state, each.writer_id) for each in replays}
    document["environments"] = {writer_id: each for writer_id, each in told.items() if each}
    return document


def _uploaded_document(run_dir: Path, facts: RunFolderFacts, data: Path) -> dict[str, Any]:
    home = Path(facts.data_dir) if facts.data_dir else data
    let_agent_take_over(run_dir, facts)
    ref = RunRef(run_id=facts.run_id, project=facts.project, entity=facts.entity)
    _flush(_running_agent(home), ref, _FLUSH_S)
    entity = facts.entity or "local"
    document = server_document(f"{entity}/{facts.project}/{facts.run_id}", home, facts.base_url)
    files_dir = run_dir / "files"
    if files_dir.is_dir():
        policies = {f["name"]: f.get("policy") for f in document["files"]}
        known = {f["name"]: f for f in document["files"]}
        local = {f["name"]: f for f in list_files(files_dir, policies)}
        document["files"] = [{**known, **local}[name] for name in sorted({**known, **local})]
    return document


def _running_agent(data: Path) -> Path:
    """Return the agent's socket; one is started where none runs, to take up what was left."""
    path = socket_of(data)
    wait_with_agent(data, lambda: answers(path))
    return path


def _flush(socket: Path, ref: RunRef, timeout_s: float) -> None:
    """Let the agent bring everything of a run to its server, as far as it gets in this time."""
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        admin = AdminServiceStub(channel)
        try:
            admin.Flush(FlushRequest(run=ref, timeout_s=timeout_s), timeout=timeout_s + 5)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:  # it may be through already
                _warn(f"the agent did not flush the run: {error.details()}")


def _report_loss(source: WriterSource, made: Replay) -> None:
    for why, count in made.state.dropped.items():
        _warn(f"writer {source.producer}: not recorded: {_NOT_RECORDED.get(why, why)} ({count})")
    if source.torn_bytes and made.state.exit is None:
        _warn(
            f"writer {source.producer}: its journal is torn, the last {source.torn_bytes} bytes"
            " cannot be read"
        )
    _report_gaps(source)


def _report_gaps(source: WriterSource) -> None:
    if source.missing or source.damaged_bytes:
        _warn(
            f"writer {source.producer}: {source.missing} records are missing,"
            f" {source.damaged_bytes} bytes are damaged"
        )


def _warn(text: str) -> None:
    print(f"trackd: warning: {text}", file=sys.stderr)  # noqa: T201
