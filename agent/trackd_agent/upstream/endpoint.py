"""Where a server is, and the key for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from trackd_agent.upstream.credentials import Credentials


class Endpoint(Protocol):
    """Where a server is, and the key for it."""

    async def resolve(self) -> tuple[str, str]:
        """Return the base address and the API key; wait while a server of ours starts.

        Called before each request; a key that changed counts from the next one on.
        """
        ...

    @property
    def problem(self) -> str:
        """Why `resolve` keeps one waiting; empty: nothing is wrong."""
        ...


@runtime_checkable
class OwnServer(Protocol):
    """An endpoint that knows its address before the server answers."""

    def expected_address(self) -> str:
        """Return the address; empty where unknown."""
        ...


class StaticEndpoint:
    """A server with a fixed address; the key comes from the credentials at each request."""

    def __init__(self, base_url: str, credentials: Credentials) -> None:
        self._base_url = base_url.rstrip("/")
        self._credentials = credentials

    async def resolve(self) -> tuple[str, str]:
        """Return the address and the key known now."""
        return self._base_url, self._credentials.get(self._base_url)

    @property
    def problem(self) -> str:
        """Nothing: its address is known."""
        return ""
