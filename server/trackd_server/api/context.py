"""What every endpoint needs: the services, and how to call them off the event loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import anyio

from trackd_server.domain import threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import HTTPConnection, Request

    from trackd_server.blobs import BlobFolder
    from trackd_server.domain.artifacts import Artifacts
    from trackd_server.domain.auth import Keys
    from trackd_server.domain.files import Files
    from trackd_server.domain.runs import Runs
    from trackd_server.domain.storage import Storage
    from trackd_server.domain.streams import Streams
    from trackd_server.domain.usage import Limit
    from trackd_server.store import Database

#: Calls into the database at once. Lines of runs have workers of their own, so that no crowd of
#: slow readers can keep a training waiting.
WORKERS = 8
INTAKE_WORKERS = 4

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Services:
    """One server's services, shared by all requests."""

    database: Database
    blobs: BlobFolder
    keys: Keys
    runs: Runs
    streams: Streams
    files: Files
    storage: Storage
    artifacts: Artifacts
    limit: Limit
    #: Names under which browsers may reach the pages, beside loopback ones.
    hosts: frozenset[str] = frozenset()
    #: What CoreWeave calls whom this server belongs to; empty: it is no customer.
    coreweave_organization_id: str = ""
    #: Artifact versions that nobody went on with for so long are dropped.
    pending_s: float = 7 * 86_400.0
    _workers: dict[str, anyio.CapacityLimiter] = field(
        default_factory=dict[str, anyio.CapacityLimiter], repr=False
    )

    async def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call in a worker thread."""
        limiter = self._limiter("calls", WORKERS)
        return await threads.call(partial(function, *args, **kwargs), limiter=limiter)

    async def take_in(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a short blocking call in a worker thread that no reader can occupy."""
        limiter = self._limiter("intake", INTAKE_WORKERS)
        return await threads.call(partial(function, *args, **kwargs), limiter=limiter)

    async def require_room(self, request: Request) -> None:
        """Refuse an upload that there is no room for."""
        if not self.limit.is_set:  # a worker thread costs as much as a small upload
            return
        declared = request.headers.get("content-length", "")
        await self.call(self.limit.check, int(declared) if declared.isdigit() else 0)

    def _limiter(self, name: str, workers: int) -> anyio.CapacityLimiter:
        if name not in self._workers:  # made late: it wants a running event loop
            self._workers[name] = anyio.CapacityLimiter(workers)
        return self._workers[name]


def services_of(request: HTTPConnection) -> Services:
    """Return the services of the application that serves a request."""
    return request.app.state.services
