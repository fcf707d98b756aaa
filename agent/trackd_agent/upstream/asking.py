"""One question to a server, for somebody who waits: repeated while that may help, for a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio

from trackd_agent.core.errors import (
    AgentError,
    InvalidRequest,
    NotAllowed,
    NotAuthenticated,
    UpstreamUnavailable,
)
from trackd_agent.upstream.failures import RequestFailed, RetryClass
from trackd_agent.upstream.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trackd_agent.upstream.client import Upstream
    from trackd_agent.upstream.manner import Manner

T = TypeVar("T")

_UNAUTHORIZED, _FORBIDDEN = 401, 403


async def ask(
    upstream: Upstream, manner: Manner, timeout_s: float, attempt: Callable[[], Awaitable[T]]
) -> T:
    """Repeat an attempt while the server does not answer; an answer is final, a refusal, too.

    Where there is no time for another attempt nobody is kept waiting for the end of it.

    Args:
        upstream: the server.
        manner: how requests go there.
        timeout_s: longest time for all attempts, in seconds.
        attempt: one request.

    Raises:
        InvalidRequest: the server refuses it; `details` hold the HTTP status.
        NotAuthenticated: it does not take the key.
        NotAllowed: it does not let the key do this.
        UpstreamUnavailable: it did not answer in time.
    """
    patience = Patience(upstream.config, manner=manner)
    problem = ""
    with anyio.move_on_after(timeout_s) as scope:
        while True:
            try:
                return await attempt()
            except RequestFailed as failure:
                if not _may_help(failure):
                    raise _refusal(failure, upstream) from failure
                problem = failure.problem
                wait_s = patience.wait_s(failure)
                if anyio.current_time() + wait_s >= scope.deadline:
                    break
                await anyio.sleep(wait_s)
    server = _named(upstream)
    problem = problem or upstream.trouble or "no answer yet"
    raise UpstreamUnavailable(
        "UPSTREAM_UNAVAILABLE", f"{server} did not answer within {timeout_s:g} s: {problem}"
    )


def _may_help(failure: RequestFailed) -> bool:
    """Whether to repeat: errors in an answer with status 200 are the answer."""
    return failure.retry_class is RetryClass.TRANSIENT and failure.status != 200


def _named(upstream: Upstream) -> str:
    return upstream.base_url or upstream.name


def _refusal(failure: RequestFailed, upstream: Upstream) -> AgentError:
    """Return what a refusal means for whoever asked; without words it may be that of a proxy."""
    text = failure.said or f"{_named(upstream)} refuses: {failure.problem}"
    details = {"http_status": str(failure.status or 0)}
    if failure.status == _FORBIDDEN:
        return NotAllowed("UPSTREAM_FORBIDS", text, details=details)
    if failure.retry_class is RetryClass.CREDENTIALS or failure.status == _UNAUTHORIZED:
        return NotAuthenticated("NOT_AUTHENTICATED", text, details=details)
    return InvalidRequest("UPSTREAM_REFUSED", text, details=details)
