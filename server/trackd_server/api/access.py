"""Who may call: the API key everywhere; pages also for the server's own user on this machine.

A request without a key is let in to the pages only if its socket belongs to the server's own user
(or root), and it names a host of this machine: so a site that points its name at 127.0.0.1 gets
nothing. Requests that change something are refused when a browser sends them for another site.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trackd_server.api.context import services_of
from trackd_server.domain.errors import NotAllowed, NotAuthenticated

if TYPE_CHECKING:
    from starlette.requests import Request

COOKIE = "trackd_session"


def require_key(request: Request) -> None:
    """Let in only who shows the API key."""
    if not has_key(request):
        shown = "is wrong" if request.headers.get("authorization") else "is missing"
        raise NotAuthenticated(
            f"The API key {shown}: use the one in the file api_key of the server's directory."
        )


def has_key(request: Request) -> bool:
    """Tell whether a request carries the API key (Basic or Bearer)."""
    keys = services_of(request).keys
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return keys.is_key(value.strip())
    if scheme.lower() != "basic":
        return False
    try:
        _, _, key = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return False
    return keys.is_key(key)


def require_viewer(request: Request) -> None:
    """Let in who may look at the pages."""
    if has_key(request):
        return
    _require_known_host(request)
    if services_of(request).keys.is_cookie(request.cookies.get(COOKIE, "")):
        return
    if _peer_uid(request) not in (os.getuid(), 0):
        raise NotAuthenticated("Log in with the server's API key to see this page.")


def is_signed(request: Request) -> bool:
    """Tell whether the address itself carries the permission."""
    query = request.query_params
    return services_of(request).keys.is_signed(
        request.method.replace("HEAD", "GET"),
        request.scope["path"],
        query.get("expires", ""),
        query.get("signature", ""),
    )


def refuse_other_sites(request: Request) -> None:
    """Refuse a changing request that a browser sends on behalf of another site."""
    for header in ("origin", "referer"):
        sent = request.headers.get(header)
        if sent and urlsplit(sent).netloc != request.headers.get("host", ""):
            raise NotAllowed(f"Requests from {sent[:200]!r} may not change anything here.")
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise NotAllowed("Requests from other sites may not change anything here.")


def _require_known_host(request: Request) -> None:
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if host not in ("localhost", *services_of(request).hosts):
            raise NotAllowed(
                f"{host[:200]!r} is not a name of this server; use the address it printed."
            ) from None


def _peer_uid(request: Request) -> int | None:
    """Return the user who owns the other end of a loopback connection, by the kernel's tables.

    Both ends are compared: another user's connection to elsewhere may have the same local port.
    """
    server: tuple[str, int] | None = request.scope.get("server")
    if request.client is None or server is None:
        return None
    address = ipaddress.ip_address(request.client.host)
    if not address.is_loopback:
        return None
    ends = ((request.client.host, request.client.port), (server[0], server[1]))
    wanted = {tuple(_kernel_form(host, port) for host, port in ends)}
    if address.version == 4:  # a client on a dual-stack socket shows up in the IPv6 table
        wanted.add(tuple(_kernel_form(f"::ffff:{host}", port) for host, port in ends))
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if (fields[1], fields[2]) in wanted and fields[3] == "01":  # an established connection
                return int(fields[7])
    return None


def _kernel_form(address: str, port: int) -> str:
    """Return an address as /proc/net/tcp writes it: 32-bit words in host byte order."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    words = (packed[i : i + 4] for i in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{port:04X}"
