"""`restore()`: a file of a run back onto this machine, from its folder or from the server."""

from __future__ import annotations

import base64
import json
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

from trackd.account import keys
from trackd.errors import CommError
from trackd_proto import layout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd.runs.run import Run
    from trackd.settings import Settings

_TIMEOUT_S = 20.0
_BLOCK_BYTES = 1 << 20
_QUERY = """
query RunFiles($project: String!, $entity: String, $name: String!, $names: [String!]) {
  project(name: $project, entityName: $entity) {
    run(name: $name) { files(names: $names, first: 1) { edges { node { name directUrl md5 } } } }
  }
}
"""
#: What W&B servers tell as the MD5 of a file that was announced and never arrived.
_NEVER_ARRIVED = "0"


@dataclass(frozen=True, slots=True)
class Server:
    """A server that holds runs."""

    address: str
    api_key: str

    @classmethod
    def of(cls, settings: Settings) -> Server:
        """Return the server of the settings, or the one on this machine.

        Raises:
            CommError: neither is known.
        """
        if settings.base_url:
            address = settings.base_url.rstrip("/")
            return cls(address, settings.api_key or keys.find(address)[0])
        local = layout.server_dir(layout.data_dir())
        if address := _read(local / "address"):
            return cls(address, _read(local / "api_key"))
        raise CommError(
            "no server is known: set base_url (TRACKD_BASE_URL), or start the one of "
            "this machine with `trackd up`"
        )

    def find_file(self, run_path: str, name: str) -> dict[str, Any] | None:
        """Return what the server says of a file of a run; None where it has no such file.

        Raises:
            CommError: the server cannot be asked, or does not know the run.
            ValueError: `run_path` does not name a run.
        """
        entity, project, run_id = _split(run_path)
        variables = {"entity": entity, "project": project, "name": run_id, "names": [name]}
        body = json.dumps({"query": _QUERY, "variables": variables}).encode()
        headers = {"Content-Type": "application/json"}
        with self._ask(f"{self.address}/graphql", body, headers) as answer:
            content = answer.read()
        try:
            edges: Any = json.loads(content)["data"]["project"]["run"]["files"]["edges"]
        except (ValueError, LookupError, TypeError):  # null where something does not exist
            raise CommError(f"{self.address} knows no run {run_path!r}") from None
        return edges[0]["node"] if edges else None

    def download(self, url: str, target: Path) -> None:
        """Fetch a file; it appears whole or not at all.

        Raises:
            CommError: it cannot be fetched.
            OSError: it cannot be written.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with self._ask(url) as answer, partial.open("wb") as file:
                while block := answer.read(_BLOCK_BYTES):
                    file.write(block)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def upload(self, path: Path, url: str, headers: Mapping[str, str]) -> None:
        """Send a file to an address that the server gave, in pieces.

        Raises:
            CommError: it cannot be sent.
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            length = {"Content-Length": str(os.fstat(file.fileno()).st_size)}
            self._ask(url, file, {**headers, **length}, "PUT").close()

    def _ask(
        self,
        url: str,
        body: bytes | IO[bytes] | None = None,
        headers: dict[str, str] | None = None,
        method: str | None = None,
    ) -> IO[bytes]:
        if not url.startswith(("http://", "https://")):
            raise CommError(f"{url!r} is no address of a server")
        request = urllib.request.Request(url, body, headers or {}, method=method)  # noqa: S310 - checked above
        if url.startswith(f"{self.address}/") and self.api_key:
            token = base64.b64encode(f"api:{self.api_key}".encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {token}")
        try:
            return urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310
        except (OSError, ValueError) as error:
            raise CommError(f"{url.partition('?')[0]}: {error}") from error


def restore(
    name: str,
    run_path: str | None = None,
    replace: bool = False,
    root: str | os.PathLike[str] | None = None,
) -> TextIO | None:
    """Bring a file of a run onto this machine, unless it is there, and open it for reading.

    Args:
        name: path of the file in the run's files folder.
        run_path: `entity/project/run_id`; default: the current run.
        replace: fetch it even if it is there.
        root: folder to put it into; default: the current run's files folder, or without a run
            the current folder.

    Returns:
        The open file; None where the run has no such file.

    Raises:
        ValueError: there is no current run and `run_path` is missing, or names no run, or the
            file was announced and never uploaded.
        CommError: the server cannot be asked, or does not know the run.
        OSError: the file cannot be written.
    """
    from trackd.session import session  # the session knows runs, which know this module

    run = session().run
    if run is not None:
        return restore_for(run, name, run_path, replace, root)
    if run_path is None:
        raise ValueError("restore(): there is no current run: give run_path, or call init() before")
    return _bring(name, run_path, replace, root or Path.cwd(), session().set_up())


def restore_for(
    run: Run,
    name: str,
    run_path: str | None = None,
    replace: bool = False,
    root: str | os.PathLike[str] | None = None,
) -> TextIO | None:
    """Do what `restore` does with `run` as the current one; see there."""
    root = root or run.dir or Path.cwd()
    if run.disabled:
        return _open_local(name, root)
    return _bring(name, run_path or run.path, replace, root, run.settings)


def _open_local(name: str, root: str | os.PathLike[str]) -> TextIO | None:
    """Return a file opened for reading if it is there."""
    target = Path(root) / name
    return target.open() if target.exists() else None


def _bring(
    name: str, run_path: str, replace: bool, root: str | os.PathLike[str], settings: Settings
) -> TextIO | None:
    """Return a file of a run, opened for reading; see `restore`."""
    if not replace and (there := _open_local(name, root)) is not None:
        return there
    server = Server.of(settings)
    found = server.find_file(run_path, name)
    if found is None:
        return None
    if found["md5"] == _NEVER_ARRIVED:
        raise ValueError(f"restore(): the file {name!r} of {run_path!r} was never uploaded")
    server.download(found["directUrl"], Path(root) / name)
    return _open_local(name, root)


def _split(run_path: str) -> tuple[str | None, str, str]:
    """Return entity, project and id of a run."""
    parts = run_path.strip("/").split("/")
    if len(parts) not in (2, 3):
        raise ValueError(f"restore(): run_path={run_path!r} must be entity/project/run_id")
    entity = parts[0] if len(parts) == 3 else None
    return entity, parts[-2], parts[-1]


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
