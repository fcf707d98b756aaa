"""Reads what references lead to back into files, with the rights of the user.

What is read must be what was recorded: the version that the entry has, with the ETag that it has;
bytes are checked against their number and, where the store tells an MD5, against that. A file
appears only when it is whole. What was recorded without a checksum is read as it is now.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import threading
import time
import urllib.parse
from typing import TYPE_CHECKING

from trackd.artifacts.hashing import base64_md5, copy_and_digest, digest_file
from trackd.artifacts.referring.cloud import is_azure, place_of, store_of
from trackd.artifacts.referring.references import local_path
from trackd.object_stores.errors import MissingObjectError, StoreError
from trackd.object_stores.transport import MAX_ATTEMPTS, Transport, resumable
from trackd.object_stores.web import WebServer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from io import FileIO
    from pathlib import Path
    from typing import Self

    from trackd.artifacts.manifest import ManifestEntry
    from trackd.artifacts.referring.cloud import Place
    from trackd.object_stores.store import ObjectStore, Opened

    #: Opens the bytes from a position on, of the ETag that was seen before.
    Opening = Callable[[int, str], contextlib.AbstractContextManager[Opened | None]]

_WAIT_S = 0.2
_SUFFIX_BYTES = 8


class ReferenceReader:
    """Reads references, from many threads at once; a context manager.

    Connections and credentials are kept from one reference to the next.
    """

    def __init__(self) -> None:
        self._transport = Transport()
        self._web = WebServer(self._transport)
        self._stores: dict[tuple[str, str], ObjectStore] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up what other threads are reading."""
        self._transport.close()

    def read(self, entry: ManifestEntry, target: Path) -> bool:
        """Write the bytes of a reference to a file, whole or not at all.

        Args:
            entry: a reference to `file`, `http`, `https`, `s3`, `gs` or Azure.
            target: where to; a file there is replaced. Its folder is made.

        Returns:
            False where the reference leads to an object that stands for a folder: nothing is
            written then.

        Raises:
            MissingObjectError: (FileNotFoundError) nothing is there any more.
            ValueError: something else is there, or the scheme cannot be read.
            StoreError: (OSError) the store refuses, or does not answer.
            OSError: the file cannot be written.
        """
        scheme = urllib.parse.urlsplit(entry.ref or "").scheme
        if scheme == "file":
            _copy(entry, target)
        elif scheme in ("s3", "gs") or is_azure(entry.ref or ""):
            return self._read_object(entry, target)
        elif scheme in ("http", "https"):
            self._read_page(entry, target)
        else:
            raise ValueError(
                f"entry {entry.path!r} refers to {entry.ref!r}: scheme {scheme!r} cannot be read; "
                "use entry.ref_target() and read it yourself"
            )
        return True

    def _read_page(self, entry: ManifestEntry, target: Path) -> None:
        url, raw = entry.ref or "", str(entry.extra.get("etag", ""))

        def opening(start: int, _etag: str) -> contextlib.AbstractContextManager[Opened | None]:
            return self._web.open(url, start, raw)

        expected = None if entry.digest == url else entry.digest
        with _whole(target) as part:
            found = _fetch(entry, opening, part, expected)
            if found is None:
                raise MissingObjectError(f"entry {entry.path!r}: nothing is at {url!r} any more")
            if not _is_same(found, expected):
                raise ValueError(
                    f"entry {entry.path!r}: {url!r} has changed: its ETag is {found!r}, not "
                    f"{expected!r}"
                )

    def _read_object(self, entry: ManifestEntry, target: Path) -> bool:
        uri = entry.ref or ""
        place = place_of(uri, is_recorded=True)
        if place.key.endswith("/"):
            return False
        store = self._store(uri, place)
        with _whole(target) as part:
            _fetch_object(entry, store, place.key, part)
        return True

    def _store(self, uri: str, place: Place) -> ObjectStore:
        key = (uri.partition(place.bucket)[0], place.bucket)
        with self._lock:
            if key not in self._stores:
                self._stores[key] = store_of(uri, place, self._transport)
            return self._stores[key]


def read_reference(entry: ManifestEntry, target: Path) -> bool:
    """Read one reference; for many, use `ReferenceReader.read`, which explains the rest."""
    with ReferenceReader() as reader:
        return reader.read(entry, target)


def _copy(entry: ManifestEntry, target: Path) -> None:
    if _holds(target, entry):
        return
    source = local_path(entry.ref or "")
    if not source.exists():
        raise MissingObjectError(
            f"entry {entry.path!r}: file {str(source)!r} is not there any more"
        )
    with _whole(target) as part:
        found = copy_and_digest(source, part, "MD5").digest
        # Recorded without a checksum, the digest is that of the address.
        if found != entry.digest and entry.digest != base64_md5(source.resolve().as_uri()):
            raise ValueError(
                f"entry {entry.path!r}: file {str(source)!r} has changed: its digest is {found!r}, "
                f"not {entry.digest!r}"
            )


def _holds(target: Path, entry: ManifestEntry) -> bool:
    """Tell whether an earlier download left the contents there."""
    is_plain = target.is_file() and not target.is_symlink()
    return is_plain and digest_file(target).digest == entry.digest


def _fetch_object(entry: ManifestEntry, store: ObjectStore, key: str, part: Path) -> None:
    """Fetch the version of an entry: the recorded one, the latest, or another of its ETag."""
    expected = None if entry.digest == entry.ref else entry.digest

    def fetched(version: str | int | None) -> str | None:
        def opening(start: int, etag: str) -> contextlib.AbstractContextManager[Opened | None]:
            return store.open(key, version, start, etag)

        return _fetch(entry, opening, part, expected)

    recorded: str | int | None = entry.extra.get("versionID")
    found: str | None = None
    for version in (recorded, None) if recorded is not None else (None,):
        found = fetched(version)
        if found is not None and _is_same(found, expected):
            return
        if found is not None and version is not None:
            raise ValueError(
                f"entry {entry.path!r}: version {version!r} of {entry.ref!r} has ETag {found!r}, "
                f"not {expected!r}"
            )
    for other in store.versions(key) if expected is not None else ():
        if other.etag == expected and fetched(other.version) == expected:
            return
    now = "there is nothing" if found is None else f"what is there has ETag {found!r}"
    raise MissingObjectError(
        f"entry {entry.path!r}: {entry.ref!r} has no version with ETag {expected!r} any more; {now}"
    )


def _fetch(entry: ManifestEntry, opening: Opening, part: Path, expected: str | None) -> str | None:
    """Write the bytes to a file if they are the expected ones, going on where the line is cut.

    Returns:
        The ETag of what is there; None: nothing is there.
    """
    done, etag, failures, digest = 0, "", 0, hashlib.md5(usedforsecurity=False)
    with part.open("wb", buffering=0) as file:
        while True:
            try:
                with opening(done if etag else 0, etag) as opened:
                    if opened is None or not _is_same(opened.found.etag, expected):
                        return opened and opened.found.etag
                    etag = opened.found.etag
                    if opened.start != done:
                        done, digest = 0, hashlib.md5(usedforsecurity=False)
                        file.seek(0)
                        file.truncate()
                    for piece in opened.answer.pieces():
                        _write_all(file, piece)
                        digest.update(piece)
                        done, failures = done + len(piece), 0
                    _check_bytes(entry, done, opened.md5, digest.digest())
                    return etag
            except Exception as error:
                failures += 1
                if not resumable(error):
                    raise
                if failures == MAX_ATTEMPTS:
                    raise StoreError(
                        f"entry {entry.path!r}: reading {entry.ref!r} was cut off {failures} times "
                        f"in a row after {done} bytes: {error}"
                    ) from error
                time.sleep(_WAIT_S * 2**failures)


def _check_bytes(entry: ManifestEntry, count: int, told: bytes | None, found: bytes) -> None:
    if entry.size and count != entry.size:  # 0: unknown, as manifests on servers have it
        raise ValueError(
            f"entry {entry.path!r}: {entry.ref!r} gave {count} bytes, {entry.size} were recorded"
        )
    if told is not None and told != found:
        raise ValueError(
            f"entry {entry.path!r}: the bytes of {entry.ref!r} have MD5 {found.hex()}, the store "
            f"says {told.hex()}"
        )


def _is_same(found: str, expected: str | None) -> bool:
    """Compare ETags; a mark for weak ones comes and goes with the server's compression."""
    return expected is None or _strong(found) == _strong(expected)


def _strong(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')


def _write_all(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) or 0 :]


@contextlib.contextmanager
def _whole(target: Path) -> Generator[Path]:
    """Give a path beside the target; what is there at the end takes the target's place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{secrets.token_hex(_SUFFIX_BYTES)}.part")
    try:
        yield part
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
