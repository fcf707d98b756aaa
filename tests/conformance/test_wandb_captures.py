"""Recorded requests of `wandb` 0.31.0, sent to our server word for word.

The recordings were shortened: a list may end in "... 12 more", which is sent as it stands. For
every field that the recorded answer had, ours must have one too, null only where theirs was.
Operation texts are not in the recordings; they are written here from the catalogue of operations.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlsplit

import pytest
from tests.support.server import RunningServer, running_server

if TYPE_CHECKING:
    import httpx

CAPTURES = Path(__file__).parents[3] / "shared" / "facts" / "captures"
FLOWS = (
    "run_basic",
    "shared_mode",
    "save_files",
    "console_logs",
    "system_metrics",
    "gzip_filestream",
    "preempting",
    "alert",
    "resume_allow_and_must",
    "rewind",
    "fork",
    "offline_sync",
    "stop_from_api",
    "api_run_update_and_delete",
)

pytestmark = pytest.mark.skipif(not CAPTURES.exists(), reason="the recordings are not here")

BUCKET = (
    "id name displayName description config sweepName project{id name entity{id name}} "
    "historyLineCount"
)
RUN = (
    "projectId id tags name displayName sweepName state config group jobType commit readOnly "
    "createdAt heartbeatAt description notes systemMetrics summaryMetrics historyLineCount "
    "user{name username} historyKeys"
)
FILES = (
    "fileCount files(names:$fileNames,after:$fileCursor,first:$fileLimit,pattern:$pattern)"
    "{edges{node{id name url(upload:$upload) directUrl sizeBytes mimetype updatedAt md5} cursor}"
    "pageInfo{endCursor hasNextPage}}"
)
LINES = "edges{node{number timestamp level label line}}"
PAGED_LINES = (
    "logLines(first:$first,after:$after,useImprovedPagination:true)"
    f"{{{LINES}pageInfo{{endCursor hasNextPage}}}}"
)


def in_run(fields: str, variable: str = "name") -> str:
    return f"project(name:$project,entityName:$entity){{run(name:${variable}){{{fields}}}}}"


#: Bodies of the operations; several where clients use one name for several.
OPERATIONS = {
    "Viewer": "viewer{id entity username email flags teams{edges{node{name}}}}",
    "GetDefaultEntity": "viewer{id entity}",
    "ServerFeaturesQuery": "serverInfo{features{name isEnabled}}",
    "OrganizationCoreWeaveOrganizationID": (
        "entity(name:$entityName){organization{coreWeaveOrganizationId}}"
    ),
    "RunResumeStatus": (
        "model(name:$project,entityName:$entity){id name entity{id name} bucket(name:$name,"
        "missingOk:true){id name summaryMetrics displayName logLineCount historyLineCount "
        'eventsLineCount historyTail eventsTail config tags notes wandbConfig(keys:["t"])}}'
    ),
    "RewindRun": (
        "rewindRun(input:{runName:$runName,entityName:$entity,projectName:$project,metricName:"
        f"$metricName,metricValue:$metricValue}}){{rewoundRun{{{BUCKET}}}}}"
    ),
    "CreateRunFiles": (
        "createRunFiles(input:{entityName:$entity,projectName:$project,runName:$run,files:$files})"
        "{runID uploadHeaders files{name uploadUrl}}"
    ),
    "MarkRunFilesUploaded": (
        "markRunFilesUploaded(input:{entityName:$entity,projectName:$project,runName:$run,"
        "files:$files}){success}"
    ),
    "NotifyScriptableRunAlert": (
        "notifyScriptableRunAlert(input:{entityName:$entityName,projectName:$projectName,runName:"
        "$runName,title:$title,text:$text,severity:$severity,waitDuration:$waitDuration}){success}"
    ),
    "StopRun": "stopRun(input:{id:$id}){success}",
    "DeleteRun": "deleteRun(input:{id:$id}){clientMutationId}",
    "Run": in_run(RUN),
    "Runs": (
        "project(name:$project,entityName:$entity){internalId runCount(filters:$filters) readOnly "
        f"runs(filters:$filters,after:$cursor,first:$perPage,order:$order){{edges{{node{{{RUN}}} "
        "cursor} pageInfo{endCursor hasNextPage}}}"
    ),
    "RunFiles": (
        f"project(name:$project,entityName:$entity){{internalId run(name:$name){{{FILES}}}}}"
    ),
    "RunHistoryKeys": in_run("historyKeys"),
    "RunSampledHistory": in_run("sampledHistory(specs:$specs)"),
    "RunParquetHistory": in_run(
        "parquetHistory(liveKeys:$liveKeys){parquetUrls liveData}", "runName"
    ),
    "HistoryPage": in_run("history(minStep:$minStep,maxStep:$maxStep,samples:$pageSize)", "run"),
    "SampledHistoryPage": in_run("sampledHistory(specs:[$spec])", "run"),
    "RunConsoleLogPage": in_run(f"logLineCount {PAGED_LINES}", "runName"),
    "RunConsoleLogTail": in_run(f"logLineCount logLines(last:$last){{{LINES}}}", "runName"),
    "deleteFiles": "deleteFiles(input:{files:$files,projectId:$projectId}){success}",
}
UPSERT_ARGUMENTS = {
    "project": "modelName",
    "entity": "entityName",
    "program": "jobProgram",
    "repo": "jobRepo",
    "display_name": "displayName",
}


def operation_text(exchange: dict[str, Any]) -> str:
    """Return the text of a recorded operation, for the variables it was sent with."""
    name = exchange["operation"]
    types = exchange["variable_types"]
    if name == "UpsertBucket":
        given = ",".join(f"{UPSERT_ARGUMENTS.get(v, v)}:${v}" for v in types)
        body = f"upsertBucket(input:{{{given}}}){{bucket{{{BUCKET} {RUN}}} inserted}}"
    elif name == "RunFullHistory":
        events = "events" in json.dumps(exchange["response"])
        body = in_run("events(samples:$samples)" if events else "history(samples:$samples)")
    else:
        body = OPERATIONS[name]
    declared = ",".join(f"${variable}:{kind}" for variable, kind in types.items())
    return f"{exchange['kind']} {name}{f'({declared})' if declared else ''} {{{body}}}"


class Replay:
    """Sends a recording; ids that their server made are exchanged for ours."""

    def __init__(self, server: RunningServer, client: httpx.Client) -> None:
        self.server = server
        self.client = client
        self.run_id = ""
        self.files: dict[str, str] = {}

    def send(self, exchange: dict[str, Any]) -> None:
        if exchange["path"] == "/graphql":
            self.graphql(exchange)
        elif exchange["path"].endswith("file_stream"):
            self.stream(exchange)
        elif exchange["method"] == "PUT" and exchange["path"].startswith("/run-files/"):
            name = exchange["path"].split("/", 5)[5]
            url = self.files.get(name)
            if url:  # its CreateRunFiles may be among the shortened entries
                assert self.client.put(url, content=b"x").status_code == 200

    def graphql(self, exchange: dict[str, Any]) -> None:
        variables = dict(exchange["variables"] or {})
        for name, value in variables.items():
            if value == "acme-team":
                variables[name] = "local"
        if variables.get("id"):
            variables["id"] = self.run_id
        if exchange["operation"] == "deleteFiles" or "Artifact" in exchange["operation"]:
            return  # ids of their files; artifacts are another issue
        headers = {k: v for k, v in exchange["headers"].items() if k.startswith("x-wandb")}
        body = {"query": operation_text(exchange), "variables": variables}
        answer = self.client.post("/graphql", json=body, headers=headers)
        assert answer.status_code == 200, (exchange["operation"], answer.text)
        data = answer.json()["data"]
        if exchange["operation"] == "UpsertBucket":
            self.run_id = data["upsertBucket"]["bucket"]["id"]
        if exchange["operation"] == "CreateRunFiles":
            self.files |= {f["name"]: f["uploadUrl"] for f in data["createRunFiles"]["files"]}
        assert_same_shape(exchange["response"].get("data"), data, exchange["operation"])

    def stream(self, exchange: dict[str, Any]) -> None:
        path = "/files/local/" + exchange["path"].split("/", 3)[3]
        headers = {k: v for k, v in exchange["headers"].items() if k.startswith("x-wandb")}
        answer = self.client.post(quote(path), json=exchange["body"], headers=headers)
        assert answer.status_code == 200, answer.text


def assert_same_shape(theirs: Any, ours: Any, where: str) -> None:
    """Fail if ours lacks something that theirs has; lists are compared by their first items."""
    if isinstance(theirs, dict):
        assert isinstance(ours, dict), where
        for key, value in cast("dict[str, Any]", theirs).items():
            assert key in ours, f"{where}.{key}"
            if value is not None and key not in FREE:
                assert ours[key] is not None, f"{where}.{key}"
                assert_same_shape(value, ours[key], f"{where}.{key}")
    elif isinstance(theirs, list):
        assert isinstance(ours, list), where
        if theirs and ours and key_of(where) != "features":
            assert_same_shape(theirs[0], ours[0], f"{where}[0]")


def key_of(where: str) -> str:
    return where.rpartition(".")[2]


#: Ours may be null or look different inside: an organisation is optional, a page of nothing has no
#: cursor, and of the keys clients read the last step only; a
#: shortened console line has no time.
FREE = {"organization", "entity", "endCursor", "displayName", "keys", "timestamp"}


@pytest.mark.parametrize("flow", FLOWS)
async def test_a_recorded_flow_gets_answers_of_the_same_shape(flow: str, tmp_path: Path) -> None:
    recording = json.loads((CAPTURES / f"{flow}.json").read_text())
    async with running_server(tmp_path) as server:
        with server.client() as client:
            replay = Replay(server, client)
            for exchange in recording["exchanges"]:
                replay.send(exchange)
            assert replay.run_id, "the recording made a run"
            assert urlsplit(server.address).hostname == "127.0.0.1"
