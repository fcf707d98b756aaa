"""Entries of a manifest, and its compatible JSON form: read and written as a stream.

The JSON has the entries in one object, `contents`, of up to a million of them; nothing here holds
more than a piece of it. What only concerns the writer's machine (`local_path`, `skip_cache`) is
dropped, and so is `birthArtifactID`, which the server knows itself.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
import json
import re
from json.decoder import JSONDecodeError
from pathlib import PureWindowsPath
from typing import IO, TYPE_CHECKING, Annotated, Any

import msgspec
import xxhash

from trackd_server.domain.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

MD5 = "MD5"
XXH128 = "XXH128"
#: Bytes of a digest of either algorithm.
DIGEST_BYTES = 16
MAX_PATH_BYTES = 4_096
#: Longest entry of a manifest; its `extra` is the client's.
MAX_ENTRY_CHARS = 1024 * 1024
#: Numbers that a column holds.
MAX_SIZE = 1 << 62
_PIECE_BYTES = 256 * 1024
_DIGEST_HEADER = b"wandb-artifact-manifest-v1\n"
_WHITE = re.compile(r"[ \t\r\n]*")


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """One file or reference.

    Attributes:
        path: inside the artifact.
        digest: of a file the hash itself, of a reference its text in UTF-8.
        size: bytes; None where a reference's store does not tell.
        content: number of the file's content; 0 for references, and until it is looked up.
        ref: where a reference leads.
        extra: facts about a reference, or the algorithm of a digest that is no MD5.
    """

    path: str
    digest: bytes
    size: int | None = None
    content: int = 0
    ref: str | None = None
    extra: dict[str, Any] = {}

    @property
    def is_file(self) -> bool:
        """Whether the bytes lie on this server."""
        return self.ref is None

    @property
    def algorithm(self) -> str:
        """Of the digest."""
        return XXH128 if self.extra.get("alg") == XXH128 else MD5

    @property
    def content_name(self) -> tuple[str, bytes, int | None]:
        """What names the content of a file: algorithm, digest, length."""
        return self.algorithm, self.digest, self.size

    @property
    def digest_text(self) -> str:
        """The digest as clients write it."""
        return encode_digest(self.digest) if self.is_file else self.digest.decode()

    def shown(self, birth_id: str | None) -> dict[str, Any]:
        """Return the entry as the compatible manifest has it."""
        fields: dict[str, Any] = {
            "digest": self.digest_text,
            "ref": self.ref,
            "size": self.size,
            "birthArtifactID": birth_id,
            "extra": self.extra or None,
        }
        return {name: value for name, value in fields.items() if value is not None}


class LogicalDigest:
    """The digest over paths and digests of all entries, fed in the order of their paths."""

    def __init__(self, algorithm: str) -> None:
        self._hash = (
            xxhash.xxh3_128() if algorithm == XXH128 else hashlib.md5(usedforsecurity=False)
        )
        self._hash.update(_DIGEST_HEADER)

    def add(self, entry: Entry) -> None:
        """Take one entry in."""
        self._hash.update(f"{entry.path}:{entry.digest_text}\n".encode())

    def hex(self) -> str:
        """Return the digest of the entries so far."""
        return self._hash.hexdigest()


def encode_digest(digest: bytes) -> str:
    """Return a file's digest as clients write it."""
    return base64.b64encode(digest).decode()


def decode_digest(text: str, of: str) -> bytes:
    """Return the bytes of a file's digest; `of` is what it belongs to, for the message."""
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != DIGEST_BYTES:
        raise InvalidRequest(
            f"Invalid digest {text[:100]!r} of {of[:200]!r}: it must be {DIGEST_BYTES} bytes in "
            "base64."
        )
    return digest


def check_path(path: str) -> str:
    """Return a path if it stays inside of the folder it is written to, else refuse it."""
    reason = ""
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        raise InvalidRequest(f"Invalid path {path[:200]!r}: it is no Unicode text.") from None
    parts = path.split("/")
    if not 1 <= size <= MAX_PATH_BYTES:
        reason = f"it must have 1 to {MAX_PATH_BYTES} bytes"
    elif "\0" in path:
        reason = "it must not contain a zero byte"
    elif "" in parts or "." in parts or ".." in parts:
        reason = "it must be relative, without empty parts, '.' and '..'"
    elif ("\\" in path or ":" in path) and _leaves_on_windows(path):
        reason = "it must be relative, without '..', for Windows too"
    if reason:
        raise InvalidRequest(f"Invalid path {path[:200]!r} in the manifest: {reason}.")
    return path


def _leaves_on_windows(path: str) -> bool:
    """Tell whether Windows reads a path as absolute or with `..`: needs a backslash or a colon."""
    windows = PureWindowsPath(path)
    return bool(windows.anchor) or ".." in windows.parts


def read_manifest(file: IO[bytes]) -> Iterator[Entry]:
    """Yield the entries of a manifest as they stand in it.

    Raises:
        InvalidRequest: It is no manifest of version 1.
    """
    scanner = _Scanner(file)
    version: Any = None
    seen = False
    for key in scanner.each_key():
        if key == "contents":
            seen = True
            for path in scanner.each_key():
                yield _entry(path, scanner.value())
        else:
            value = scanner.value()
            version = value if key == "version" else version
    scanner.end()
    if type(version) is not int or version != 1 or not seen:
        raise InvalidRequest(
            f"The manifest must have version 1 and contents; its version is {str(version)[:50]!r}."
        )


class _Fields(msgspec.Struct):
    """What is read of an entry."""

    digest: str
    ref: str | None = None
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_SIZE)] | None = None
    extra: dict[str, Any] | None = None


def _entry(path: str, value: Any) -> Entry:
    try:
        fields = msgspec.convert(value, _Fields)
        msgspec.msgpack.encode((fields.digest, fields.ref, fields.extra))  # is all of it Unicode?
    except (msgspec.ValidationError, UnicodeEncodeError, OverflowError) as error:
        raise InvalidRequest(f"Invalid entry {path[:200]!r} of the manifest: {error}.") from error
    is_file = fields.ref is None
    digest = decode_digest(fields.digest, path) if is_file else fields.digest.encode()
    return Entry(check_path(path), digest, fields.size, 0, fields.ref, fields.extra or {})


class _Scanner:
    """Reads JSON from a file, one key or small value at a time."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._json = json.JSONDecoder().raw_decode
        self._text = ""
        self._at = 0
        self._whole = False

    def each_key(self) -> Iterator[str]:
        """Yield the keys of an object; between two of them the caller takes the value."""
        self._take("{")
        if self._next() == "}":
            self._at += 1
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                raise InvalidRequest("The manifest is no JSON: a key must be text.")
            self._take(":")
            yield key
            if self._next() != ",":
                self._take("}")
                return
            self._at += 1

    def value(self) -> Any:
        """Return the next value."""
        self._next()
        while True:
            try:
                value, end = self._json(self._text, self._at)
            except (JSONDecodeError, RecursionError) as error:
                if not self._fill():
                    raise InvalidRequest(f"The manifest is no JSON: {error}") from error
                continue
            if end == len(self._text) and self._fill():  # a number may go on
                continue
            self._at = end
            return value

    def end(self) -> None:
        """Refuse whatever follows but white space."""
        if found := self._peek():
            raise InvalidRequest(f"The manifest is no JSON: {found!r} after its end.")

    def _next(self) -> str:
        found = self._peek()
        if not found:
            raise InvalidRequest("The manifest is no JSON: it ends too early.")
        return found

    def _peek(self) -> str:
        """Return the next character that is no white space, "" at the end."""
        while True:
            white = _WHITE.match(self._text, self._at)
            self._at = white.end() if white else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill():
                return ""

    def _take(self, wanted: str) -> None:
        found = self._next()
        if found != wanted:
            raise InvalidRequest(f"The manifest is no JSON: {found!r} where {wanted!r} must be.")
        self._at += 1

    def _fill(self) -> bool:
        """Read on; False at the end, or if what was read should have been enough."""
        if self._whole or len(self._text) - self._at > MAX_ENTRY_CHARS:
            return False
        piece = self._file.read(_PIECE_BYTES)
        self._whole = not piece
        try:
            more = self._decode(piece, self._whole)
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"The manifest is no UTF-8: {error}") from error
        self._text = self._text[self._at :] + more
        self._at = 0
        return True
