"""References to objects in S3, Google Cloud Storage and Azure: one rule for all three.

A reference names one object, or a prefix that stands for a folder: then every object below
`<prefix>/` is an entry of its own, at its place below the prefix. Objects without bytes that stand
for folders are left out, and so are all objects of 0 bytes in S3, as in existing versions.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from trackd.artifacts.manifest import ManifestEntry
from trackd.artifacts.notices import warn
from trackd.object_stores import azure, gcs, s3
from trackd.object_stores.errors import MissingObjectError
from trackd.object_stores.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd.artifacts.referring.references import Reference
    from trackd.object_stores.store import ObjectStore, StoredObject

_S3_VERSION = re.compile(r"\?(?:[^/]*&)?versionId=([^&]*)[^/]*$")
_GENERATION = re.compile(r"#(\d+)$")


class Place(NamedTuple):
    """Where a reference leads."""

    scheme: str
    bucket: str
    #: Of an object, or the prefix of a folder; empty: the whole bucket.
    key: str
    version: str | None
    #: The reference without version and signature, as it is recorded.
    uri: str


def is_azure(uri: str) -> bool:
    """Tell whether an address is one of Azure's, which are HTTPS addresses."""
    host = uri.removeprefix("https://").partition("/")[0]
    return uri.startswith("https://") and host.endswith(azure.HOST_SUFFIX)


def place_of(uri: str, *, is_recorded: bool = False) -> Place:
    """Take a reference apart.

    Args:
        uri: of an object or a prefix.
        is_recorded: it is an entry's, which has the version elsewhere: then `?` and `#` are parts
            of the key.

    Raises:
        ValueError: it names no bucket.
    """
    if is_azure(uri):
        address = azure.BlobAddress.parse(uri, is_recorded=is_recorded)
        root = f"{address.account_url}/{address.container}"
        place = Place("azure", address.container, address.blob, address.version, "")
        place = place._replace(uri=f"{root}/{address.blob}")
    else:
        scheme, _, rest = uri.partition("://")
        scheme = scheme.lower()
        pattern = _S3_VERSION if scheme == "s3" else _GENERATION
        version = None if is_recorded else pattern.search(rest)
        if version:
            rest = rest[: version.start()]
        bucket, _, key = rest.partition("/")
        place = Place(scheme, bucket, key, version and version[1], f"{scheme}://{bucket}/{key}")
    if not place.bucket:
        raise ValueError(f"reference {uri!r} names no bucket: write it as scheme://bucket/key")
    return place


def store_of(uri: str, place: Place, transport: Transport) -> ObjectStore:
    """Return the store to which a reference leads."""
    if place.scheme == "azure":
        address = azure.BlobAddress.parse(uri)
        return azure.AzureContainer(address, transport, _azure_keys())
    make = s3.S3Bucket if place.scheme == "s3" else gcs.GoogleBucket
    return make(place.bucket, transport)


def cloud_entries(reference: Reference) -> list[ManifestEntry]:
    """Return the entries for an object, or for all objects below a prefix.

    Raises:
        StoreError: the store refuses, or does not answer.
        MissingObjectError: the version that is named does not exist.
        ValueError: there are more objects than allowed, or no bucket is named.
    """
    place = place_of(reference.uri)
    if not reference.checksum:
        path = reference.name or place.key or place.bucket
        return [ManifestEntry(path, place.uri, ref=place.uri)]
    with Transport() as transport:
        store = store_of(reference.uri, place, transport)
        found = store.find(place.key, place.version) if place.key else None
        if found is None and place.version is not None:
            raise MissingObjectError(f"reference {reference.uri!r}: there is no such version")
        if found is not None and not found.is_folder:
            path = reference.name or posixpath.basename(place.key)
            entries = [_entry(found, path, place)] if _counts(found, place) else []
        else:
            entries = _below(store, place, reference)
    if not entries:
        warn(f"reference {place.uri}: no object with bytes is there, so nothing is referred to")
    return entries


def _below(store: ObjectStore, place: Place, reference: Reference) -> list[ManifestEntry]:
    prefix = f"{place.key.rstrip('/')}/" if place.key else ""
    entries: list[ManifestEntry] = []
    for found in store.below(prefix):
        if not _counts(found, place):
            continue
        if len(entries) >= reference.max_objects:
            raise ValueError(
                f"reference {reference.uri!r} has more than {reference.max_objects} objects: "
                "raise max_objects"
            )
        path = posixpath.join(reference.name or "", found.key[len(prefix) :].lstrip("/"))
        own = place._replace(uri=f"{store.root}/{found.key}")
        entries.append(_entry(found, path, own))
    return entries


def _counts(found: StoredObject, place: Place) -> bool:
    return found.size > 0 if place.scheme == "s3" else not found.is_folder


def _entry(found: StoredObject, path: str, place: Place) -> ManifestEntry:
    extra: dict[str, Any] = {} if place.scheme == "gs" else {"etag": found.etag}
    if found.version is not None:
        extra["versionID"] = found.version
    return ManifestEntry(path, found.etag or place.uri, found.size, ref=place.uri, extra=extra)


def _azure_keys() -> Mapping[str, str]:
    from trackd.session import session  # the session knows runs, which know artifacts

    return session().set_up().azure_account_url_to_access_key or {}
