"""Between protobuf and the plain dataclasses of the other rooms: checks on the way in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from trackd_agent.core.errors import InvalidRequest
from trackd_agent.runs.options import (
    AttachOptions,
    ContinueOptions,
    MonitorHints,
    RunChanges,
    RunRef,
)
from trackd_proto.v1 import common_pb2, run_pb2

if TYPE_CHECKING:
    from trackd_agent.runs.options import EarlierRun, RunSnapshot, WriterSnapshot

_MODES = {
    run_pb2.MODE_ONLINE: "online",
    run_pb2.MODE_OFFLINE: "offline",
    run_pb2.MODE_SHARED: "shared",
}
_MODE_NUMBERS = {name: number for number, name in _MODES.items()}
_MAX_UINT64 = 2**64 - 1
_LEVELS = {
    "info": run_pb2.Notice.LEVEL_INFO,
    "warning": run_pb2.Notice.LEVEL_WARNING,
    "error": run_pb2.Notice.LEVEL_ERROR,
}


def run_ref(message: common_pb2.RunRef) -> RunRef:
    """Return which run is meant.

    Raises:
        InvalidRequest: no run is named.
    """
    if not message.run_id:
        raise InvalidRequest(
            "MISSING_FIELD", "run.run_id must name a run", details={"field": "run.run_id"}
        )
    return RunRef(message.run_id, message.project, message.entity)


def attach_options(request: run_pb2.AttachRequest) -> AttachOptions:
    """Return what a writer asks for.

    Raises:
        InvalidRequest: the mode is not one of ours.
    """
    mode = _mode(request.mode)
    for field, value in (("run_dir", request.run_dir), ("spool_dir", request.spool_dir)):
        if "\0" in value or (value and not value.startswith("/")):
            raise InvalidRequest(
                f"INVALID_{field.upper()}",
                f"{field}={value[:200]!r} must be an absolute path",
                details={"field": field, "value": value[:200]},
            )
    return AttachOptions(
        run_id=request.run.run_id,
        project=request.run.project,
        entity=request.run.entity,
        producer=request.producer,
        run_dir=Path(request.run_dir),
        label=request.label,
        mode=mode,
        spool_dir=Path(request.spool_dir) if request.spool_dir else None,
        sdk_version=request.sdk_version,
        pid=request.pid,
        pid_start_ticks=request.pid_start_ticks,
        rename_on_conflict=request.rename_on_conflict,
        reattach=request.reattach,
        base_url=request.base_url,
        api_key=request.api_key,
        hints=MonitorHints(dict(request.hints.environment), dict(request.hints.scrape_headers)),
    )


def _mode(number: run_pb2.Mode.ValueType) -> str:
    mode = _MODES.get(number)
    if mode is None:
        raise InvalidRequest(
            "INVALID_MODE",
            f"mode={number} must be MODE_ONLINE, MODE_OFFLINE or MODE_SHARED",
            details={"field": "mode", "value": str(number)},
        )
    return mode


def continue_options(request: run_pb2.ContinueRunRequest) -> ContinueOptions:
    """Return what a writer asks of an earlier run.

    Raises:
        InvalidRequest: no run is named, or a value is not one of ours.
    """
    ref = run_ref(request.run)
    if request.resume not in ("", "allow", "must", "never"):
        raise InvalidRequest(
            "INVALID_RESUME", f"resume={request.resume!r} must be allow, must or never"
        )
    return ContinueOptions(
        run_id=ref.run_id,
        project=ref.project,
        entity=ref.entity,
        mode=_mode(request.mode),
        resume=request.resume,
        rewind_to_step=request.rewind_to_step if request.HasField("rewind_to_step") else None,
        label=request.label,
        base_url=request.base_url,
        api_key=request.api_key,
        timeout_s=max(0.0, request.timeout_s),
        settings=_settings(request.settings_json),
    )


def _settings(content: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(content, type=dict[str, Any]) if content else {}
    except ValueError as error:  # never shown: it may hold secrets
        raise InvalidRequest(
            "INVALID_SETTINGS", "settings_json must be a JSON object: update trackd"
        ) from error


def continue_response(earlier: EarlierRun | None) -> run_pb2.ContinueRunResponse:
    """Return the answer to a writer that asked for an earlier run."""
    if earlier is None:
        return run_pb2.ContinueRunResponse()
    return run_pb2.ContinueRunResponse(
        earlier=run_pb2.EarlierRun(
            first_step=earlier.first_step,
            runtime_s=earlier.runtime_s,
            config_json=json.dumps(earlier.config),
            summary_json=json.dumps(earlier.summary),
            name=earlier.name,
            notes=earlier.notes,
            tags=earlier.tags,
        )
    )


def run_changes(request: run_pb2.UpdateRunRequest) -> RunChanges:
    """Return what an operator changes."""
    return RunChanges(
        name=request.name if request.HasField("name") else None,
        notes=request.notes if request.HasField("notes") else None,
        add_tags=tuple(request.add_tags),
        config_json=dict(request.config_json),
        summary_json=dict(request.summary_json),
    )


def notice(level: str, text: str) -> run_pb2.Notice:
    """Return a message for a rank's terminal."""
    return run_pb2.Notice(level=_LEVELS.get(level.lower(), run_pb2.Notice.LEVEL_INFO), text=text)


def run_status(run: RunSnapshot) -> run_pb2.RunStatus:
    """Return the state of a run as a message."""
    return run_pb2.RunStatus(
        run=common_pb2.RunRef(run_id=run.run_id, project=run.project, entity=run.entity),
        mode=_MODE_NUMBERS.get(run.mode, run_pb2.MODE_UNSPECIFIED),
        state=run.state,
        run_dir=str(run.run_dir),
        url=run.url,
        writers=[_writer_status(writer) for writer in run.writers],
        upload_problem=run.upload_problem,
    )


def _writer_status(writer: WriterSnapshot) -> run_pb2.WriterStatus:
    return run_pb2.WriterStatus(
        label=writer.label,
        producer=writer.producer,
        pid=writer.pid,
        state=writer.state,
        received_seq=writer.received_seq,
        journalled_seq=writer.journalled_seq,
        uploaded_seq=writer.uploaded_seq,
        backlog_bytes=writer.backlog_bytes,
        dropped={why: min(count, _MAX_UINT64) for why, count in writer.dropped.items()},
        # As written by whoever ended: a message holds no more than what a process can return.
        exit_code=None if writer.exit_code is None else _as_int32(writer.exit_code),
    )


def _as_int32(number: int) -> int:
    return max(-(2**31), min(2**31 - 1, number))
