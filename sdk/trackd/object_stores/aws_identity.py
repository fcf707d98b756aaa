"""Who asks S3: keys of AWS, the region, and the signature (version 4) made from them.

Format: "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)" in the
API reference of Amazon S3.
"""

from __future__ import annotations

import configparser
import hashlib
import hmac
import importlib
import os
import urllib.parse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from trackd.object_stores.transport import Request

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_DEFAULT_REGION = "us-east-1"
_UNRESERVED = "-_.~"


class Keys(NamedTuple):
    """Access keys."""

    access_key: str
    secret_key: str
    token: str | None = None


class AwsIdentity:
    """The keys and the region of this process, found as AWS' own tools find them.

    In this order: `AWS_ACCESS_KEY_ID` and its companions; all that boto3 knows, where it is
    installed (profiles, roles, single sign-on, containers, instances); the keys of the profile in
    `~/.aws`. Without any, requests are not signed, which public buckets allow.
    """

    def __init__(self) -> None:
        self._searched: list[str] = []
        self._source = ""
        self._boto: Any = None
        self._profile = os.environ.get("AWS_PROFILE") or "default"
        self._files = _profile_values(self._profile)
        self._keys = self._find()
        #: May be corrected by what the store says.
        self.region = (
            os.environ.get("AWS_REGION")
            or os.environ.get("AWS_DEFAULT_REGION")
            or self._files.get("region")
            or _DEFAULT_REGION
        )

    def looked_for(self) -> str:
        """Say which credentials were looked for, and where."""
        found = f"Used were {self._source}" if self._source else "No credentials were found"
        looked = "; ".join(self._searched)
        return (
            f"{found}{f'; looked for: {looked}' if looked else ''}. Region {self.region!r} (of "
            "AWS_REGION), endpoint of AWS_S3_ENDPOINT_URL "
            f"{os.environ.get('AWS_S3_ENDPOINT_URL') or '(not set)'}."
        )

    def sign(self, request: Request) -> Request:
        """Return the request with its signature; unchanged without keys."""
        keys = self._keys
        if self._boto is not None:  # which renews keys that end
            frozen = self._boto.get_frozen_credentials()
            keys = Keys(frozen.access_key, frozen.secret_key, frozen.token)
        if keys is None:
            return request
        return signed(request, keys, self.region, datetime.now(UTC))

    def _find(self) -> Keys | None:
        environ = os.environ
        access, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
        if access and secret:
            self._source = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            return Keys(access, secret, environ.get("AWS_SESSION_TOKEN") or None)
        self._searched.append("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (not both are set)")
        self._boto = self._of_boto()
        if self._boto is not None:
            self._source = f"what boto3 found ({self._boto.method})"
            return None
        access, secret = (
            self._files.get("aws_access_key_id"),
            self._files.get("aws_secret_access_key"),
        )
        if access and secret:
            self._source = f"profile {self._profile!r} of ~/.aws"
            return Keys(access, secret, self._files.get("aws_session_token"))
        self._searched.append(f"keys of profile {self._profile!r} in ~/.aws (AWS_PROFILE; none)")
        return None

    def _of_boto(self) -> Any:
        try:
            errors = importlib.import_module("botocore.exceptions")
            session = importlib.import_module("botocore.session")
        except ImportError:
            self._searched.append(
                "roles, single sign-on, containers and instances (which need boto3: pip install "
                "'trackd[aws]')"
            )
            return None
        try:
            found = session.Session().get_credentials()
        except errors.BotoCoreError as error:
            self._searched.append(f"boto3's own places ({error})")
            return None
        if found is None:
            self._searched.append("boto3's own places: profiles, roles, containers, instances")
        return found


def signed(request: Request, keys: Keys, region: str, now: datetime) -> Request:
    """Return a request without body with its signature.

    Args:
        request: to sign; its query is encoded already.
        keys: of the asker.
        region: of the bucket.
        now: with time zone.
    """
    parts = urllib.parse.urlsplit(request.url)
    moment, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers = {"host": parts.netloc, "x-amz-content-sha256": _EMPTY_SHA256, "x-amz-date": moment}
    if keys.token:
        headers["x-amz-security-token"] = keys.token
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        [
            request.method,
            parts.path or "/",
            _canonical_query(parts.query),
            *(f"{name}:{headers[name]}" for name in sorted(headers)),
            "",
            names,
            _EMPTY_SHA256,
        ]
    )
    scope = f"{day}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{keys.secret_key}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
    return request._replace(headers={**request.headers, **headers})


def quoted(text: str, safe: str = "/") -> str:
    """Return a text as it stands in a signed address."""
    return urllib.parse.quote(text, safe=_UNRESERVED + safe)


def _canonical_query(query: str) -> str:
    return "&".join(
        sorted(part if "=" in part else f"{part}=" for part in query.split("&") if part)
    )


def _profile_values(profile: str) -> dict[str, str]:
    """Return what `~/.aws/credentials` and `~/.aws/config` say about a profile; the first wins."""
    home = Path("~/.aws").expanduser()
    credentials = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials"
    config = os.environ.get("AWS_CONFIG_FILE") or home / "config"
    section = profile if profile == "default" else f"profile {profile}"
    found: dict[str, str] = {}
    for path, name in ((config, section), (credentials, profile)):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue  # nothing was found there, as the error will say
        if parser.has_section(name):
            found |= dict(parser.items(name))
    return found
