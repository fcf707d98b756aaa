"""Plain HTTP servers: an object is what an address answers, its version what its ETag says."""

from __future__ import annotations

import base64
import binascii
import contextlib
import netrc
import urllib.parse
from typing import TYPE_CHECKING, NamedTuple

from trackd.object_stores.errors import StoreError
from trackd.object_stores.store import OK, PARTIAL, Opened, StoredObject, length_of
from trackd.object_stores.transport import Request, Transport, basic

if TYPE_CHECKING:
    from collections.abc import Generator

_GONE = (404, 410)
_MD5_BYTES = 16
#: What an address may hold besides letters, digits and `_.-~` (RFC 3986), quoted parts included.
_NOT_QUOTED = "!#$%&'()*+,/:;=?@[]~"


class WebPage(NamedTuple):
    """What an address says about itself."""

    #: As the server writes it, quotes included; empty: none.
    etag: str
    size: int | None


class WebServer:
    """Any HTTP servers; users and passwords come from addresses or from `~/.netrc`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def look(self, url: str) -> WebPage | None:
        """Return what an address says about itself; None where nothing is there.

        It is got and its body left: servers that sign addresses refuse HEAD.

        Raises:
            StoreError: the server refuses, or does not answer.
        """
        with self.open(url, 0, "") as opened:
            if opened is None:
                return None
            headers = opened.answer.headers
            length = headers.get("Content-Length", "")
            return WebPage(headers.get("ETag", ""), int(length) if length.isdecimal() else None)

    @contextlib.contextmanager
    def open(self, url: str, start: int, etag: str) -> Generator[Opened | None]:
        """Open what is at an address for reading; see `ObjectStore.open`.

        Args:
            url: the address.
            start: first byte wanted.
            etag: as the server writes it; only then a part can be asked for.

        Raises:
            StoreError: the server refuses, or does not answer.
        """
        is_part = start > 0 and etag.startswith('"')  # a weak one does not say that bytes are equal
        headers = {"Range": f"bytes={start}-", "If-Range": etag} if is_part else {}
        plain, user = without_user(as_sent(url))
        request = Request(plain, headers)
        with self._transport.follow(request, lambda asked: _signed(asked, user)) as answer:
            if answer.status in _GONE:
                yield None
                return
            if answer.status not in (OK, PARTIAL):
                raise StoreError(f"{plain} answers HTTP {answer.status}{_hint(answer.status)}")
            told = answer.headers.get("ETag", "").strip('"')
            md5 = answer.headers.get("Content-MD5", "") if answer.status == OK else ""
            yield Opened(
                StoredObject(url, told, length_of(answer.headers)),
                answer,
                _md5_of(md5),
                start if answer.status == PARTIAL else 0,
            )


def as_sent(url: str) -> str:
    """Return an address as HTTP sends it: other characters than ASCII and blanks are quoted."""
    parts = urllib.parse.urlsplit(url)
    path = urllib.parse.quote(parts.path, safe=_NOT_QUOTED) or "/"
    query = urllib.parse.quote(parts.query, safe=_NOT_QUOTED)
    return urllib.parse.urlunsplit(parts._replace(path=path, query=query))


def without_user(url: str) -> tuple[str, str]:
    """Return an address without `user:password@`, and these two."""
    parts = urllib.parse.urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return (urllib.parse.urlunsplit(parts._replace(netloc=host)), user) if at else (url, "")


def _signed(request: Request, user: str) -> Request:
    name, _, password = user.partition(":")
    if not user:
        found = _of_netrc(urllib.parse.urlsplit(request.url).hostname or "")
        if found is None:
            return request
        name, password = found
    value = basic(urllib.parse.unquote(name), urllib.parse.unquote(password))
    return request._replace(headers={**request.headers, "Authorization": value})


def _of_netrc(host: str) -> tuple[str, str] | None:
    try:
        found = netrc.netrc().authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None  # a refusal says that ~/.netrc was looked for
    return (found[0], found[2] or "") if found else None


def _md5_of(header: str) -> bytes | None:
    """Return the digest that `Content-MD5` tells; None where it tells none, or nonsense."""
    try:
        digest = base64.b64decode(header, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest if len(digest) == _MD5_BYTES else None


def _hint(status: int) -> str:
    if status not in (401, 403):
        return ""
    return ": a user and a password were looked for in the address and in ~/.netrc"
