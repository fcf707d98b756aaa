"""The servers in use: one client each, shared by all runs that go there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackd_agent.upstream.client import Upstream
from trackd_agent.upstream.endpoint import OwnServer, StaticEndpoint

if TYPE_CHECKING:
    from types import TracebackType

    from trackd_agent.upstream.config import UpstreamConfig
    from trackd_agent.upstream.credentials import Credentials
    from trackd_agent.upstream.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class UpstreamState:
    """State of one server, for people (fields as in `trackd.v1.UpstreamStatus`)."""

    name: str
    base_url: str
    state: str
    problem: str
    requests_ok: int
    requests_failed: int
    bytes_sent: int


class UpstreamPool:
    """Async context manager that owns the clients.

    Args:
        config: timeouts and waits.
        credentials: keys by address.
        default: the server of runs that name none.
        default_name: its name in the status.
        default_address: where it is, if somebody chose it.
    """

    def __init__(
        self,
        config: UpstreamConfig,
        credentials: Credentials,
        default: Endpoint,
        default_name: str = "embedded",
        default_address: str = "",
    ) -> None:
        self.config = config
        self.credentials = credentials
        self._default = default
        self._default_name = default_name
        self._default_address = default_address.rstrip("/")
        self._upstreams: dict[str, Upstream] = {}

    async def __aenter__(self) -> UpstreamPool:
        await self.credentials.reload()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for upstream in self._upstreams.values():
            await upstream.aclose()
        self._upstreams.clear()

    def address_of(self, base_url: str) -> str:
        """Return the address to note for a run: it stays there if the default changes later.

        Empty for a server whose address is of no account (the embedded one).
        """
        return base_url.rstrip("/") or self._default_address

    def get(self, base_url: str) -> Upstream:
        """Return the client of a server; the empty address means the default one."""
        address = base_url.rstrip("/")
        upstream = self._upstreams.get(address)
        if upstream is None:
            if address:
                endpoint = StaticEndpoint(address, self.credentials)
                upstream = Upstream(address, endpoint, self.config, self.credentials.reload)
                upstream.base_url = address
            else:
                upstream = Upstream(
                    self._default_name, self._default, self.config, self.credentials.reload
                )
            self._upstreams[address] = upstream
        return upstream

    def expected_address(self, base_url: str) -> str:
        """Return where runs of a server of ours will be looked at; empty for other servers."""
        if not base_url and isinstance(self._default, OwnServer):
            return self._default.expected_address()
        return ""

    def status(self) -> list[UpstreamState]:
        """Return the state of each server in use."""
        return [_state_of(upstream) for upstream in self._upstreams.values()]


def _state_of(upstream: Upstream) -> UpstreamState:
    if upstream.unauthorized:
        state = "unauthorized"
    elif upstream.trouble:
        state = "unreachable"
    else:
        state = "ready" if upstream.counters.requests_ok else "starting"
    counters = upstream.counters
    return UpstreamState(
        name=upstream.name,
        base_url=upstream.base_url,
        state=state,
        problem=upstream.trouble,
        requests_ok=counters.requests_ok,
        requests_failed=counters.requests_failed,
        bytes_sent=counters.bytes_sent,
    )
