"""The runs of this node: those the agent knows, and those in the embedded server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd_agent.daemon.admin_client import NoAgent, as_plain, connected

if TYPE_CHECKING:
    from pathlib import Path

_ENTITY = "local"
_QUERY = """
query TrackdListRuns($entity: String!, $count: Int!) {
  models(entityName: $entity, first: 1000) {
    edges { node { name runs(first: $count, order: "-created_at") {
      edges { node { name displayName state createdAt historyLineCount } } } } }
  }
}
"""


def agent_runs() -> list[dict[str, Any]]:
    """Return the runs that the agent knows.

    Raises:
        NoAgent: none runs.
    """
    with connected() as client:
        answer = client.status()
    return [_of_agent(as_plain(run)) for run in answer.runs]


def server_runs(data: Path, count: int) -> list[dict[str, Any]]:
    """Return the newest runs of each project in the embedded server.

    Raises:
        ServerUnreachable: it does not answer.
    """
    from trackd_agent.daemon.servers import running_server

    server = running_server(data)
    if server is None:
        return []
    answer: Any = server.post(
        "/graphql", {"query": _QUERY, "variables": {"entity": _ENTITY, "count": count}}
    )
    projects: Any = answer["data"]["models"]["edges"]
    return [
        _of_server(project["node"]["name"], run["node"], server.base_url)
        for project in projects
        for run in project["node"]["runs"]["edges"]
    ]


def all_runs(data: Path, count: int) -> list[dict[str, Any]] | None:
    """Return all runs, newest first as far as known; None when nobody answers."""
    from trackd_agent.daemon.servers import ServerUnreachable

    try:
        found: list[dict[str, Any]] | None = agent_runs()
    except NoAgent:
        found = None
    try:
        stored = server_runs(data, count)
    except ServerUnreachable:
        stored = []
    if found is None and not stored:
        return None
    runs = {(run["project"], run["run_id"]): run for run in found or []}
    for run in sorted(stored, key=lambda each: each["created_at"], reverse=True):
        known = runs.setdefault((run["project"], run["run_id"]), run)
        known.update({k: v for k, v in run.items() if not known.get(k)})
    return list(runs.values())


def _of_agent(run: dict[str, Any]) -> dict[str, Any]:
    return {
        "run_id": run["run"]["run_id"],
        "project": run["run"]["project"],
        "entity": run["run"]["entity"],
        "name": "",
        "state": run["state"],
        "mode": run["mode"],
        "writers": len(run["writers"]),
        "backlog_bytes": sum(writer["backlog_bytes"] for writer in run["writers"]),
        "run_dir": run["run_dir"],
        "url": run["url"],
        "upload_problem": run["upload_problem"],
        "rows": None,
        "created_at": "",
    }


def _of_server(project: str, run: dict[str, Any], base_url: str) -> dict[str, Any]:
    return {
        "run_id": run["name"],
        "project": project,
        "entity": _ENTITY,
        "name": run["displayName"] or "",
        "state": run["state"],
        "mode": "",
        "writers": None,
        "backlog_bytes": 0,
        "run_dir": "",
        "url": f"{base_url}/{_ENTITY}/{project}/runs/{run['name']}",
        "upload_problem": "",
        "rows": run["historyLineCount"],
        "created_at": run["createdAt"],
    }
