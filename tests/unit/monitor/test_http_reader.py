"""Endpoints as they are: slow, huge, redirecting, encrypted, compressed, broken; real sockets."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.endpoints import OPEN_METRICS, Endpoints, Page

from trackd_agent.monitor.readers.http import (
    MAX_BODY_BYTES,
    HttpAnswer,
    HttpError,
    HttpReader,
    HttpRequest,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = (("Authorization", "Bearer s3cret"), ("X-Key", "s3cret"))


@pytest.fixture
def endpoints() -> Iterator[Endpoints]:
    with Endpoints() as endpoints:
        yield endpoints


@pytest.fixture
def reader() -> Iterator[HttpReader]:
    reader = HttpReader(wait_s=120)
    yield reader
    reader.close()


def get(reader: HttpReader, request: HttpRequest) -> HttpAnswer | HttpError:
    return reader.get_all([request])[request]


def reason(reader: HttpReader, url: str) -> str:
    answer = get(reader, HttpRequest(url, SECRET))
    assert isinstance(answer, HttpError)
    assert "s3cret" not in str(answer)
    return str(answer)


def test_what_is_asked_and_what_comes(endpoints: Endpoints, reader: HttpReader) -> None:
    endpoints.pages["/metrics"] = Page(b"a 1\n", "text/plain; version=0.0.4")
    answer = get(reader, HttpRequest(f"{endpoints.url}/metrics?x=1", SECRET))
    assert answer == HttpAnswer("text/plain; version=0.0.4", b"a 1\n", is_framed=True)
    (request,) = endpoints.requests
    headers = request.headers
    assert request.path == "/metrics?x=1"
    assert headers["x-key"] == "s3cret"
    assert headers["authorization"] == "Bearer s3cret"
    assert headers["accept"].startswith("text/plain; version=0.0.4; q=1")


def test_a_body_that_was_read_is_kept_no_longer(endpoints: Endpoints, reader: HttpReader) -> None:
    endpoints.pages["*"] = Page(b"a 1\n")
    answer = get(reader, HttpRequest(f"{endpoints.url}/1"))
    until_s = time.monotonic() + 120
    while sys.getrefcount(answer) > 2 and time.monotonic() < until_s:
        time.sleep(0.01)  # the thread of the exchange ends a moment later
    assert sys.getrefcount(answer) == 2  # ours, and that of the call


def test_an_endpoint_gets_a_thread_as_soon_as_there_is_one_to_spare(
    endpoints: Endpoints, reader: HttpReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    endpoints.pages["*"] = Page(b"a 1\n")
    request = HttpRequest(f"{endpoints.url}/1")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert str(get(reader, request)) == "can't start new thread"
    assert isinstance(get(reader, request), HttpAnswer)


def test_connections_are_kept_and_equal_requests_made_once(
    endpoints: Endpoints, reader: HttpReader
) -> None:
    endpoints.pages["*"] = Page(b"a 1\n")
    one, other = HttpRequest(f"{endpoints.url}/1"), HttpRequest(f"{endpoints.url}/2")
    assert reader.get_all([one, other, HttpRequest(f"{endpoints.url}/1")]).keys() == {one, other}
    assert sorted(request.path for request in endpoints.requests) == ["/1", "/2"]


def test_a_server_that_has_only_open_metrics_is_asked_for_it(
    endpoints: Endpoints, reader: HttpReader
) -> None:
    def page_for(accept: str) -> Page:
        if "openmetrics" in accept:
            return Page(b"a 1\n# EOF\n", OPEN_METRICS)
        return Page(status=406)

    endpoints.choose = lambda request: page_for(request.headers["accept"])
    answer = get(reader, HttpRequest(endpoints.url))
    assert isinstance(answer, HttpAnswer)
    assert answer.content_type == OPEN_METRICS


def test_compressed_bodies(endpoints: Endpoints, reader: HttpReader) -> None:
    body = b"a 1\n" * 10_000
    endpoints.pages["/good"] = Page(gzip.compress(body), headers={"Content-Encoding": "gzip"})
    endpoints.pages["/cut"] = Page(gzip.compress(body)[:-9], headers={"Content-Encoding": "gzip"})
    endpoints.pages["/no"] = Page(body, headers={"Content-Encoding": "gzip"})
    endpoints.pages["/br"] = Page(body, headers={"Content-Encoding": "br"})
    answer = get(reader, HttpRequest(f"{endpoints.url}/good"))
    assert isinstance(answer, HttpAnswer)
    assert answer.body == body
    assert reason(reader, f"{endpoints.url}/cut") == "the compressed body has no end"
    assert "not compressed" in reason(reader, f"{endpoints.url}/no")
    assert "'br'" in reason(reader, f"{endpoints.url}/br")


def test_a_body_is_read_up_to_the_limit(endpoints: Endpoints, reader: HttpReader) -> None:
    bomb = gzip.compress(bytes(MAX_BODY_BYTES + 1))
    endpoints.pages["/large"] = Page(bytes(MAX_BODY_BYTES))
    endpoints.pages["/bomb"] = Page(bomb, headers={"Content-Encoding": "gzip"})

    def endless(write: Callable[[bytes], object]) -> None:
        while not endpoints.released.is_set():
            write(bytes(64 * 1024))

    endpoints.pages["/endless"] = Page(send=endless)
    assert isinstance(get(reader, HttpRequest(f"{endpoints.url}/large")), HttpAnswer)
    for path in ("bomb", "endless"):
        assert reason(reader, f"{endpoints.url}/{path}") == "the body is larger than 16 MiB"
        answer = get(reader, HttpRequest(f"{endpoints.url}/{path}"))
        assert isinstance(answer, HttpError)
        assert answer.__traceback__ is None  # it would keep the 16 MiB


def test_what_follows_a_compressed_body(endpoints: Endpoints, reader: HttpReader) -> None:
    first, second = gzip.compress(b"a 1\n"), gzip.compress(b"b 2\n")

    def junk(write: Callable[[bytes], object]) -> None:
        write(first)
        while not endpoints.released.is_set():
            write(b"x" * 64 * 1024)

    compressed = {"Content-Encoding": "gzip"}
    endpoints.pages["/two"] = Page(first + second, headers=compressed)
    endpoints.pages["/many"] = Page(gzip.compress(b"") * 2000 + first, headers=compressed)
    endpoints.pages["/junk"] = Page(headers=compressed, send=junk)
    both = get(reader, HttpRequest(f"{endpoints.url}/two"))
    assert isinstance(both, HttpAnswer)
    assert both.body == b"a 1\nb 2\n"
    assert "more than 1000 compressed pieces" in reason(reader, f"{endpoints.url}/many")
    assert "not compressed" in reason(reader, f"{endpoints.url}/junk")


def test_secrets_do_not_follow_a_redirection_to_another_origin(
    endpoints: Endpoints, reader: HttpReader
) -> None:
    with Endpoints() as other:
        other.pages["/there"] = Page(b"a 1\n")
        endpoints.pages["/here"] = Page(status=302, headers={"Location": "/next"})
        endpoints.pages["/next"] = Page(status=307, headers={"Location": f"{other.url}/there"})
        assert isinstance(get(reader, HttpRequest(f"{endpoints.url}/here", SECRET)), HttpAnswer)
        assert [request.headers.get("x-key") for request in endpoints.requests] == ["s3cret"] * 2
        assert "s3cret" not in str(other.requests)


def test_redirections_that_lead_nowhere(endpoints: Endpoints, reader: HttpReader) -> None:
    endpoints.pages["/loop"] = Page(status=302, headers={"Location": "/loop"})
    endpoints.pages["/file"] = Page(status=302, headers={"Location": "file:///etc/passwd"})
    assert reason(reader, f"{endpoints.url}/loop") == "more than 5 redirections"
    assert "http:// or https://" in reason(reader, f"{endpoints.url}/file")


def test_reasons(endpoints: Endpoints, reader: HttpReader) -> None:
    endpoints.pages["/500"] = Page(status=500)
    assert reason(reader, f"{endpoints.url}/500") == "HTTP status 500 Internal Server Error"
    assert reason(reader, f"{endpoints.url}/404") == "HTTP status 404 Not Found"
    assert "refused" in reason(reader, "http://127.0.0.1:9")
    assert "http://" in reason(reader, "metrics")
    assert "http://" in reason(reader, "ftp://127.0.0.1/metrics")
    for url in ("http://[::1", "http://127.0.0.1:port/", "http://\n", ""):
        assert reason(reader, url)
    bad = HttpRequest(endpoints.url, (("X-Key", "s3cret\r\nX: y"), ("X-Ö", "s3cret")))
    answer = get(reader, bad)
    assert isinstance(answer, HttpError)
    assert "x_stats_open_metrics_http_headers" in str(answer)
    assert "s3cret" not in str(answer)


def test_a_body_that_breaks_off(endpoints: Endpoints, reader: HttpReader) -> None:
    endpoints.pages["/framed"] = Page(
        headers={"Content-Length": "100"}, send=lambda write: write(b"a 1\na 2")
    )
    endpoints.pages["/unframed"] = Page(send=lambda write: write(b"a 1\na 2"))
    assert "RemoteProtocolError" in reason(reader, f"{endpoints.url}/framed")
    answer = get(reader, HttpRequest(f"{endpoints.url}/unframed"))
    assert answer == HttpAnswer("text/plain; version=0.0.4; charset=utf-8", b"a 1\na 2", False)


def test_a_slow_answer_counts_for_the_next_tick_and_holds_nobody_up(endpoints: Endpoints) -> None:
    reader = HttpReader(wait_s=0.2, exchange_s=240)
    go_on = threading.Event()

    def slow(write: Callable[[bytes], object]) -> None:
        go_on.wait(240)
        write(b"a 1\n")

    endpoints.pages["/slow"] = Page(send=slow)
    endpoints.pages["/fast"] = Page(b"b 1\n")
    slow_one, fast_one = (HttpRequest(f"{endpoints.url}/{name}") for name in ("slow", "fast"))
    started_s = time.monotonic()
    assert isinstance(reader.get_all([slow_one])[slow_one], HttpError)
    assert time.monotonic() - started_s >= 0.2
    for _ in range(2):  # whoever was slow is not waited for again
        answers = reader.get_all([slow_one, fast_one], wait_s=1e6)
        assert isinstance(answers[slow_one], HttpError)
        assert isinstance(answers[fast_one], HttpAnswer)
    assert [request.path for request in endpoints.requests].count("/slow") == 1  # still the same
    endpoints.pages["/slow"] = Page(b"a 2\n")
    go_on.set()
    bodies: list[bytes] = []
    while b"a 2\n" not in bodies:
        answer = get(reader, slow_one)
        bodies += [answer.body] if isinstance(answer, HttpAnswer) else []
        time.sleep(0.05)
    assert set(bodies) <= {b"a 1\n", b"a 2\n"}
    reader.close()


def test_what_came_between_two_ticks_is_handed_out_by_the_second(endpoints: Endpoints) -> None:
    reader = HttpReader(wait_s=0.05, exchange_s=240)
    go_on = threading.Event()
    turns = iter([go_on, endpoints.released])

    def slow(write: Callable[[bytes], object]) -> None:
        next(turns).wait(240)
        write(b"a 1\n")

    endpoints.pages["*"] = Page(send=slow)
    request = HttpRequest(endpoints.url)
    assert isinstance(get(reader, request), HttpError)
    go_on.set()
    while not isinstance(get(reader, request), HttpAnswer):
        time.sleep(0.01)
    assert isinstance(get(reader, request), HttpError)
    reader.close()


def test_an_exchange_ends_in_time_however_it_dribbles(endpoints: Endpoints) -> None:
    reader = HttpReader(wait_s=120, exchange_s=0.3)

    def dribble(write: Callable[[bytes], object]) -> None:
        while not endpoints.released.wait(0.1):
            write(b"a 1\n")

    endpoints.pages["/body"] = Page(send=dribble)
    endpoints.pages["/silence"] = Page(send=lambda write: endpoints.released.wait(240))
    assert reason(reader, f"{endpoints.url}/body") == "no complete answer within 0.3 s"
    assert reason(reader, f"{endpoints.url}/silence") == "no complete answer within 0.3 s"
    reader.close()


@pytest.mark.parametrize("sent", [b"HTTP/1.1 200 OK\r\nX-Long: ", b""])
def test_headers_that_never_end_cost_a_thread_no_longer_than_an_exchange(sent: bytes) -> None:
    """One letter after the other, or one interim answer after the other."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):  # it was cut off
                connection.sendall(sent)
                while True:
                    connection.sendall(b"x" if sent else b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9)
                    time.sleep(0.02)
            ended.set()

        threading.Thread(target=serve, daemon=True).start()
        reader = HttpReader(wait_s=120, exchange_s=0.3)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        assert reason(reader, url) == "no complete answer within 0.3 s"
        assert ended.wait(120)
        reader.close()


def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = subprocess.run(
        [*command, *subject, "-keyout", key, "-out", certificate], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("openssl makes no certificate here")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Endpoints(context) as endpoints:
        endpoints.pages["*"] = Page(b"a 1\n")
        stranger = HttpReader(wait_s=120, exchange_s=120)
        assert "CERTIFICATE_VERIFY_FAILED" in reason(stranger, endpoints.url)
        stranger.close()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        friend = HttpReader(wait_s=120, exchange_s=120)
        assert isinstance(get(friend, HttpRequest(endpoints.url)), HttpAnswer)
        friend.close()


def test_addresses_are_shown_without_secrets() -> None:
    assert shown("http://me:s3cret@h:1/m?token=s3cret") == "http://h:1/m"
    assert shown("http://h:s3cret") == "an address that cannot be read"
    assert "s3cret" not in repr(HttpRequest("http://h", SECRET))
