"""Who asks Azure Blob Storage: account keys, shared access signatures, tokens.

Format: "Authorize with Shared Key" in the REST reference of Azure Storage.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import importlib
import os
import urllib.parse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from trackd.object_stores.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd.object_stores.transport import Request

_API_VERSION = "2021-08-06"
_SCOPE = "https://storage.azure.com/.default"
_RENEW_BEFORE_S = 300
_CONNECTION_STRING = "AZURE_STORAGE_CONNECTION_STRING"
_KEYS_SETTING = "azure_account_url_to_access_key"


class Account(NamedTuple):
    """A storage account, as references name it and as it is reached."""

    #: `https://<name>.blob.core.windows.net`.
    url: str
    name: str
    #: Where it is reached: the same, or what a connection string says (an emulator).
    endpoint: str


class AzureIdentity:
    """The credentials of this process for one account.

    In this order: the signature in the reference itself, the key that the setting
    `azure_account_url_to_access_key` has for the account, `AZURE_STORAGE_CONNECTION_STRING` and
    `AZURE_STORAGE_KEY` where they are for this account, and azure-identity's default credentials
    where that is installed. Without any, requests are those of the public.
    """

    def __init__(self, url: str, signature: str, keys: Mapping[str, str]) -> None:
        name = (urllib.parse.urlsplit(url).hostname or "").partition(".")[0]
        told = _connection_string(name)
        self.account = Account(url, name, told.get("BlobEndpoint", url).rstrip("/"))
        self._signature = signature
        self._key = keys.get(url) or told.get("AccountKey") or _key_of_environment(name)
        self._tokens: Any = None
        self._token: Any = None
        self._searched = ""
        if not (self._signature or self._key):
            self._find_tokens()

    def sign(self, request: Request) -> Request:
        """Return the request with what tells who asks.

        Raises:
            StoreError: no token is given, or the key is none.
        """
        now = datetime.now(UTC)
        # The format of HTTP dates, whatever the language of this process.
        date = f"{_DAYS[now.weekday()]}, {now:%d} {_MONTHS[now.month - 1]} {now:%Y %H:%M:%S} GMT"
        headers = {**request.headers, "x-ms-version": _API_VERSION, "x-ms-date": date}
        if self._signature:
            url = f"{request.url}{'&' if '?' in request.url else '?'}{self._signature}"
            return request._replace(url=url, headers=headers)
        request = request._replace(headers=headers)
        if self._key:
            headers["Authorization"] = self._shared_key(request, self._key)
        elif self._tokens is not None:
            headers["Authorization"] = f"Bearer {self._fresh_token(now.timestamp())}"
        return request._replace(headers=headers)

    def looked_for(self) -> str:
        """Say which credentials were looked for, and where."""
        if self._signature:
            return "Used was the signature in the reference (sig=...); has it ended?"
        if self._key:
            return f"Used was a key for account {self.account.name!r}."
        return (
            f"No key was found for account {self.account.url!r}: looked for the setting "
            f"{_KEYS_SETTING}, {_CONNECTION_STRING} and AZURE_STORAGE_KEY (with "
            f"AZURE_STORAGE_ACCOUNT); {self._searched}."
        )

    def _shared_key(self, request: Request, key: str) -> str:
        parts = urllib.parse.urlsplit(request.url)
        ours = sorted(
            (name.lower(), value.strip())
            for name, value in request.headers.items()
            if name.lower().startswith("x-ms-")
        )
        resource = f"/{self.account.name}{parts.path}" + "".join(
            f"\n{name.lower()}:{value}"
            for name, value in sorted(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        )
        # Verb, ten headers of which reading uses If-Match and Range, ours, what is asked for.
        lines = [request.method, *[""] * 7, request.headers.get("If-Match", ""), "", ""]
        lines.append(request.headers.get("Range", ""))
        text = "\n".join([*lines, *(f"{name}:{value}" for name, value in ours), resource])
        try:
            raw = base64.b64decode(key, validate=True)
        except binascii.Error as error:
            raise StoreError(
                f"the key for Azure account {self.account.name!r} is no base64: copy it as Azure "
                f"shows it. {self.looked_for()}"
            ) from error
        signature = base64.b64encode(hmac.digest(raw, text.encode(), "sha256")).decode()
        return f"SharedKey {self.account.name}:{signature}"

    def _find_tokens(self) -> None:
        try:
            identity = importlib.import_module("azure.identity")
        except ImportError:
            self._searched = "default credentials need azure-identity (pip install 'trackd[azure]')"
            return
        self._tokens = identity.DefaultAzureCredential()
        self._searched = "the default credentials of azure-identity were asked"

    def _fresh_token(self, now_s: float) -> str:
        if self._token is None or self._token.expires_on < now_s + _RENEW_BEFORE_S:
            errors = importlib.import_module("azure.core.exceptions")
            try:
                self._token = self._tokens.get_token(_SCOPE)
            except errors.ClientAuthenticationError as error:
                # What it says begins with the list of all places in which it looked.
                said = " ".join(str(error).split())
                raise StoreError(f"Azure: no token: {said}. {self.looked_for()}") from error
        return self._token.token


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


def _connection_string(name: str) -> dict[str, str]:
    """Return the parts of the connection string, where it is for this account."""
    parts = os.environ.get(_CONNECTION_STRING, "").split(";")
    found = {key: value for key, _, value in (part.partition("=") for part in parts)}
    return found if found.get("AccountName") == name else {}


def _key_of_environment(name: str) -> str | None:
    if os.environ.get("AZURE_STORAGE_ACCOUNT") != name:
        return None
    return os.environ.get("AZURE_STORAGE_KEY")
