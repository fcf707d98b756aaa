"""References to objects in S3 and places that speak its language.

Endpoint, region and keys come from the usual `AWS_*` variables (and `AWS_S3_ENDPOINT_URL`); where
boto3 is installed, from wherever it finds keys, such as `~/.aws`.
"""

from __future__ import annotations

import os
import posixpath
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trackd import libraries
from trackd.artifacts.manifest import ManifestEntry
from trackd.artifacts.notices import warn
from trackd.errors import CommError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackd.artifacts.references import Reference

_HEAD_THREADS = 16
_RETRY: dict[str, Any] = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}
_VERSION = "?versionId="
#: Content type of the empty objects that stand for folders.
_FOLDER_TYPE = "x-directory"
#: Endpoints that have the bucket in the name of the host.
_VIRTUAL_HOSTS = re.compile(
    r"(https?://)(cwobject\.com|cwlota\.com|(accel-)?object\..*\.coreweave\.com)/?$"
)


def s3_entries(reference: Reference) -> list[ManifestEntry]:
    """Return the entries for `s3://bucket/key`, or for all objects below a prefix.

    Raises:
        Error: the library for it is missing.
        CommError: the store refuses, or does not answer.
        ValueError: there are more objects than allowed.
    """
    address, _, version = reference.uri.partition(_VERSION)
    bucket, _, key = address.removeprefix("s3://").partition("/")
    uri = f"s3://{bucket}/{key}"
    if not reference.checksum:
        return [ManifestEntry(reference.name or key or bucket, uri, ref=uri)]
    obstore = libraries.load("obstore", "a reference to s3://", "obstore")
    try:
        store = _store(bucket)
        found = _object(obstore, store, key, version) if key else None
        if found is not None:
            name = reference.name or posixpath.basename(key)
            return [_entry(found, name, uri)]
        return list(_below(obstore, store, f"s3://{bucket}", key.rstrip("/"), reference))
    except obstore.exceptions.BaseError as error:
        raise CommError(
            f"reference {reference.uri!r}: the store refuses or does not answer; are the keys, "
            f"AWS_REGION and AWS_S3_ENDPOINT_URL right? {str(error).splitlines()[0]}"
        ) from error


def gs_entries(reference: Reference) -> list[ManifestEntry]:
    """Return the entry for `gs://bucket/key`, unread.

    Raises:
        UnsupportedError: the object itself is asked for.
    """
    if reference.checksum:
        raise UnsupportedError(
            f"reference {reference.uri!r}: reading Google Cloud Storage comes with a later version "
            "of trackd: use checksum=False, which records the address alone"
        )
    bucket, _, key = reference.uri.removeprefix("gs://").partition("#")[0].partition("/")
    uri = f"gs://{bucket}/{key}"
    return [ManifestEntry(reference.name or key or bucket, uri, ref=uri)]


def _store(bucket: str) -> Any:
    from obstore.store import S3Store

    endpoint = os.environ.get("AWS_S3_ENDPOINT_URL", "")
    virtual = bool(_VIRTUAL_HOSTS.match(endpoint))
    if virtual:
        scheme, _, host = endpoint.partition("://")
        endpoint = f"{scheme}://{bucket}.{host}"
    config: dict[str, Any] = {"virtual_hosted_style_request": virtual}
    if endpoint:
        config["aws_endpoint_url_s3"] = endpoint
    if region := os.environ.get("AWS_REGION"):
        config["region"] = region
    return S3Store(
        bucket,
        config=config,  # pyright: ignore[reportArgumentType] - a TypedDict, filled by name
        client_options={"allow_http": True},
        retry_config=_RETRY,  # pyright: ignore[reportArgumentType]
        credential_provider=_credentials(),
    )


def _credentials() -> Any:
    """Return what finds keys as boto3 does, where that is installed and finds some."""
    if "AWS_ACCESS_KEY_ID" in os.environ:
        return None
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider

        return Boto3CredentialProvider()
    except (ImportError, ValueError):
        return None


def _object(obstore: Any, store: Any, key: str, version: str) -> dict[str, Any] | None:
    """Return what the store knows of an object; None where the key is a folder."""
    options = {"head": True, **({"version": version} if version else {})}
    try:
        found = obstore.get(store, key, options=options)
    except FileNotFoundError:
        return None
    is_folder = key.endswith("/") or _FOLDER_TYPE in found.attributes.get("Content-Type", "")
    return None if is_folder else found.meta


def _below(
    obstore: Any, store: Any, root: str, prefix: str, reference: Reference
) -> Iterator[ManifestEntry]:
    found: list[dict[str, Any]] = []
    for chunk in obstore.list(store, prefix=prefix or None):
        found += [meta for meta in chunk if meta["size"]]
        if len(found) > reference.max_objects:
            raise ValueError(
                f"reference {reference.uri!r} has more than {reference.max_objects} objects: "
                "raise max_objects"
            )
    if not found:
        warn(f"reference {reference.uri}: no object is there, so nothing is referred to")
    # A list does not tell versions: each object is asked for its own.
    with ThreadPoolExecutor(_HEAD_THREADS) as pool:
        asked = [pool.submit(obstore.head, store, meta["path"]) for meta in found]
    for meta in (future.result() for future in asked):
        relative = meta["path"][len(prefix) :].lstrip("/")
        yield _entry(meta, posixpath.join(reference.name or "", relative), f"{root}/{meta['path']}")


def _entry(meta: dict[str, Any], name: str, uri: str) -> ManifestEntry:
    etag = (meta["e_tag"] or "").strip('"')
    extra = {"etag": etag}
    if meta["version"] not in (None, "null"):
        extra["versionID"] = meta["version"]
    return ManifestEntry(name, etag or uri, meta["size"], ref=uri, extra=extra)
