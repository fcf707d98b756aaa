"""Google Cloud Storage and Azure behind the rules of S3, and S3 where versions are not listed.

The servers here answer as the real ones do, in what is asked of them; both dialects were also run
against public emulators (Azurite, gcp-storage-emulator) and Google's own client beside them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from trackd.artifacts import Artifact
from trackd.artifacts.referring.reading import read_reference
from trackd.errors import CommError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = base64.b64encode(b"key of the account").decode()
CONTAINER = "https://account.blob.core.windows.net/box"


class Cloud(BaseHTTPRequestHandler):
    """The versions of each object, oldest first; one bucket called `box`."""

    objects: ClassVar[dict[str, list[bytes]]] = {}
    folders: ClassVar[set[str]] = set()
    dialect: ClassVar[str] = ""

    def do_HEAD(self) -> None:
        self._object(with_body=False)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query, True).items()}
        if self.dialect == "gs":
            return self._google(unquote(url.path), query)
        if "versions" in query and self.dialect == "s3":
            return self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        if self.dialect == "azure" and not self._is_signed(url.path, query):
            return self._answer(403, b"<Error><Code>AuthenticationFailed</Code></Error>")
        return self._list(query) if "prefix" in query else self._object(with_body=True)

    def _object(self, with_body: bool) -> None:
        url = urlsplit(self.path)
        key = unquote(url.path).partition("/box/")[2]
        versions = self.objects.get(key, [])
        query = {name.lower(): values[0] for name, values in parse_qs(url.query).items()}
        number = int(query.get("versionid", len(versions) - 1))
        if not 0 <= number < len(versions):
            return self._answer(404, b"" if not with_body else b"<Error/>")
        body = versions[number]
        headers = {"ETag": f'"{etag(body)}"', "Content-Type": "text/plain"}
        headers["x-ms-version-id" if self.dialect == "azure" else "x-amz-version-id"] = str(number)
        if key in self.folders:
            headers["x-ms-meta-hdi_isfolder"] = "true"
        return self._answer(200, body, headers, with_body=with_body)

    def _list(self, query: dict[str, str]) -> None:
        found = ""
        for key, versions in sorted(self.objects.items()):
            if not key.startswith(query["prefix"]):
                continue
            if self.dialect == "azure" and query["include"] == "versions":
                for number, body in enumerate(versions):
                    found += azure_blob(key, body, f"<VersionId>{number}</VersionId>")
            elif self.dialect == "azure":
                found += azure_blob(key, versions[-1], "")
            else:
                body, name = versions[-1], escape(key)
                size = f"<Size>{len(body)}</Size>"
                found += f"<Contents><Key>{name}</Key><ETag>{etag(body)}</ETag>{size}</Contents>"
        root = "EnumerationResults" if self.dialect == "azure" else "ListBucketResult"
        self._answer(200, f'<{root} xmlns="urn:x">{found}</{root}>'.encode())

    def _google(self, path: str, query: dict[str, str]) -> None:
        key = path.partition("/o/")[2]
        if not key:
            items = [
                facts(key, -1) for key in sorted(self.objects) if key.startswith(query["prefix"])
            ]
            return self._answer(200, json.dumps({"items": items}).encode())
        versions = self.objects.get(key, [])
        number = int(query.get("generation", len(versions) - 1))
        if not 0 <= number < len(versions):
            return self._answer(404, b'{"error": {"message": "No such object"}}')
        media = path.startswith("/download")
        return self._answer(
            200, versions[number] if media else json.dumps(facts(key, number)).encode()
        )

    def _is_signed(self, path: str, query: dict[str, str]) -> bool:
        ours = sorted(
            (k.lower(), v) for k, v in self.headers.items() if k.lower().startswith("x-ms-")
        )
        resource = "".join(f"\n{name}:{value}" for name, value in sorted(query.items()))
        text = (
            "GET" + "\n" * 12 + "".join(f"{k}:{v}\n" for k, v in ours) + f"/account{path}{resource}"
        )
        made = hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")
        return (
            self.headers.get("Authorization")
            == f"SharedKey account:{base64.b64encode(made).decode()}"
        )

    def _answer(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        with_body: bool = True,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


def etag(body: bytes) -> str:
    return "0x" + hashlib.sha256(body).hexdigest()[:12]


def azure_blob(key: str, body: bytes, version: str) -> str:
    folder = "<hdi_isfolder>true</hdi_isfolder>" if key in Cloud.folders else ""
    size = f"<Content-Length>{len(body)}</Content-Length>"
    return (
        f"<Blob><Name>{escape(key)}</Name>{version}<Properties><Etag>{etag(body)}</Etag>{size}"
        f"</Properties><Metadata>{folder}</Metadata></Blob>"
    )


def facts(key: str, number: int) -> dict[str, Any]:
    body = Cloud.objects[key][number]
    generation = number % len(Cloud.objects[key])
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    known = {"name": key, "etag": etag(body), "size": str(len(body)), "md5Hash": md5}
    return known | {"generation": str(generation)}


@pytest.fixture(autouse=True)
def cloud(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Cloud.objects = {"set/a": [b"old", b"new"], "set/sub/b#?%": [b"bb"], "set2/c": [b"c"]}
    Cloud.objects |= {"set/empty": [b""], "set/mark/": [b""], "set/stub": [b""]}
    Cloud.folders = {"set/stub", "set"}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AWS_S3_ENDPOINT_URL", url)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    monkeypatch.setenv(
        "AZURE_STORAGE_CONNECTION_STRING",
        f"AccountName=account;AccountKey={KEY};BlobEndpoint={url}",
    )
    yield
    server.shutdown()
    server.server_close()


def referred(dialect: str, uri: str, name: str | None = None) -> Artifact:
    Cloud.dialect = dialect
    artifact = Artifact("a", "t")
    artifact.add_reference(uri, name)
    return artifact


def test_google_tells_etag_size_and_generation() -> None:
    [entry] = referred("gs", "gs://box/set/a").manifest.entries.values()
    assert (entry.path, entry.digest, entry.size) == ("a", etag(b"new"), 3)
    assert (entry.ref, entry.extra) == ("gs://box/set/a", {"versionID": 1})
    [entry] = referred("gs", "gs://box/set/a#0", "n").manifest.entries.values()
    assert (entry.path, entry.digest, entry.ref) == ("n", etag(b"old"), "gs://box/set/a")
    with pytest.raises(ValueError, match="no such version"):
        referred("gs", "gs://box/set/a#7")


@pytest.mark.parametrize(
    ("dialect", "root", "expected"),
    [
        ("gs", "gs://box", {"a", "sub/b#?%", "empty", "stub"}),
        ("s3", "s3://box", {"a", "sub/b#?%"}),
        ("azure", CONTAINER, {"a", "sub/b#?%", "empty", "mark"}),
    ],
)
def test_a_prefix_is_what_is_below_it_and_all_of_it_is_read_back(
    dialect: str, root: str, expected: set[str], tmp_path: Path
) -> None:
    artifact = referred(dialect, f"{root}/set")
    assert set(artifact.manifest.entries) == expected
    for path, entry in artifact.manifest.entries.items():
        if path != "mark":
            assert entry.ref == f"{root}/set/{path}"
            assert read_reference(entry, tmp_path / path)
            assert (tmp_path / path).read_bytes() == Cloud.objects[f"set/{path}"][-1]
    with pytest.raises(ValueError, match="more than 1 "):
        Artifact("b", "t").add_reference(f"{root}/set", max_objects=1)


def test_s3_that_lists_no_versions_is_asked_for_each() -> None:
    artifact = referred("s3", "s3://box/set")
    assert artifact.manifest.entries["a"].extra == {"etag": etag(b"new"), "versionID": "1"}


def test_a_folder_of_google_has_no_bytes(tmp_path: Path) -> None:
    entry = referred("gs", "gs://box/set").manifest.entries["a"]
    entry.ref = "gs://box/set/mark/"
    assert not read_reference(entry, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_generation_that_is_gone_falls_back_to_the_latest_if_that_is_equal(
    tmp_path: Path,
) -> None:
    entry = referred("gs", "gs://box/set/a").manifest.entries["a"]
    Cloud.objects["set/a"] = [b"new"]
    assert read_reference(entry, tmp_path / "x")
    Cloud.objects["set/a"] = [b"else"]
    with pytest.raises(ValueError, match="any more"):
        read_reference(entry, tmp_path / "y")


def test_azure_finds_the_version_of_an_etag(tmp_path: Path) -> None:
    entry = referred("azure", f"{CONTAINER}/set").manifest.entries["a"]
    assert entry.extra["etag"] == entry.digest == etag(b"new")
    entry.extra.pop("versionID", None)
    Cloud.objects["set/a"].append(b"newest")
    assert read_reference(entry, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"new"
    Cloud.objects["set/a"] = [b"else"]
    with pytest.raises(ValueError, match="any more"):
        read_reference(entry, tmp_path / "y")


def test_a_refusal_of_azure_names_what_was_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = referred("azure", f"{CONTAINER}/set/a").manifest.entries["a"]
    wrong = base64.b64encode(b"another key").decode()
    monkeypatch.setenv(
        "TRACKD_AZURE_ACCOUNT_URL_TO_ACCESS_KEY", json.dumps({CONTAINER[:37]: wrong})
    )
    import trackd

    trackd.teardown()
    with pytest.raises(
        CommError, match=r"AuthenticationFailed.*key for account 'account'"
    ) as caught:
        Artifact("b", "t").add_reference(f"{CONTAINER}/set")
    assert wrong not in str(caught.value)
    assert entry.digest


def test_a_signature_in_an_address_is_not_recorded() -> None:
    entry = referred("azure", f"{CONTAINER}/set/a?sv=1&sig=s3cret").manifest.entries["a"]
    assert "s3cret" not in str(entry)
