"""S3, and places that speak its language.

The endpoint comes from `AWS_S3_ENDPOINT_URL` (or `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`), with
the bucket in the path, but for CoreWeave, which has it in the name of the host.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from trackd.object_stores.aws_identity import AwsIdentity, quoted
from trackd.object_stores.errors import StoreError
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

_HEAD_THREADS = 16
_PAGE = 1000
#: Content type of the empty objects that stand for folders.
_FOLDER_TYPE = "x-directory"
_NO_VERSION = (None, "", "null")
_REGION_HEADER = "x-amz-bucket-region"
_MD5_HEX = re.compile(r"[0-9a-f]{32}")
_COREWEAVE = re.compile(
    r"https://(cwobject\.com|(accel-)?object\.[a-z0-9-]+\.coreweave\.com)|http://cwlota\.com"
)
#: What stores answer that do not list versions, or not to this asker.
_NO_LIST_OF_VERSIONS = (400, 403, 404, 405, 501)


class S3Bucket:
    """One bucket."""

    def __init__(self, bucket: str, transport: Transport) -> None:
        self._identity = AwsIdentity()
        self._bucket = bucket
        self._transport = transport
        self._line = Line(transport, self._identity, self.root)
        self._address = self._found_address()

    @property
    def root(self) -> str:
        """URI of the bucket."""
        return f"s3://{self._bucket}"

    def find(self, key: str, version: str | None = None) -> StoredObject | None:
        """Return an object as it is now, or one version of it; None where there is none."""
        request = Request(self._url(key, _version_query(version)), method="HEAD")
        with self._line.open(request) as answer:
            return None if answer.status == NOT_FOUND else _described(key, answer.headers)

    def below(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects whose keys begin with a prefix, each with its version.

        Versions are listed where the store allows it; else each object is asked for its own.
        """
        pages = self._version_pages(prefix)
        first = next(pages, None)
        if first is None:
            yield from self._one_by_one(prefix)
            return
        for page in itertools.chain([first], pages):
            for each in page.iter("Version"):
                if each.findtext("IsLatest") == "true":
                    yield _listed(each, _is_quoted(page))

    def versions(self, key: str) -> Iterator[StoredObject]:
        """Yield the versions of an object; none where the store does not tell them."""
        for page in self._version_pages(key):
            for each in page.iter("Version"):
                found = _listed(each, _is_quoted(page))
                if found.key == key:  # `null` is the name of the version from before there were any
                    yield found._replace(version=each.findtext("VersionId"))

    @contextlib.contextmanager
    def open(
        self, key: str, version: str | int | None, start: int, etag: str
    ) -> Generator[Opened | None]:
        """Open an object, or one version, for reading; see `ObjectStore.open`."""
        url = self._url(key, _version_query(version))
        with self._line.open(Request(url, rest_of(start, etag))) as answer:
            if answer.status == NOT_FOUND:
                yield None
                return
            found = _described(key, answer.headers)
            is_plain = answer.headers.get("x-amz-server-side-encryption", "AES256") == "AES256"
            is_md5 = is_plain and _MD5_HEX.fullmatch(found.etag) is not None
            first = start if answer.headers.get("Content-Range") else 0
            yield Opened(found, answer, bytes.fromhex(found.etag) if is_md5 else None, first)

    # --- inside ------------------------------------------------------------------------------

    def _found_address(self) -> str:
        names = ("AWS_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        endpoint = next((value for name in names if (value := os.environ.get(name))), "")
        endpoint = endpoint.strip().rstrip("/")
        if endpoint:
            endpoint = endpoint if "://" in endpoint else f"https://{endpoint}"
            scheme, _, host = endpoint.partition("://")
            is_virtual = _COREWEAVE.fullmatch(endpoint)
            return (
                f"{scheme}://{self._bucket}.{host}" if is_virtual else f"{endpoint}/{self._bucket}"
            )
        self._find_region()
        return self._amazon_address()

    def _amazon_address(self) -> str:
        region = self._identity.region
        host = f"s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
        # A certificate for *.s3... does not hold for names with further dots.
        dotted = "." in self._bucket
        return f"https://{host}/{self._bucket}" if dotted else f"https://{self._bucket}.{host}"

    def _find_region(self) -> None:
        """Ask Amazon where the bucket is: a signature for another region is refused."""
        url = f"https://s3.{self._identity.region}.amazonaws.com/{self._bucket}"
        with self._transport.ask(Request(url, method="HEAD")) as answer:
            self._identity.region = answer.headers.get(_REGION_HEADER) or self._identity.region

    def _url(self, key: str, query: Mapping[str, str] = {}) -> str:
        encoded = "&".join(f"{name}={quoted(value, '')}" for name, value in query.items())
        path = f"/{quoted(key)}" if key else ""
        return f"{self._address}{path}{'?' if encoded else ''}{encoded}"

    def _version_pages(self, prefix: str) -> Iterator[Element]:
        """Yield pages of all versions below a prefix; none where the store does not tell them."""
        query = {"versions": "", "prefix": prefix, "encoding-type": "url", "max-keys": str(_PAGE)}
        while True:
            request = Request(self._url("", query))
            body = self._line.document(request, _NO_LIST_OF_VERSIONS)
            page = parsed_xml(body) if body else None
            if page is None or page.tag != "ListVersionsResult":
                return
            yield page
            if page.findtext("IsTruncated") != "true":
                return
            key = page.findtext("NextKeyMarker") or ""
            query["key-marker"] = urllib.parse.unquote_plus(key) if _is_quoted(page) else key
            query["version-id-marker"] = page.findtext("NextVersionIdMarker") or ""

    def _one_by_one(self, prefix: str) -> Iterator[StoredObject]:
        with ThreadPoolExecutor(_HEAD_THREADS) as pool:
            for page in self._pages(prefix):
                found = [_listed(each, _is_quoted(page)) for each in page.iter("Contents")]
                # Objects that end meanwhile are no part of what is there.
                asked = [pool.submit(self.find, each.key) if each.size else None for each in found]
                for each, future in zip(found, asked, strict=True):
                    now = future.result() if future else each
                    if now is not None:
                        yield now

    def _pages(self, prefix: str) -> Iterator[Element]:
        query = {"list-type": "2", "prefix": prefix, "encoding-type": "url", "max-keys": str(_PAGE)}
        while True:
            body = self._line.document(Request(self._url("", query)))
            page = parsed_xml(body or b"")
            if page.tag != "ListBucketResult":
                raise StoreError(f"{self.root} answered a list with <{page.tag}>")
            yield page
            if page.findtext("IsTruncated") != "true":
                return
            query["continuation-token"] = page.findtext("NextContinuationToken") or ""


def _described(key: str, headers: Mapping[str, str]) -> StoredObject:
    version = headers.get("x-amz-version-id")
    is_folder = key.endswith("/") or _FOLDER_TYPE in headers.get("Content-Type", "")
    return StoredObject(
        key,
        headers.get("ETag", "").strip('"'),
        length_of(headers),
        None if version in _NO_VERSION else version,
        is_folder,
    )


def _listed(element: Element, is_quoted: bool) -> StoredObject:
    key = element.findtext("Key") or ""
    version = element.findtext("VersionId")
    return StoredObject(
        urllib.parse.unquote_plus(key) if is_quoted else key,
        (element.findtext("ETag") or "").strip('"'),
        int(element.findtext("Size") or 0),
        None if version in _NO_VERSION else version,
    )


def _is_quoted(page: Element) -> bool:
    return page.findtext("EncodingType") == "url"


def _version_query(version: str | int | None) -> dict[str, str]:
    return {"versionId": str(version)} if version is not None else {}
