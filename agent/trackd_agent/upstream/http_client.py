"""The HTTP client of the agent."""

from __future__ import annotations

from typing import Any

import httpx


class HttpClient(httpx.AsyncClient):
    """A client that fails with `httpx.HTTPError` only, also where its transport does not.

    anyio asks a new connection for the names of both ends. If the server closed it in the same
    moment there is no socket to ask any more, and an AttributeError comes out of httpcore.
    """

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request; see `httpx.AsyncClient.send`."""
        try:
            return await super().send(request, **options)
        except AttributeError as error:
            if "getpeername" not in str(error) and "getsockname" not in str(error):
                raise
            raise httpx.ConnectError("closed by the server at once", request=request) from error
