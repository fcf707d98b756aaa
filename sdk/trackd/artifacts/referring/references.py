"""References: entries that say where bytes are instead of holding them."""

from __future__ import annotations

import posixpath
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trackd.artifacts.drafts.walking import files_below
from trackd.artifacts.facts import ArtifactFacts
from trackd.artifacts.hashing import base64_md5, digest_file
from trackd.artifacts.manifest import ManifestEntry
from trackd.artifacts.notices import warn

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_MAX_OBJECTS = 10_000_000


class Reference(NamedTuple):
    """What `Artifact.add_reference` was asked to add."""

    uri: str
    #: Path inside the artifact; None: taken from the URI.
    name: str | None
    #: Ask the store what is there; else the URI alone counts.
    checksum: bool
    max_objects: int


def entries_of(reference: Reference) -> list[ManifestEntry]:
    """Return the entries for a reference, one a file where it leads to a folder.

    Raises:
        ValueError: it is no URI, nothing is there, there are too many objects, or a name is
            needed.
        OSError: its store does not answer.
    """
    scheme = urllib.parse.urlsplit(reference.uri).scheme
    if not scheme:
        raise ValueError(
            f"reference {reference.uri!r} is no URI: for a local path use file://, e.g. "
            f"{Path(reference.uri).absolute().as_uri()!r}"
        )
    if handler := _HANDLERS.get(scheme):
        return handler(reference)
    if reference.name is None:
        raise ValueError(
            f"reference {reference.uri!r}: give name=..., a path for it in the artifact "
            f"(scheme {scheme!r} does not tell one)"
        )
    warn(f"reference {reference.uri}: no checksum, since scheme {scheme!r} is not known")
    return [ManifestEntry(reference.name, reference.uri, ref=reference.uri)]


def local_path(uri: str) -> Path:
    """Return the path that a `file://` address names."""
    return Path(urllib.request.url2pathname(urllib.parse.urlsplit(uri).path))


def _file_entries(reference: Reference) -> list[ManifestEntry]:
    local = local_path(reference.uri)
    if not local.is_absolute():
        raise ValueError(f"reference {reference.uri!r} names no absolute path: use Path.as_uri()")
    if local.is_file():
        return [_file_entry(local, reference.name or local.name, reference.uri, reference.checksum)]
    if not local.is_dir():
        raise ValueError(f"reference {reference.uri!r}: there is no such file or folder")
    base, entries = reference.uri.rstrip("/"), list[ManifestEntry]()
    for path in files_below(local, follow_links=False):
        if len(entries) >= reference.max_objects:
            raise ValueError(
                f"reference {reference.uri!r} has more than {reference.max_objects} files: "
                "raise max_objects"
            )
        relative = path.relative_to(local).as_posix()
        name = posixpath.join(reference.name or "", relative)
        # Quoted, so that names with `#`, `?` or `%` lead back to their file.
        uri = f"{base}/{urllib.parse.quote(relative)}"
        entries.append(_file_entry(path, name, uri, reference.checksum))
    return entries


def _file_entry(path: Path, name: str, uri: str, checksum: bool) -> ManifestEntry:
    if not checksum:
        digest = base64_md5(path.resolve().as_uri())
        return ManifestEntry(name, digest, path.stat().st_size, ref=uri)
    found = digest_file(path)
    return ManifestEntry(name, found.digest, found.size, ref=uri)


def _http_entries(reference: Reference) -> list[ManifestEntry]:
    # Few artifacts need these.
    from trackd.artifacts.referring import cloud
    from trackd.object_stores import transport, web
    from trackd.object_stores.errors import InvalidAddressError, StoreError

    if cloud.is_azure(reference.uri):
        return cloud.cloud_entries(reference)
    uri, user = web.without_user(reference.uri)
    if not urllib.parse.urlsplit(uri).hostname:
        raise InvalidAddressError(f"reference {uri!r} names no server")
    name = reference.name or posixpath.basename(reference.uri)
    if user:
        warn(f"reference {uri}: its user and password are not recorded: keep them in ~/.netrc")
    if not reference.checksum:
        return [ManifestEntry(name, uri, ref=uri)]
    uri = web.as_sent(uri)
    with transport.Transport() as line:
        page = web.WebServer(line).look(reference.uri)
    if page is None:
        raise StoreError(f"reference {uri!r}: nothing is there (HTTP 404 or 410)")
    extra = {"etag": page.etag} if page.etag else {}
    return [ManifestEntry(name, page.etag.strip('"') or uri, page.size, ref=uri, extra=extra)]


def _cloud_entries(reference: Reference) -> list[ManifestEntry]:
    from trackd.artifacts.referring import cloud

    return cloud.cloud_entries(reference)


def _logged_entries(reference: Reference) -> list[ManifestEntry]:
    """Refer to an entry of a version on the server: where it leads itself, to that."""
    from trackd.artifacts import crossing
    from trackd.remote.connection import Remote
    from trackd.session import session

    run = session().run
    remote = Remote.of_server() if run is None else Remote(run.settings)
    entry = crossing.entry_of_uri(remote, reference.uri)
    uri = entry.ref_url()
    return [ManifestEntry(reference.name or posixpath.basename(uri), entry.digest, 0, ref=uri)]


def _draft_entries(reference: Reference) -> list[ManifestEntry]:
    """Refer to an entry of an artifact of this process that no server knows yet."""
    parts = urllib.parse.urlsplit(reference.uri)
    path = parts.path.lstrip("/")
    target = ArtifactFacts.of_client_id(parts.netloc)
    entry = target.manifest.get_entry_by_path(path) if target else None
    if entry is None:
        raise ValueError(
            f"reference {reference.uri!r}: no artifact of this process has such an entry"
        )
    name = reference.name or posixpath.basename(path)
    return [ManifestEntry(name, entry.digest, 0, ref=reference.uri)]


_HANDLERS: dict[str, Callable[[Reference], list[ManifestEntry]]] = {
    "s3": _cloud_entries,
    "gs": _cloud_entries,
    "file": _file_entries,
    "http": _http_entries,
    "https": _http_entries,
    "wandb-artifact": _logged_entries,
    "wandb-client-artifact": _draft_entries,
}
