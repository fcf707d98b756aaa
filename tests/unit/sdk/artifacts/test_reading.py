"""References read back: whole, as recorded, or not at all."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from trackd.artifacts import Artifact
from trackd.artifacts.manifest import ManifestEntry
from trackd.artifacts.referring.reading import ReferenceReader, read_reference
from trackd.errors import CommError
from trackd.object_stores import transport

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("place")
BODY = bytes(range(256)) * 40_000  # more than one piece


class Server(BaseHTTPRequestHandler):
    """Answers by path, over kept connections."""

    protocol_version = "HTTP/1.1"
    #: Answers to come before the usual ones: a status, or a number of bytes to stop after.
    faults: ClassVar[list[str]] = []
    requests: ClassVar[list[str]] = []
    connections: ClassVar[set[int]] = set()

    def do_GET(self) -> None:
        self.requests.append(self.headers.get("Range", ""))
        self.connections.add(self.client_address[1])
        if self.path == "/private" and not self.headers.get("Authorization"):
            return self._answer(401, b"who?")
        if self.path == "/gone":
            return self._answer(404, b"")
        fault = self.faults.pop(0) if self.faults else ""
        if fault.startswith("HTTP "):
            return self._answer(int(fault[5:]), b"busy")
        start = 0
        if self.headers.get("Range") and self.headers.get("If-Range") == '"e1"':
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        body = BODY[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        if self.path != "/plain":
            self.send_header("ETag", 'W/"e1"' if self.path == "/weak" else '"e1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault:
            self.wfile.write(body[: int(fault)])
            self.close_connection = True
            return None
        self.wfile.write(body)
        return None

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for seen in (Server.faults, Server.requests, Server.connections):
        seen.clear()
    monkeypatch.setattr(transport, "_FIRST_WAIT_S", 0.001)
    monkeypatch.setattr("trackd.artifacts.referring.reading._WAIT_S", 0.001)
    running = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def _full(_size: int) -> str:
    return "full"


def entry_of(uri: str) -> ManifestEntry:
    [entry] = Artifact("a", "t").add_reference(uri, "x")
    return entry


def test_a_page_is_read_back(server: str, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "x"
    assert read_reference(entry_of(f"{server}/page"), target)
    assert target.read_bytes() == BODY
    assert os.listdir(target.parent) == ["x"]


def test_a_cut_line_goes_on_where_it_was_cut(server: str, tmp_path: Path) -> None:
    entry = entry_of(f"{server}/page")
    Server.faults[:] = ["3000000", "2000000"]
    Server.requests.clear()
    assert read_reference(entry, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == BODY
    assert len(Server.requests) == 3
    assert Server.requests[0] == "" and Server.requests[1].startswith("bytes=")


def test_without_a_strong_etag_it_begins_again(server: str, tmp_path: Path) -> None:
    for path in ("weak", "plain"):
        entry = entry_of(f"{server}/{path}")
        Server.faults[:] = ["3000000"]
        Server.requests.clear()
        assert read_reference(entry, tmp_path / path)
        assert (tmp_path / path).read_bytes() == BODY
        assert Server.requests == ["", ""]


def test_a_line_that_is_always_cut_is_given_up_and_leaves_nothing(
    server: str, tmp_path: Path
) -> None:
    entry = entry_of(f"{server}/plain")
    Server.faults[:] = ["0"] * 20
    with pytest.raises(CommError, match="cut off 5 times"):
        read_reference(entry, tmp_path / "x")
    assert not os.listdir(tmp_path) or "x" not in os.listdir(tmp_path)


def test_a_busy_server_is_asked_again(server: str, tmp_path: Path) -> None:
    entry = entry_of(f"{server}/page")
    Server.faults[:] = ["HTTP 503", "HTTP 429", "HTTP 500"]
    assert read_reference(entry, tmp_path / "x")
    Server.faults[:] = ["HTTP 503"] * 9
    with pytest.raises(CommError, match="HTTP 503"):
        read_reference(entry, tmp_path / "y")
    assert len(Server.faults) == 4


def test_what_changed_is_refused_and_the_old_file_stays(server: str, tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_text("mine")
    entry = entry_of(f"{server}/page")
    entry.digest = "other"
    with pytest.raises(ValueError, match="has changed: its ETag is 'e1', not 'other'"):
        read_reference(entry, target)
    entry.digest, entry.size = "e1", 7
    with pytest.raises(ValueError, match="7 were recorded"):
        read_reference(entry, target)
    entry.ref = f"{server}/gone"
    with pytest.raises(FileNotFoundError):
        read_reference(entry, target)
    assert target.read_text() == "mine"
    assert [name for name in os.listdir(tmp_path) if name.endswith(".part")] == []


def test_a_weak_mark_that_comes_and_goes_is_the_same_etag(server: str, tmp_path: Path) -> None:
    entry = entry_of(f"{server}/weak")
    assert entry.digest == 'W/"e1'  # as existing versions have it
    entry.ref = f"{server}/page"
    assert read_reference(entry, tmp_path / "x")


def test_a_password_opens_and_is_not_recorded(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = entry_of(f"{server}/private".replace("//", "//me:s%40cret@"))
    assert "s%40cret" not in str(entry)
    assert ".netrc" in capsys.readouterr().err
    with pytest.raises(CommError, match=r"HTTP 401.*\.netrc"):
        read_reference(entry, tmp_path / "x")
    home = Path(os.environ["HOME"])
    home.mkdir(exist_ok=True)
    (home / ".netrc").write_text("machine 127.0.0.1 login me password s@cret\n")
    (home / ".netrc").chmod(0o600)
    assert read_reference(entry, tmp_path / "x")


def test_many_threads_share_connections(server: str, tmp_path: Path) -> None:
    entry = entry_of(f"{server}/page")
    Server.connections.clear()
    targets = [tmp_path / str(number) for number in range(24)]
    with ReferenceReader() as reader, ThreadPoolExecutor(4) as pool:
        assert all(pool.map(reader.read, [entry] * len(targets), targets))
    assert len(Server.connections) <= 4


def test_who_gives_up_waits_for_no_server(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ReferenceReader() as reader:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        entry = ManifestEntry("x", "etag", ref=url)
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(reader.read, entry, tmp_path / "x")
            line, _ = silent.accept()
            with line, pytest.raises(CommError, match="given up"):
                reader.close()
                reading.result(5)
    assert not list(tmp_path.glob("*"))


def test_a_file_is_read_back_and_compared(tmp_path: Path) -> None:
    source = tmp_path / "a#b %20"
    source.write_text("data")
    entry = entry_of(source.as_uri())
    assert read_reference(entry, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "data"
    source.write_text("else")
    with pytest.raises(ValueError, match="has changed"):
        read_reference(entry, tmp_path / "other")
    source.unlink()
    with pytest.raises(FileNotFoundError):
        read_reference(entry, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert (tmp_path / "copy").read_text() == "data"


def test_what_an_earlier_download_left_is_not_read_again(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("as it was")
    target.write_text("as it was")
    entry = Artifact("a", "t").add_reference(source.as_uri())[0]
    source.unlink()
    assert read_reference(entry, target)
    target.write_text("by hand")
    with pytest.raises(FileNotFoundError):
        read_reference(entry, target)
    assert target.read_text() == "by hand"


def test_a_page_of_unknown_size_is_read_whatever_it_gives(server: str, tmp_path: Path) -> None:
    entry = Artifact("a", "t").add_reference(f"{server}/page")[0]
    entry.size = 0  # so manifests on servers have it
    read_reference(entry, tmp_path / "page")
    assert (tmp_path / "page").read_bytes() == BODY


def test_a_file_without_checksum_is_read_as_it_is_even_after_a_change(tmp_path: Path) -> None:
    source = tmp_path / "s"
    source.write_text("data")
    source.chmod(0)
    [entry] = Artifact("a", "t").add_reference(source.as_uri(), checksum=False)  # not opened
    source.chmod(0o600)
    source.write_text("more")
    assert read_reference(entry, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "more"


def test_an_unknown_scheme_cannot_be_read(tmp_path: Path) -> None:
    entry = ManifestEntry("x", "nfs9://h/x", ref="nfs9://h/x")
    with pytest.raises(ValueError, match="'nfs9' cannot be read"):
        read_reference(entry, tmp_path / "x")


def test_pipes_are_refused_and_not_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    artifact = Artifact("a", "t")
    for add in (lambda: artifact.add_dir(folder), lambda: artifact.add_reference(folder.as_uri())):
        with pytest.raises(ValueError, match="is a pipe"):
            add()
    assert not artifact.manifest.entries


def test_a_full_disk_leaves_nothing(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = entry_of(f"{server}/page")
    small = Path("/dev/full")
    if not small.exists():
        pytest.skip("no /dev/full")
    monkeypatch.setattr("secrets.token_hex", _full)
    (tmp_path / ".full.part").symlink_to(small)
    with pytest.raises(OSError, match="No space left"):
        read_reference(entry, tmp_path / "x")
    assert not (tmp_path / "x").exists() and not (tmp_path / ".full.part").is_symlink()


def test_bytes_that_are_not_what_the_store_says_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.md5(b"right").hexdigest()}"')
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"wrong")

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    running = ThreadingHTTPServer(("127.0.0.1", 0), Wrong)
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("AWS_S3_ENDPOINT_URL", f"http://127.0.0.1:{running.server_port}")
    try:
        digest = hashlib.md5(b"right").hexdigest()
        entry = ManifestEntry("x", digest, 5, ref="s3://bucket/key")
        with pytest.raises(ValueError, match="the store says"):
            read_reference(entry, tmp_path / "x")
    finally:
        running.shutdown()
        running.server_close()
    assert not (tmp_path / "x").exists()
