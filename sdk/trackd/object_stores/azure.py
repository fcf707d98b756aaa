"""Azure Blob Storage: `https://<account>.blob.core.windows.net/<container>/<blob>`."""

from __future__ import annotations

import base64
import contextlib
import urllib.parse
from typing import TYPE_CHECKING, NamedTuple

from trackd.object_stores.azure_identity import AzureIdentity
from trackd.object_stores.store import (
    NOT_FOUND,
    Line,
    Opened,
    StoredObject,
    length_of,
    parsed_xml,
    rest_of,
)
from trackd.object_stores.transport import Request, Transport

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from xml.etree.ElementTree import Element

HOST_SUFFIX = ".blob.core.windows.net"
_FOLDER_MARK = "hdi_isfolder"
_PAGE = 1000


class BlobAddress(NamedTuple):
    """The parts of a reference to Azure."""

    #: `https://<account>.blob.core.windows.net`.
    account_url: str
    container: str
    #: As it is in the address.
    blob: str
    version: str | None
    #: Query that allows to read; never recorded.
    signature: str

    @classmethod
    def parse(cls, uri: str, *, is_recorded: bool = False) -> BlobAddress:
        """Take an address apart.

        Args:
            uri: of a blob or container; names of blobs are not quoted in it.
            is_recorded: it has no query: `?` is part of the name.
        """
        address, _, encoded = (uri, "", "") if is_recorded else uri.partition("?")
        query = dict(urllib.parse.parse_qsl(encoded))
        scheme, _, rest = address.partition("://")
        host, _, path = rest.partition("/")
        container, _, blob = path.partition("/")
        signature = encoded if "sig" in query else ""
        return cls(f"{scheme}://{host}", container, blob, query.get("versionId"), signature)


class AzureContainer:
    """One container."""

    def __init__(
        self, address: BlobAddress, transport: Transport, keys: Mapping[str, str] | None = None
    ) -> None:
        """Args:
        address: of anything in it.
        transport: to ask with.
        keys: access keys by the URL of their account.
        """
        self._identity = AzureIdentity(address.account_url, address.signature, keys or {})
        self._root = f"{address.account_url}/{address.container}"
        self._url = f"{self._identity.account.endpoint}/{address.container}"
        self._line = Line(transport, self._identity, self._root)

    @property
    def root(self) -> str:
        """URL of the container."""
        return self._root

    def find(self, key: str, version: str | None = None) -> StoredObject | None:
        """Return a blob as it is now, or one version of it; None where there is none."""
        with self._line.open(Request(self._blob(key, version), method="HEAD")) as answer:
            return None if answer.status == NOT_FOUND else _described(key, answer.headers)

    def below(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the blobs whose names begin with a prefix, without their versions."""
        yield from self._listed(prefix, "metadata")

    def versions(self, key: str) -> Iterator[StoredObject]:
        """Yield the versions of a blob."""
        yield from (found for found in self._listed(key, "versions") if found.key == key)

    @contextlib.contextmanager
    def open(
        self, key: str, version: str | int | None, start: int, etag: str
    ) -> Generator[Opened | None]:
        """Open a blob, or one version, for reading; see `ObjectStore.open`."""
        request = Request(self._blob(key, version), rest_of(start, etag))
        with self._line.open(request) as answer:
            if answer.status == NOT_FOUND:
                yield None
                return
            headers = answer.headers
            told = headers.get("x-ms-blob-content-md5") or headers.get("Content-MD5")
            first = start if headers.get("Content-Range") else 0
            md5 = base64.b64decode(told) if told and not first else None
            yield Opened(_described(key, headers), answer, md5, first)

    def _blob(self, key: str, version: str | int | None) -> str:
        query = "" if version is None else "?versionid=" + urllib.parse.quote(str(version))
        return f"{self._url}/{urllib.parse.quote(key)}{query}"

    def _listed(self, prefix: str, include: str) -> Iterator[StoredObject]:
        query = {
            "restype": "container",
            "comp": "list",
            "prefix": prefix,
            "include": include,
            "maxresults": str(_PAGE),
        }
        while True:
            url = f"{self._url}?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote)}"
            page = parsed_xml(self._line.document(Request(url)) or b"")
            yield from (_of_list(blob) for blob in page.iter("Blob"))
            marker = page.findtext("NextMarker")
            if not marker:
                return
            query["marker"] = marker


def _described(key: str, headers: Mapping[str, str]) -> StoredObject:
    return StoredObject(
        key,
        headers.get("ETag", "").strip('"'),
        length_of(headers),
        headers.get("x-ms-version-id") or None,
        headers.get(f"x-ms-meta-{_FOLDER_MARK}") == "true",
    )


def _of_list(blob: Element) -> StoredObject:
    name = blob.find("Name")
    text = (name.text if name is not None else None) or ""
    is_encoded = name is not None and name.get("Encoded") == "true"
    return StoredObject(
        urllib.parse.unquote(text) if is_encoded else text,
        (blob.findtext("Properties/Etag") or "").strip('"'),
        int(blob.findtext("Properties/Content-Length") or 0),
        blob.findtext("VersionId") or None,
        blob.findtext(f"Metadata/{_FOLDER_MARK}") == "true",
    )
