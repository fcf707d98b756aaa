"""The application in-process, for tests of what requests mean."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

from trackd_server.api.app import build_app
from trackd_server.app.config import ServerConfig
from trackd_server.app.lifecycle import open_services

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from trackd_server.api.context import Services

UPSERT = """mutation UpsertBucket($input: UpsertBucketInput!) { upsertBucket(input: $input) {
  bucket { id name displayName state historyLineCount config project { name entity { name } } }
  inserted } }"""
RUN = """query Run($project: String!, $entity: String!, $name: String!) {
  project(name: $project, entityName: $entity) { run(name: $name) { %s } } }"""


class Http:
    """A blocking client of an application, from an address that is not of this machine."""

    def __init__(self, portal: BlockingPortal, client: httpx.AsyncClient) -> None:
        self._portal = portal
        self._client = client
        self.headers = client.headers

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request."""
        return self._portal.call(partial(self._client.request, method, url, **options))

    def get(self, url: str, **options: Any) -> httpx.Response:
        """Send a GET."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        """Send a POST."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> httpx.Response:
        """Send a PUT."""
        return self.request("PUT", url, **options)


@dataclass
class Serving:
    """One application and a client that has its key."""

    http: Http
    services: Services
    key: str

    def graphql(self, query: str, variables: dict[str, Any] | None = None, **headers: str) -> Any:
        """Run an operation; errors fail the test."""
        answer = self.post_graphql(query, variables, **headers)
        body = answer.json()
        assert answer.status_code == 200 and "errors" not in body, body
        return body["data"]

    def post_graphql(
        self, query: str, variables: dict[str, Any] | None = None, **headers: str
    ) -> httpx.Response:
        """Run an operation; return the answer as it is."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = {"query": query, "variables": variables, "operationName": ""}
        return self.http.post("/graphql", json=body, headers=named)

    def upsert(self, name: str = "r", client: str = "", **fields: Any) -> Any:
        """Create or change a run; return the payload."""
        given = {"modelName": "p", **fields}
        given |= {} if "id" in fields else {"name": name}
        for key in ("config", "summaryMetrics"):
            if isinstance(given.get(key), dict):
                given[key] = json.dumps(given[key])
        headers = {"x_wandb_client_id": client} if client else {}
        return self.graphql(UPSERT, {"input": given}, **headers)["upsertBucket"]

    def run(self, fields: str, name: str = "r") -> Any:
        """Return fields of a run."""
        variables = {"project": "p", "entity": "", "name": name}
        return self.graphql(RUN % fields, variables)["project"]["run"]

    def stream(
        self, body: dict[str, Any], name: str = "r", client: str = "", label: str = ""
    ) -> dict[str, Any]:
        """Send one file_stream request."""
        headers = {"x-wandb-async-client-id": client} if client else {}
        headers |= {"x-trackd-label": label} if label else {}
        answer = self.http.post(f"/files/local/p/{name}/file_stream", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def rows(self, *rows: dict[str, Any], offset: int = 0, **options: Any) -> dict[str, Any]:
        """Send history rows."""
        lines = [json.dumps(row) for row in rows]
        body = {"files": {"wandb-history.jsonl": {"offset": offset, "content": lines}}}
        return self.stream(body, **options)

    def document(self, name: str = "r") -> dict[str, Any]:
        """Return a run's document."""
        answer = self.http.get(f"/api/v1/runs/local/p/{name}/document")
        assert answer.status_code == 200, answer.text
        return json.loads(answer.content)


@contextmanager
def serving(folder: Path) -> Generator[Serving]:
    """Open an application in `folder`."""
    folder.mkdir(exist_ok=True)
    services = open_services(ServerConfig(folder))
    key = (folder / "api_key").read_text().strip()
    token = base64.b64encode(f"api:{key}".encode()).decode()
    transport = httpx.ASGITransport(
        build_app(services), raise_app_exceptions=False, client=("203.0.113.9", 50_000)
    )
    client = httpx.AsyncClient(
        transport=transport,
        base_url="http://127.0.0.1:8087",
        headers={"authorization": f"Basic {token}"},
    )
    with start_blocking_portal() as portal:
        yield Serving(Http(portal, client), services, key)
        portal.call(client.aclose)
    services.database.close()
