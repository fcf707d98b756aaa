"""What every object store can do, and the rules that all of them share."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol, cast
from xml.etree import ElementTree

from trackd.object_stores.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from trackd.object_stores.transport import Answer, Request, Transport

NOT_FOUND = 404
OK, PARTIAL = 200, 206
_MESSAGE_CHARACTERS = 300


class StoredObject(NamedTuple):
    """One object, or one version of it."""

    key: str
    #: Without quotes; another one for other bytes.
    etag: str
    size: int
    #: As the store tells it: a text, or the number of a generation; None: none.
    version: str | int | None = None
    #: It stands for a folder and has no bytes of its own.
    is_folder: bool = False


class Opened(NamedTuple):
    """An object whose bytes can be read."""

    found: StoredObject
    answer: Answer
    #: Raw MD5 of the whole object, where the store tells it.
    md5: bytes | None
    #: Of the first byte that comes: 0 where the store does not give parts.
    start: int


class ObjectStore(Protocol):
    """One bucket or container, read only."""

    @property
    def root(self) -> str:
        """URI of the bucket: that of an object is `<root>/<key>`."""
        ...

    def find(self, key: str, version: str | None = None) -> StoredObject | None:
        """Return an object as it is now, or one version of it; None where there is none."""
        ...

    def below(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects whose keys begin with a prefix."""
        ...

    def versions(self, key: str) -> Iterator[StoredObject]:
        """Yield the versions of an object; none where the store keeps none."""
        ...

    def open(
        self, key: str, version: str | int | None, start: int, etag: str
    ) -> contextlib.AbstractContextManager[Opened | None]:
        """Open an object, or one version, for reading.

        Args:
            key: of the object.
            version: which one; None: the latest.
            start: first byte wanted.
            etag: where it starts later than at 0: the rest must be of this one.

        Returns:
            The open object; None where there is none.
        """
        ...


class Identity(Protocol):
    """Who asks a store."""

    def sign(self, request: Request) -> Request:
        """Return the request with what tells who asks."""
        ...

    def looked_for(self) -> str:
        """Say which credentials were looked for and where, for errors."""
        ...


class Line:
    """The way to one store: asks with an identity, and turns refusals into errors."""

    def __init__(self, transport: Transport, identity: Identity, name: str) -> None:
        self._transport = transport
        self._identity = identity
        self._name = name

    @contextlib.contextmanager
    def open(self, request: Request, missing: tuple[int, ...] = (NOT_FOUND,)) -> Generator[Answer]:
        """Ask and give an answer that is 2xx, or one of those that say that nothing is there.

        Raises:
            StoreError: the store refuses, or does not answer.
        """
        with self._transport.ask(request, self._identity.sign) as answer:
            if not OK <= answer.status < 300 and answer.status not in missing:
                self.refused(answer.status, answer.content())
            if request.method == "HEAD" or answer.status in missing:
                answer.content()  # so that the connection can be used again
            yield answer

    def document(self, request: Request, missing: tuple[int, ...] = ()) -> bytes | None:
        """Return a body as a whole; None where nothing is there.

        Raises:
            StoreError: the store refuses, or does not answer.
        """
        with self.open(request, missing) as answer:
            return None if answer.status in missing else answer.content()

    def refused(self, status: int, body: bytes) -> NoReturn:
        """Raise what a refusal means, with the credentials that were looked for."""
        reason = _reason(body)
        raise StoreError(
            f"{self._name} refuses (HTTP {status}{': ' if reason else ''}{reason}). "
            f"{self._identity.looked_for()}"
        )


def length_of(headers: Mapping[str, str]) -> int:
    """Return how long a whole object is, by the head of an answer for it or for a part of it."""
    total = headers.get("Content-Range", "").rpartition("/")[2]
    return int(total if total.isdecimal() else headers.get("Content-Length") or 0)


def rest_of(start: int, etag: str) -> dict[str, str]:
    """Return headers that ask for the rest of an object, if it is still the same."""
    return {"Range": f"bytes={start}-", "If-Match": f'"{etag}"'} if start else {}


def parsed_xml(body: bytes) -> ElementTree.Element:
    """Return an XML document without its name spaces.

    Raises:
        StoreError: it is none.
    """
    try:
        # Documents of stores that the user chose, 64 MiB at most; expat bounds what entities make.
        root = ElementTree.fromstring(body)  # noqa: S314
    except ElementTree.ParseError as error:
        raise StoreError(f"a store answered with something that is no XML: {error}") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def parsed_json(body: bytes) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        StoreError: it is none.
    """
    try:
        found: Any = json.loads(body)
    except ValueError as error:
        raise StoreError(f"a store answered with something that is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise StoreError("a store answered with JSON that is no object")
    return cast("dict[str, Any]", found)


def _reason(body: bytes) -> str:
    """Return what an error's body says, in one line."""
    text = body.decode(errors="replace")
    with contextlib.suppress(StoreError):
        if text.lstrip().startswith("<"):
            root = parsed_xml(body)
            text = f"{root.findtext('Code') or ''} {root.findtext('Message') or ''}"
        elif text.lstrip().startswith("{"):
            error: Any = parsed_json(body).get("error")
            if isinstance(error, dict):
                text = str(cast("dict[str, Any]", error).get("message", text))
    return " ".join(text.split())[:_MESSAGE_CHARACTERS]
