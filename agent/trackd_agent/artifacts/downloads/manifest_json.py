"""The JSON of a manifest, read piece by piece: what a server sends is judged before it counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import ijson
import msgspec

from trackd_agent.artifacts.contents import MD5, XXH128
from trackd_agent.artifacts.downloads.entries import (
    EVERYTHING,
    Entry,
    Filter,
    InvalidManifest,
    checked_path,
)
from trackd_agent.artifacts.downloads.nesting import Nesting

if TYPE_CHECKING:
    from trackd_agent.artifacts.downloads.manifest import Manifest

_VERSION = 1
#: More entries than any client may add.
_MAX_ENTRIES = 10_000_000
#: One entry is never longer, in bytes: what comes without the end of one is no manifest.
_MAX_ENTRY_BYTES = 16 * 1024 * 1024
_MAX_SIZE_BYTES = 2**63 - 1
#: What a reader of JSON cannot follow is no manifest either.
_MAX_LEVELS = 500
_SHOWN_CHARS = 200
_json = cast("Any", ijson)  # the package has no types


class _Sent(msgspec.Struct):
    """An entry in the words of the protocol."""

    digest: str
    size: Annotated[int, msgspec.Meta(ge=0, le=_MAX_SIZE_BYTES)] | None = None
    ref: str | None = None
    birth_artifact_id: str | None = msgspec.field(default=None, name="birthArtifactID")
    extra: dict[str, Any] | None = None


class _Watched:
    """One value beside the entries; its parser stops when the value was seen."""

    def __init__(self, name: str) -> None:
        self.found: list[Any] = _json.sendable_list()
        self._parser: Any = _json.items_coro(self.found, name, use_float=True)

    def feed(self, piece: bytes) -> None:
        if not self.found:
            self._parser.send(piece)

    @property
    def value(self) -> Any:
        return self.found[0] if self.found else None


class ManifestReader:
    """Fills a manifest. Blocks: every call belongs into a worker thread.

    Args:
        manifest: where the entries go.
        wanted: which paths go there; all are judged.
    """

    def __init__(self, manifest: Manifest, wanted: Filter = EVERYTHING) -> None:
        self._manifest = manifest
        self._wanted = wanted
        self._items: list[tuple[str, Any]] = _json.sendable_list()
        self._parser: Any = _json.kvitems_coro(self._items, "contents", use_float=True)
        self._version = _Watched("version")
        self._policy = _Watched("storagePolicy")
        self._config = _Watched("storagePolicyConfig")
        self._nesting = Nesting()
        self._entries = 0
        self._silent_bytes = 0

    def feed(self, piece: bytes) -> None:
        """Take the next bytes.

        Raises:
            InvalidManifest: this is no manifest, or one that would write outside of a folder.
        """
        self._nesting.feed(piece)
        if self._nesting.deepest > _MAX_LEVELS:
            raise _invalid(f"it is nested deeper than {_MAX_LEVELS} levels")
        try:
            self._parser.send(piece)
            for watched in (self._version, self._policy, self._config):
                watched.feed(piece)
        except (ijson.JSONError, UnicodeDecodeError) as error:
            raise _invalid(f"it is no JSON: {error}") from error
        self._silent_bytes = 0 if self._items else self._silent_bytes + len(piece)
        self._take_items()

    def finish(self) -> None:
        """All bytes were there.

        Raises:
            InvalidManifest: the manifest is not whole, or of another version.
        """
        try:
            self._parser.close()
        except ijson.JSONError as error:
            raise _invalid(f"it is cut off, or no JSON: {error}") from error
        self._take_items()
        version = self._version.value
        if type(version) is not int or version != _VERSION:
            raise _invalid(f"its version is {version!r}, not {_VERSION}")
        manifest, config = self._manifest, self._config.value
        manifest.storage_policy = str(self._policy.value or "")
        manifest.storage_config = cast("dict[str, Any]", config) if isinstance(config, dict) else {}

    def _take_items(self) -> None:
        if self._silent_bytes > _MAX_ENTRY_BYTES:
            raise _invalid(f"it holds an entry of more than {_MAX_ENTRY_BYTES} bytes")
        self._entries += len(self._items)
        if self._entries > _MAX_ENTRIES:
            raise _invalid(f"it holds more than {_MAX_ENTRIES} entries")
        if self._items:
            entries = (_entry(path, value) for path, value in self._items)
            self._manifest.add(entry for entry in entries if self._wanted.takes(entry.path))
            self._items.clear()


def _entry(path: str, value: Any) -> Entry:
    """Return an entry as the server wrote it; what only its writer needed is left out."""
    path = checked_path(path)
    try:
        sent = msgspec.convert(value, _Sent)
    except msgspec.ValidationError as error:
        shown = path[:_SHOWN_CHARS]
        raise _invalid(f"the entry {shown!r} has fields of a wrong kind: {error}") from error
    extra = sent.extra
    return Entry(
        path,
        sent.digest,
        sent.size,
        sent.ref or "",
        sent.birth_artifact_id or "",
        msgspec.json.encode(extra) if extra else b"",
        XXH128 if extra and extra.get("alg") == XXH128 else MD5,
    )


def _invalid(why: str) -> InvalidManifest:
    return InvalidManifest("INVALID_MANIFEST", f"the server's manifest cannot be used: {why}")
