"""Google Cloud Storage, by its JSON interface, whose ETags existing versions hold.

Tokens come from google-auth (`pip install 'trackd[gcp]'`), as the default credentials of the
machine; without it, or without any, objects are asked for as by the public. An emulator named by
`STORAGE_EMULATOR_HOST` is asked without a token.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import os
import urllib.parse
from typing import TYPE_CHECKING, Any

from trackd.object_stores.errors import StoreError
from trackd.object_stores.store import (
    NOT_FOUND,
    Line,
    Opened,
    StoredObject,
    parsed_json,
    rest_of,
)
from trackd.object_stores.transport import Request, Transport

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_HOST = "https://storage.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_FACTS = "name,etag,size,generation,md5Hash,contentEncoding"
_PAGE = 1000


class GoogleIdentity:
    """The default credentials of this process."""

    def __init__(self, is_emulator: bool) -> None:
        self._searched = ""
        self._credentials: Any = None
        self._renew: Any = None
        if is_emulator:
            self._searched = "none, as STORAGE_EMULATOR_HOST is set"
        else:
            self._find()

    def sign(self, request: Request) -> Request:
        """Return the request with a token; unchanged without credentials.

        Raises:
            StoreError: the token cannot be renewed.
        """
        if self._credentials is None:
            return request
        errors = importlib.import_module("google.auth.exceptions")
        try:
            if not self._credentials.valid:
                self._credentials.refresh(self._renew)
        except errors.GoogleAuthError as error:
            raise StoreError(
                f"Google Cloud Storage: no token: {error}. {self.looked_for()}"
            ) from error
        token = {"Authorization": f"Bearer {self._credentials.token}"}
        return request._replace(headers={**request.headers, **token})

    def looked_for(self) -> str:
        """Say which credentials were looked for, and where."""
        return f"Credentials: {self._searched}."

    def _find(self) -> None:
        try:
            auth = importlib.import_module("google.auth")
            errors = importlib.import_module("google.auth.exceptions")
            renewing = importlib.import_module("google.auth.transport.requests")
        except ImportError:
            self._searched = (
                "none: application default credentials need google-auth (pip install 'trackd[gcp]')"
            )
            return
        places = "GOOGLE_APPLICATION_CREDENTIALS, those of gcloud, the machine's service account"
        try:
            self._credentials, _ = auth.default(scopes=[_SCOPE])
            self._renew = renewing.Request()
            self._searched = f"{type(self._credentials).__name__} of {places}"
        except errors.GoogleAuthError as error:
            self._searched = f"none; looked for: {places} ({str(error).splitlines()[0]})"


class GoogleBucket:
    """One bucket."""

    def __init__(self, bucket: str, transport: Transport) -> None:
        emulator = os.environ.get("STORAGE_EMULATOR_HOST", "").rstrip("/")
        if emulator and "://" not in emulator:
            emulator = f"http://{emulator}"
        self._bucket = bucket
        self._host = emulator or _HOST
        self._line = Line(transport, GoogleIdentity(bool(emulator)), self.root)

    @property
    def root(self) -> str:
        """URI of the bucket."""
        return f"gs://{self._bucket}"

    def find(self, key: str, version: str | None = None) -> StoredObject | None:
        """Return an object as it is now, or one generation of it; None where there is none."""
        facts = self._facts(key, version)
        return None if facts is None else _described(facts)

    def below(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects whose names begin with a prefix."""
        query = {
            "prefix": prefix,
            "maxResults": str(_PAGE),
            "fields": f"items({_FACTS}),nextPageToken",
        }
        while True:
            url = f"{self._host}/storage/v1/b/{self._bucket}/o?{urllib.parse.urlencode(query)}"
            page = parsed_json(self._line.document(Request(url)) or b"{}")
            yield from (_described(facts) for facts in page.get("items", ()))
            token = page.get("nextPageToken")
            if not token:
                return
            query["pageToken"] = token

    def versions(self, key: str) -> Iterator[StoredObject]:
        """Yield nothing: an entry has its generation, or the object was never versioned."""
        del key
        yield from ()

    @contextlib.contextmanager
    def open(
        self, key: str, version: str | int | None, start: int, etag: str
    ) -> Generator[Opened | None]:
        """Open an object, or one generation, for reading; see `ObjectStore.open`."""
        facts = self._facts(key, version)
        if facts is None:
            yield None
            return
        found = _described(facts)
        # The generation is named, so that the bytes are those of the facts.
        url = f"{self._url('download/storage', key, found.version)}&alt=media"
        headers = {"Range": rest_of(start, etag)["Range"]} if start and found.etag == etag else {}
        with self._line.open(Request(url, headers)) as answer:
            if answer.status == NOT_FOUND:
                yield None
                return
            # Of compressed objects the server gives the plain bytes, which have another hash.
            told = None if facts.get("contentEncoding") else facts.get("md5Hash")
            first = start if answer.headers.get("Content-Range") else 0
            yield Opened(found, answer, base64.b64decode(told) if told else None, first)

    # --- inside ------------------------------------------------------------------------------

    def _facts(self, key: str, version: str | int | None) -> dict[str, Any] | None:
        body = self._line.document(Request(self._url("storage", key, version)), (NOT_FOUND,))
        return None if body is None else parsed_json(body)

    def _url(self, service: str, key: str, version: str | int | None) -> str:
        name = urllib.parse.quote(key, safe="")
        query = {"projection": "noAcl"} if version is None else {"generation": str(version)}
        encoded = urllib.parse.urlencode(query)
        return f"{self._host}/{service}/v1/b/{self._bucket}/o/{name}?{encoded}"


def _described(facts: dict[str, Any]) -> StoredObject:
    name, generation = str(facts["name"]), facts.get("generation")
    return StoredObject(
        name,
        str(facts.get("etag", "")),
        int(facts.get("size", 0)),
        None if generation is None else int(generation),
        is_folder=name.endswith("/"),
    )
