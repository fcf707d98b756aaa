"""One entry of a manifest, and the rule for its path."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from pathlib import PureWindowsPath

import msgspec

from trackd_agent.artifacts.contents import MD5
from trackd_agent.core.errors import InvalidRequest

_DIGEST_BYTES = 16
#: Paths that are safe at first sight, and in their normal form.
_PLAIN = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_. -]*)(?:/[A-Za-z0-9_-][A-Za-z0-9_. -]*)*")
_SHOWN_CHARS = 200


class InvalidManifest(InvalidRequest):
    """A manifest that nothing may be written from; said before anything is."""


class Entry(msgspec.Struct, frozen=True):
    """One entry of a manifest (fields as in `trackd.v1.ManifestEntry`)."""

    path: str
    digest: str
    size: int | None = None
    ref: str = ""
    birth_artifact_id: str = ""
    extra_json: bytes = b""
    algorithm: str = MD5

    @property
    def raw_digest(self) -> bytes:
        """The digest as bytes; empty where it is no digest of a file's content."""
        try:
            raw = base64.b64decode(self.digest, validate=True)
        except (binascii.Error, ValueError):
            return b""
        return raw if len(raw) == _DIGEST_BYTES else b""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries are meant (fields as in `trackd.v1.EntryFilter`)."""

    path_prefix: str = ""
    #: Empty: all.
    paths: frozenset[str] = frozenset()

    def takes(self, path: str) -> bool:
        """Whether an entry with this path is meant."""
        return path.startswith(self.path_prefix) and (not self.paths or path in self.paths)


EVERYTHING = Filter()


def checked_path(path: str) -> str:
    """Return the path of an entry in its normal form.

    Raises:
        InvalidManifest: it leads out of the folder, or is none, in the words of POSIX or Windows.
    """
    if _PLAIN.fullmatch(path):  # a million of these are judged at once
        return path
    parts = [part for part in path.split("/") if part not in ("", ".")]
    windows = PureWindowsPath(path)
    if (
        not parts
        or path.startswith("/")
        or "\0" in path
        or not _is_text(path)
        or windows.drive
        or windows.root
        or ".." in parts
        or ".." in windows.parts
    ):
        raise InvalidManifest(
            "UNSAFE_PATH",
            f"the manifest holds the path {path[:_SHOWN_CHARS]!r}, which is not one below a "
            "folder: nothing was written",
            details={"field": "path", "value": path[:_SHOWN_CHARS]},
        )
    return "/".join(parts)


def _is_text(path: str) -> bool:
    """Whether a path can be written as UTF-8: JSON may hold halves of characters."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
