"""References: where their digest, size and name come from."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trackd.artifacts import Artifact

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("place")


class Store(BaseHTTPRequestHandler):
    """Answers by path."""

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/weak?signature=1")
            self.end_headers()
            return
        found = self.path != "/missing"
        self.send_response(200 if found else 404)
        if self.path == "/odd":
            self.send_header("Content-MD5", "no digest")
        if self.path.startswith("/weak"):
            self.send_header("ETag", 'W/"abc"')
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"body")

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def store() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_moved_object_keeps_the_address_that_was_given(store: str) -> None:
    [entry] = Artifact("a", "t").add_reference(f"{store}/moved")
    assert (entry.path, entry.ref, entry.size) == ("moved", f"{store}/moved", 4)
    assert entry.digest == 'W/"abc'  # as existing versions have it
    assert entry.extra == {"etag": 'W/"abc"'}


def test_an_object_that_is_not_there_is_an_error(store: str) -> None:
    artifact = Artifact("a", "t")
    with pytest.raises(OSError, match="404"):
        artifact.add_reference(f"{store}/missing")
    assert not artifact.manifest.entries
    for uri in ("http://", "https:///x", "file://"):
        with pytest.raises(ValueError, match="names no"):
            artifact.add_reference(uri, "n")


def test_addresses_are_sent_as_http_has_them(store: str) -> None:
    [entry] = Artifact("a", "t").add_reference(f"{store}/é x%20y?q=ü&r=a/b#part")
    assert entry.ref == f"{store}/%C3%A9%20x%20y?q=%C3%BC&r=a/b#part"
    [entry] = Artifact("a", "t").add_reference(f"{store}/odd")  # which tells nonsense as digest
    assert (entry.digest, entry.size) == (f"{store}/odd", 4)


def test_the_root_is_a_folder_to_add_to_and_no_file() -> None:
    Path("set").mkdir()
    Path("set/x").write_text("1")
    artifact = Artifact("a", "t")
    artifact.add_dir("set", ".")
    artifact.add_reference(Path("set").absolute().as_uri(), ".")
    assert list(artifact.manifest.entries) == ["x"]
    with pytest.raises(ValueError, match="no place inside"):
        artifact.add_reference("other://x", ".")


def test_an_entry_of_a_draft_has_no_address_yet() -> None:
    entry = Artifact("a", "t").add_reference("other://x", "x")[0]
    with pytest.raises(NotImplementedError, match="get_entry"):
        Artifact("b", "t").add_reference(entry)


def test_names_with_reserved_characters_lead_back_to_their_file() -> None:
    folder = Path("set")
    folder.mkdir()
    for name in ("a#b", "c?d", "e%20f", "ü"):
        (folder / name).write_text(name)
    artifact = Artifact("a", "t")
    artifact.add_reference(folder.absolute().as_uri())
    again = Artifact("b", "t")
    for path, entry in artifact.manifest.entries.items():
        again.add_reference(entry.ref_target(), name=path)
    assert again.digest == artifact.digest
    assert set(again.manifest.entries) == {"a#b", "c?d", "e%20f", "ü"}


def test_a_folder_and_references_to_it_have_one_digest() -> None:
    Path("set/sub").mkdir(parents=True)
    Path("set/sub/x").write_text("1")
    held, referred = Artifact("a", "t"), Artifact("b", "t")
    held.add_dir("set")
    referred.add_reference(Path("set").absolute().as_uri())
    assert held.digest == referred.digest


def test_a_folder_with_too_many_files_is_refused() -> None:
    Path("set").mkdir()
    for number in range(3):
        Path("set", str(number)).write_text("x")
    artifact = Artifact("a", "t")
    uri = Path("set").absolute().as_uri()
    with pytest.raises(ValueError, match="more than 2"):
        artifact.add_reference(uri, max_objects=2)
    assert len(artifact.add_reference(uri, max_objects=3)) == 3


def test_a_path_is_no_uri_and_the_message_has_the_right_one() -> None:
    with pytest.raises(ValueError, match="file:///"):
        Artifact("a", "t").add_reference("data/x")


def test_an_address_that_is_no_utf8_is_refused() -> None:
    with pytest.raises(ValueError, match="UTF-8"):
        Artifact("a", "t").add_reference("x://\udce9", name="x")


def test_a_draft_is_referred_to_by_its_client_id() -> None:
    Path("x").write_text("1")
    source, target = Artifact("a", "t"), Artifact("b", "t")
    held = source.add_file("x", "deep/x")
    uri = f"wandb-client-artifact://{source.client_id}/deep/x"
    [entry] = target.add_reference(uri)
    assert (entry.path, entry.digest, entry.size, entry.ref) == ("x", held.digest, 0, uri)
    with pytest.raises(ValueError, match="no artifact of this process"):
        target.add_reference(f"wandb-client-artifact://{source.client_id}/other")
