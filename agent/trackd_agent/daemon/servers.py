"""Which server a command line talks to, and the key for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import msgspec

from trackd_agent.daemon.instance import answers
from trackd_proto import layout
from trackd_proto.wandb_http import API_USER

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

_EMBEDDED = "embedded"
#: Longest wait for what an agent or a server does at its start: busy machines are slow.
_START_TIMEOUT_S = 60.0
_POLL_S = 0.1
_TIMEOUT_S = 120.0
_NOT_FOUND = 404
_KEY_REFUSED = (401, 403)


class ServerUnreachable(Exception):
    """No server answers; the message says which, and what to do."""


class NoSuchRun(Exception):
    """The server, or the folder, holds no such run."""


@dataclass(frozen=True)
class Server:
    """A server and the key for it; `name` is what the agent calls it."""

    name: str
    base_url: str
    api_key: str = field(repr=False)

    async def resolve(self) -> tuple[str, str]:
        """Return address and key, as clients of the room `upstream` want them."""
        return self.base_url, self.api_key

    @property
    def problem(self) -> str:
        """Nothing: its address is known."""
        return ""

    def get(self, path: str, timeout_s: float = _TIMEOUT_S) -> Any:
        """Return the JSON of an answer.

        Raises:
            NoSuchRun: it answers 404.
            ServerUnreachable: it does not answer, or not with what was asked for.
        """
        return self._ask("GET", path, None, timeout_s)

    def graphql(self, query: str, variables: dict[str, Any], timeout_s: float = _TIMEOUT_S) -> Any:
        """Return the `data` of a query about one run.

        Raises:
            NoSuchRun: the answer holds an error; it says which.
            ServerUnreachable: the server does not answer, or not with what was asked for.
        """
        body = {"query": query, "variables": variables}
        data = self._ask("POST", "/graphql", body, timeout_s).get("data")
        if not data or not data["project"] or not data["project"]["run"]:
            raise NoSuchRun(f"{self.base_url} holds no such run")
        return data

    def post(self, path: str, body: object, timeout_s: float = _TIMEOUT_S) -> Any:
        """Return the JSON of the answer to a JSON body.

        Raises:
            NoSuchRun: it answers 404.
            ServerUnreachable: it does not answer, or not with what was asked for.
        """
        return self._ask("POST", path, body, timeout_s)

    def _ask(self, method: str, path: str, body: object, timeout_s: float) -> Any:
        try:
            answer = httpx.request(
                method,
                f"{self.base_url}{path}",
                json=body,
                auth=(API_USER, self.api_key),
                timeout=timeout_s,
            )
            if answer.status_code == _NOT_FOUND:
                raise NoSuchRun(f"{self.base_url} holds no such run")
            answer.raise_for_status()
            return answer.json()
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            hint = ": the API key is wrong or missing" if status in _KEY_REFUSED else ""
            raise ServerUnreachable(f"{self.base_url} answers {status}{hint}") from error
        except httpx.TransportError as error:
            raise ServerUnreachable(f"{self.base_url} does not answer ({error})") from error
        except (httpx.HTTPError, ValueError) as error:
            raise ServerUnreachable(f"{self.base_url}{path}: {error}") from error


def find_server(data: Path, base_url: str = "", api_key: str = "") -> Server:
    """Return the server to ask, started if it is the embedded one and does not run.

    Args:
        data: the data directory.
        base_url: the server; empty: as the environment says, else the embedded one.
        api_key: the key for it; empty: as the environment says, else the one kept.

    Raises:
        ServerUnreachable: the embedded server does not come up.
    """
    environ = os.environ
    chosen = base_url or environ.get("TRACKD_BASE_URL") or environ.get("WANDB_BASE_URL") or ""
    chosen = chosen.rstrip("/")
    given_key = api_key or environ.get("TRACKD_API_KEY") or environ.get("WANDB_API_KEY") or ""
    if chosen:
        return Server(chosen, chosen, given_key or _kept_key(data, chosen))
    server = _embedded(data)
    if server is None or not _answers(server):
        server = _start_embedded(data)
    return server


def running_server(data: Path) -> Server | None:
    """Return the embedded server, if it runs."""
    server = _embedded(data)
    return server if server is not None and _answers(server) else None


def _embedded(data: Path) -> Server | None:
    """Return the embedded server as its directory describes it; it need not run."""
    directory = layout.server_dir(data)
    try:
        address = (directory / "address").read_text().strip()
        return Server(_EMBEDDED, address, (directory / "api_key").read_text().strip())
    except OSError:
        return None


def _answers(server: Server) -> bool:
    try:
        return httpx.get(f"{server.base_url}/healthz", timeout=2.0).is_success
    except httpx.HTTPError:
        return False


def start_agent(data: Path) -> subprocess.Popen[bytes]:
    """Start an agent in its own session; where one runs already, the new one leaves at once.

    One that is started for a person also starts the embedded server at once.
    """
    folder = data / "agent"
    layout.make_private(folder)
    with (folder / "agent.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "trackd_agent"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={**_environment_of(data), "TRACKD_SERVER__START": "at_once"},
        )


def wait_with_agent(data: Path, is_done: Callable[[], bool]) -> bool:
    """Wait until something holds that an agent brings about; start one where none answers.

    One that finds another leaves again, and that one may just be leaving too: it is replaced.

    Returns:
        False: it does not hold after a minute, or the agent failed.
    """
    agent: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not is_done():
        status = agent.poll() if agent else 0
        if status or time.monotonic() > deadline:
            return False
        if status == 0 and not answers(socket_of(data)):
            agent = start_agent(data)
        time.sleep(_POLL_S)
    return True


@contextmanager
def agent_kept(data: Path) -> Generator[None]:
    """Keep the agent that runs, and the embedded server with it, from leaving as an idle one.

    To somebody who is connected it may be of use.
    """
    stays = [("grpc.client_idle_timeout_ms", 2**31 - 1)]
    with grpc.insecure_channel(f"unix:{socket_of(data)}", options=stays) as channel:
        channel.subscribe(lambda _: None, try_to_connect=True)
        yield


def socket_of(data: Path) -> Path:
    """Return the socket of the agent that belongs to a data directory."""
    return layout.socket_path(_environment_of(data))


def _environment_of(data: Path) -> dict[str, str]:
    """Return our environment, changed only if it means another data directory."""
    environ = dict(os.environ)
    return environ if layout.data_dir() == data else {**environ, "TRACKD_DIR": str(data)}


def _start_embedded(data: Path) -> Server:
    """Bring the embedded server up: by an agent, or for as long as we live beside one."""
    if answers(socket_of(data)):
        _start_server(data)  # that agent had no need of a server so far
    wait_with_agent(data, lambda: running_server(data) is not None)
    if server := running_server(data):
        return server
    raise ServerUnreachable(
        f"the embedded server of {data} does not answer: see {data / 'agent' / 'agent.log'}"
    )


def _start_server(data: Path) -> None:
    """Start the embedded server as our child; it leaves when we end. An agent uses it too."""
    directory = layout.server_dir(data)
    try:
        port = (directory / "port").read_text().strip()
    except OSError:
        port = "0"
    command = [sys.executable, "-m", "trackd_server", "--dir", str(directory), "--port", port]
    with (data / "agent" / "server.log").open("ab") as log:
        subprocess.Popen(
            [*command, "--exit-on-stdin-close"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )


def _kept_key(data: Path, base_url: str) -> str:
    """Return the key that the agent keeps for a server, or the empty text."""
    try:
        raw = (data / "agent" / "credentials.json").read_bytes()
        return msgspec.json.decode(raw, type=dict[str, str]).get(base_url, "")
    except (OSError, ValueError):  # damage may also be text that is no UTF-8
        return ""
