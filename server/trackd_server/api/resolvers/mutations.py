"""What clients change."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from ariadne import MutationType

from trackd_server.api.resolvers import files, projects, registry_changes
from trackd_server.api.resolvers.artifact_files import MANIFEST_FILE_KIND
from trackd_server.api.resolvers.context import context_of
from trackd_server.domain import names, run_records, runs
from trackd_server.domain.artifacts import reading
from trackd_server.domain.errors import InvalidRequest, NotFound
from trackd_server.domain.registry import registries
from trackd_server.domain.run_records import RunPath

if TYPE_CHECKING:
    from trackd_server.api.resolvers.context import Info, RequestContext

mutation = MutationType()

SUCCESS = {"success": True}


@mutation.field("upsertBucket")
def resolve_upsert_bucket(
    _: object,
    info: Info,
    input: dict[str, Any],
) -> dict[str, Any]:
    """Create or change a run."""
    context = context_of(info)
    context.renew()
    done = context.services.runs.upsert(input, context.client)
    return {"bucket": done.run, "inserted": done.inserted}


@mutation.field("upsertModel")
def resolve_upsert_model(
    _: object,
    info: Info,
    input: dict[str, Any],
) -> dict[str, Any]:
    """Create a project."""
    context = context_of(info)
    context.renew()
    entity, name = names.entity(input.get("entityName")), names.project(input["name"])
    if registries.is_registry(name):
        return _upserted(
            context, entity, name, inserted=registry_changes.upsert(context, entity, name, input)
        )
    with context.services.database.write() as connection:
        known = runs.project_row(connection, entity, name) is not None
        run_records.ensure_project(connection, entity, name, time.time())
    return _upserted(context, entity, name, inserted=not known)


@mutation.field("createRunFiles")
def resolve_create_run_files(
    _: object,
    info: Info,
    input: dict[str, Any],
) -> dict[str, Any]:
    """Return where to put the bytes of files."""
    context = context_of(info)
    path = _run_path(input)
    number = context.services.files.announce(path, input["files"])
    return {
        "runID": names.storage_id("Run", number),
        "uploadHeaders": [],
        "files": [
            {"name": name, "uploadUrl": files.signed_url(context, "PUT", path, name)}
            for name in input["files"]
        ],
    }


@mutation.field("markRunFilesUploaded")
def resolve_mark_uploaded(
    _: object,
    info: Info,
    input: dict[str, Any],
) -> dict[str, bool]:
    """Take note of nothing: a file is there when its PUT was answered."""
    del info, input
    return SUCCESS


@mutation.field("deleteFiles")
def resolve_delete_files(
    _: object,
    info: Info,
    input: dict[str, Any],
) -> dict[str, bool]:
    """Delete files of runs; manifests are none."""
    services = context_of(info).services
    for opaque in input["files"]:
        if names.is_kind(MANIFEST_FILE_KIND, opaque):
            number = names.row_number(MANIFEST_FILE_KIND, opaque)
            reading.refuse_deletion(services.database, number)
    services.files.delete(input["files"])
    return SUCCESS


@mutation.field("rewindRun")
def resolve_rewind_run(
    _: object,
    info: Info,
    input: dict[str, Any],
) -> dict[str, Any]:
    """Drop the history after a step."""
    if input["metricName"] != "_step":
        raise InvalidRequest("A run can be rewound by _step only.")
    context = context_of(info)
    context.renew()
    step = int(input["metricValue"])
    return {"rewoundRun": context.services.runs.rewind(_run_path(input), step, context.client)}


@mutation.field("stopRun")
def resolve_stop_run(
    _: object,
    info: Info,
    input: dict[str, Any],
) -> dict[str, bool]:
    """Ask a run to stop."""
    context_of(info).services.runs.request_stop(input["id"])
    return SUCCESS


@mutation.field("updateRunState")
def resolve_update_run_state(
    _: object,
    info: Info,
    input: dict[str, Any],
) -> dict[str, bool]:
    """Set a run's state by hand."""
    context_of(info).services.runs.set_state(input["id"], input["state"])
    return SUCCESS


@mutation.field("deleteRun")
def resolve_delete_run(
    _: object,
    info: Info,
    input: dict[str, Any],
) -> dict[str, Any]:
    """Delete a run and everything of it; if it is not there, a client repeats its wish."""
    context = context_of(info)
    context.renew()
    if input.get("deleteArtifacts"):
        context.services.artifacts.delete_logged(names.row_number("Run", input["id"]))
    with contextlib.suppress(NotFound):
        context.services.runs.delete(input["id"])
    return {"clientMutationId": input.get("clientMutationId")}


@mutation.field("notifyScriptableRunAlert")
def resolve_alert(
    _: object,
    info: Info,
    input: dict[str, Any],
) -> dict[str, bool]:
    """Remember an alert."""
    context_of(info).services.runs.alert(
        _run_path(input),
        input["title"],
        input["text"],
        input.get("severity") or "INFO",
        int(input.get("waitDuration") or 0),
    )
    return SUCCESS


def _upserted(context: RequestContext, entity: str, name: str, *, inserted: bool) -> dict[str, Any]:
    shown = projects.show(runs.require_project(context.connection, entity, name))
    return {"project": shown, "model": shown, "inserted": inserted}


def _run_path(values: dict[str, Any]) -> RunPath:
    return RunPath.of(values.get("entityName"), values.get("projectName"), values["runName"])


bindables = [mutation]
