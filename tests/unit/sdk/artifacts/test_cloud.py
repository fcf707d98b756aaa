"""References to objects of a store that speaks S3."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from trackd.artifacts import Artifact
from trackd.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Size by key; the version of an object is `v` and its key.
OBJECTS = {
    "set/train": 3,
    "set/odd #1?%20": 4,
    "set/empty": 0,
    "set2/train": 5,
    "marked": 0,
    "marked/x": 6,
}


class S3(BaseHTTPRequestHandler):
    """One bucket, path style."""

    def do_HEAD(self) -> None:
        key = self._key()
        self.send_response(200 if key in OBJECTS else 404)
        if key in OBJECTS:
            kind = "application/x-directory" if key == "marked" else "text/plain"
            self.send_header("Content-Type", kind)
            self.send_header("ETag", f'"etag-of-{len(key)}"')
            self.send_header("x-amz-version-id", f"v-{OBJECTS[key]}")
            self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        self.send_header("Content-Length", str(OBJECTS.get(key, 0)))
        self.end_headers()

    def do_GET(self) -> None:
        prefix = parse_qs(urlsplit(self.path).query).get("prefix", [""])[0]
        found = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{size}</Size><ETag>x</ETag>"
            "<LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>"
            for key, size in sorted(OBJECTS.items())
            if key.startswith(prefix)
        )
        body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/bucket").lstrip("/")

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture(autouse=True)
def store(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), S3)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("AWS_S3_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    yield
    server.shutdown()
    server.server_close()


def paths(uri: str, name: str | None = None) -> list[str]:
    artifact = Artifact("a", "t")
    artifact.add_reference(uri, name)
    return sorted(artifact.manifest.entries)


def test_an_object_tells_digest_size_and_version() -> None:
    [entry] = Artifact("a", "t").add_reference("s3://bucket/set/train")
    assert (entry.path, entry.digest, entry.size) == ("train", "etag-of-9", 3)
    assert entry.ref == "s3://bucket/set/train"
    assert entry.extra == {"etag": "etag-of-9", "versionID": "v-3"}


def test_a_folder_is_its_objects_and_not_those_of_its_namesakes() -> None:
    assert paths("s3://bucket/set") == ["odd #1?%20", "train"]
    assert paths("s3://bucket/set", "in") == ["in/odd #1?%20", "in/train"]
    assert paths("s3://bucket/marked") == ["x"]


def test_objects_of_a_whole_bucket_keep_their_keys_apart() -> None:
    artifact = Artifact("a", "t")
    artifact.add_reference("s3://bucket")
    assert {path: entry.ref for path, entry in artifact.manifest.entries.items()} == {
        key: f"s3://bucket/{key}" for key, size in OBJECTS.items() if size
    }
    assert artifact.manifest.entries["set/train"].extra["versionID"] == "v-3"


def test_too_many_objects_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 1 objects"):
        Artifact("a", "t").add_reference("s3://bucket/set", max_objects=1)


def test_without_checksum_the_store_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_S3_ENDPOINT_URL", "http://127.0.0.1:1")
    [entry] = Artifact("a", "t").add_reference("s3://bucket/set/", checksum=False)
    assert (entry.path, entry.digest, entry.size) == ("set", "s3://bucket/set/", None)
    [entry] = Artifact("a", "t").add_reference("gs://bucket/deep/key", checksum=False)
    assert (entry.path, entry.digest) == ("deep/key", "gs://bucket/deep/key")


def test_a_store_that_is_not_read_yet_is_named() -> None:
    with pytest.raises(UnsupportedError, match="Google Cloud Storage"):
        Artifact("a", "t").add_reference("gs://bucket/key")
