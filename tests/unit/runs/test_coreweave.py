"""The cluster of a CoreWeave machine: asked for if the server says so, and no secret kept."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from structlog.testing import capture_logs
from tests.support.machine import SAMPLES, needs_samples

from trackd_agent.runs.upload import coreweave
from trackd_agent.runs.upload.coreweave import MAX_BYTES, Cluster, parse
from trackd_agent.upstream import RequestFailed, RetryClass
from trackd_agent.upstream.manner import OWN_MANNER

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from starlette.requests import Request

SECRETS = "join_token: SECRET-1\nca_cert_hash: SECRET-2\nteleport_token: SECRET-3\n"
TEXT = f"org_id: b13ad0\nregion: us-east-04\nno separator\n{SECRETS}cluster_name: a:b\n"
FOUND = {"clusterName": "a:b", "orgId": "b13ad0", "region": "us-east-04"}


class Courier:
    """A way to a server that answers every question with one thing."""

    manner = OWN_MANNER

    def __init__(self, answer: Mapping[str, Any] | Exception) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []

    @property
    def upstream(self) -> Courier:
        return self

    async def graphql(self, operation: Any, variables: dict[str, Any], *_: object) -> Any:
        assert operation.name == "OrganizationCoreWeaveOrganizationID"
        self.asked.append(variables)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


CUSTOMER = {"entity": {"organization": {"coreWeaveOrganizationId": "cw-1"}}}


@asynccontextmanager
async def metadata_service(answer: Any) -> AsyncGenerator[tuple[str, list[str]]]:
    """Serve `answer` (or what it returns) under every path; yields the address and what came."""
    came: list[str] = []

    async def serve(request: Request) -> Response:
        came.append(request.url.path)
        return await answer() if answer is endless else answer

    app = Starlette(routes=[Route("/{path:path}", serve)])
    config = uvicorn.Config(
        app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        while not server.started:
            await anyio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}", came
        finally:
            server.should_exit = True


async def look(courier: Any, base_url: str, **settings: str) -> tuple[dict[str, Any], str]:
    """Return what was found, and all that got into the log."""
    cluster = Cluster(courier, {"x_stats_coreweave_metadata_base_url": base_url, **settings})
    with capture_logs() as logs:
        await cluster.look("team")
    assert cluster.known.is_set()
    return cluster.found, json.dumps(logs, default=str)


async def test_three_values_are_kept_and_no_secret() -> None:
    courier = Courier(CUSTOMER)
    async with metadata_service(PlainTextResponse(TEXT)) as (address, came):
        found, logged = await look(courier, address + "/")
    assert found == {"coreweave": FOUND}
    assert courier.asked == [{"entityName": "team"}]
    assert came == ["/api/v2/cloud-init/meta-data"]
    assert "SECRET" not in logged


async def test_the_path_is_a_setting() -> None:
    async with metadata_service(PlainTextResponse(TEXT)) as (address, came):
        await look(Courier(CUSTOMER), address, x_stats_coreweave_metadata_endpoint="elsewhere/x")
    assert came == ["/elsewhere/x"]


@needs_samples
def test_the_recorded_answer_gives_what_is_expected_of_it() -> None:
    folder = SAMPLES / "coreweave_metadata"
    case = json.loads((folder / "case.json").read_text())
    found = {"coreweave": parse((folder / "meta-data.txt").read_text())}
    assert found == case["metadata"]
    assert not any(word in str(found) for word in case["must_not_appear_anywhere"])


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"entity": None},
        {"entity": {"organization": None}},
        {"entity": {"organization": {"coreWeaveOrganizationId": None}}},
        {"entity": {"organization": {"coreWeaveOrganizationId": ""}}},
        {"entity": "what"},
        RequestFailed(RetryClass.PARKED, "no such field", status=200),
        RequestFailed(RetryClass.TRANSIENT, "gone"),
    ],
)
async def test_the_service_is_not_asked_where_the_server_names_no_customer(answer: Any) -> None:
    async with metadata_service(PlainTextResponse(TEXT)) as (address, came):
        found, _ = await look(Courier(answer), address)
    assert (found, came) == ({}, [])


async def endless() -> Response:
    await anyio.sleep(60)
    return PlainTextResponse(TEXT)


@pytest.mark.parametrize(
    "answer",
    [
        PlainTextResponse(SECRETS, 500),
        PlainTextResponse(SECRETS, 404),
        PlainTextResponse(TEXT + "x" * MAX_BYTES),
        PlainTextResponse(SECRETS),
        PlainTextResponse(""),
        Response(b"\xff\xfe\x00" * 100),
        RedirectResponse("http://127.0.0.1:9/" + "SECRET"),
        endless,
    ],
)
async def test_a_service_that_fails_costs_the_values_alone(
    answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coreweave, "TIMEOUT_S", 0.3)
    async with metadata_service(answer) as (address, _):
        found, logged = await look(Courier(CUSTOMER), address)
    assert found == {}
    assert "SECRET" not in logged


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://[broken", "ftp://x", "nothing"])
async def test_an_address_where_nobody_is_costs_the_values_alone(address: str) -> None:
    found, _ = await look(Courier(CUSTOMER), address)
    assert found == {}


async def test_no_proxy_stands_between_a_machine_and_its_own_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with metadata_service(PlainTextResponse(TEXT)) as (address, _):
        assert (await look(Courier(CUSTOMER), address))[0] == {"coreweave": FOUND}
