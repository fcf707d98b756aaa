"""Retry classes and waits, credentials, and where the API key goes."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest
from tests.fakes.wandb_server import fake_server

from trackd_agent.upstream import (
    Courier,
    Credentials,
    Patience,
    RequestFailed,
    RetryClass,
    RunPath,
    StaticEndpoint,
    UpstreamConfig,
    UpstreamPool,
    Wake,
)
from trackd_agent.upstream.failures import parse_retry_after, retry_class_of
from trackd_agent.upstream.http_client import HttpClient
from trackd_proto.wandb_http.operations import VIEWER

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *[(code, RetryClass.TRANSIENT) for code in (500, 501, 502, 503, 504, 408, 425, 429)],
        (413, RetryClass.TOO_LARGE),
        *[(code, RetryClass.CREDENTIALS) for code in (401, 403)],
        *[(code, RetryClass.PARKED) for code in (301, 302, 400, 404, 405, 409, 410, 422)],
    ],
)
def test_every_status_has_its_class(status: int, expected: RetryClass) -> None:
    assert retry_class_of(status) is expected


def test_waits_grow_with_full_jitter_between_their_bounds() -> None:
    failure = RequestFailed(RetryClass.TRANSIENT, "x")
    config = UpstreamConfig()
    longest = Patience(config, draw=lambda: 1.0)
    assert [longest.wait_s(failure) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    shortest = Patience(config, draw=lambda: 0.0)
    assert {shortest.wait_s(failure) for _ in range(8)} == {1}


def test_the_server_and_the_class_decide_before_the_jitter() -> None:
    patience = Patience(UpstreamConfig())
    asked = RequestFailed(RetryClass.TRANSIENT, "x", retry_after_s=7.5)
    assert patience.wait_s(asked) == 7.5
    forever = RequestFailed(RetryClass.TRANSIENT, "x", retry_after_s=1e9)
    assert patience.wait_s(forever) == 3600
    assert patience.wait_s(RequestFailed(RetryClass.CREDENTIALS, "x")) == 60
    assert patience.wait_s(RequestFailed(RetryClass.PARKED, "x")) == 3600


def test_retry_after_is_a_number_or_a_date() -> None:
    assert parse_retry_after("3") == 3
    assert parse_retry_after("0.25") == 0.25
    assert parse_retry_after("-1") == 0
    date = formatdate(1_000_010, usegmt=True)
    assert parse_retry_after(date, now_s=1_000_000) == 10
    assert parse_retry_after("soon") is None
    assert parse_retry_after(None) is None


async def test_a_wake_is_not_lost_and_arms_again() -> None:
    wake = Wake()
    wake.set()
    assert await wake.wait(120)
    assert not await wake.wait(0.01)
    woken: list[bool] = []
    async with anyio.create_task_group() as tasks:

        async def wait() -> None:
            woken.append(await wake.wait(120))

        tasks.start_soon(wait)
        tasks.start_soon(wait)
        await anyio.sleep(0.01)
        wake.set()
    assert woken == [True, True]


async def test_hurry_cuts_a_wait_short(tmp_path: Path) -> None:
    credentials = Credentials(tmp_path / "c.json")
    pool = UpstreamPool(UpstreamConfig(), credentials, StaticEndpoint("http://x", credentials))
    courier = Courier(pool.get(""))
    answers = iter([RequestFailed(RetryClass.PARKED, "parked"), None])

    async def attempt() -> str:
        if failure := next(answers):
            raise failure
        return "done"

    async with anyio.create_task_group() as tasks:

        async def deliver() -> None:
            with anyio.fail_after(120):
                assert await courier.deliver(attempt) == "done"

        tasks.start_soon(deliver)
        while courier.problem != "parked":
            await anyio.sleep(0.001)
        courier.hurry.set()
    assert courier.problem == ""


async def test_keys_are_kept_by_address_in_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "agent" / "credentials.json"
    credentials = Credentials(path)
    await credentials.put("http://one/", "a")
    await credentials.put("http://two", "b")
    assert path.stat().st_mode & 0o777 == 0o600
    other = Credentials(path)
    await other.reload()
    assert (other.get("http://one"), other.get("http://two/"), other.get("x")) == ("a", "b", "")
    path.write_text("{broken")
    await other.reload()
    assert other.get("http://one") == "a"


async def test_the_key_goes_to_the_server_and_not_to_addresses_it_hands_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # never used for this machine
    async with fake_server() as server:
        credentials = Credentials(tmp_path / "c.json")
        await credentials.put(server.base_url, server.api_key)
        endpoint = StaticEndpoint(server.base_url, credentials)
        async with UpstreamPool(UpstreamConfig(gzip=True), credentials, endpoint) as pool:
            upstream = pool.get("")
            assert pool.get(server.base_url + "/") is pool.get(server.base_url)
            with pytest.raises(RequestFailed, match="unknown Viewer"):
                await upstream.graphql(VIEWER, {})
            body = json.dumps({"files": {"output.log": {"offset": 0, "content": ["x" * 5000]}}})
            await upstream.file_stream(RunPath("e", "p q", "r"), body.encode(), {})

            async def chunks():
                yield b"abc"

            await upstream.put(f"{server.base_url}/put/r/f.txt", {}, 3, chunks())
            assert server.files["f.txt"] == b"abc"
            assert "authorization" not in server.put_headers[0]
            assert upstream.is_local
            state = pool.status()[0]
            assert (state.state, state.problem, state.requests_ok) == ("ready", "", 2)
            assert state.requests_failed == 1


async def test_a_refused_connection_is_transient(tmp_path: Path) -> None:
    credentials = Credentials(tmp_path / "c.json")
    endpoint = StaticEndpoint("http://127.0.0.1:9", credentials)
    async with UpstreamPool(UpstreamConfig(), credentials, endpoint) as pool:
        with pytest.raises(RequestFailed) as caught:
            await pool.get("").graphql(VIEWER, {})
        assert caught.value.retry_class is RetryClass.TRANSIENT
        assert pool.status()[0].state == "unreachable"


@pytest.mark.parametrize(
    ("words", "expected"), [("getpeername", httpx.ConnectError), ("headers", AttributeError)]
)
async def test_a_connection_that_was_closed_at_once_is_a_failed_request(
    words: str, expected: type[Exception]
) -> None:
    def closed(request: httpx.Request) -> httpx.Response:
        raise AttributeError(f"'NoneType' object has no attribute {words!r}")

    async with HttpClient(transport=httpx.MockTransport(closed)) as client:
        with pytest.raises(expected):
            await client.put("http://127.0.0.1/")
