"""Where things lie on disk, and how they are named: the contract between SDK, agent and tools.

Data directory (`TRACKD_DIR`, else `$XDG_DATA_HOME/trackd`, else `~/.local/share/trackd`, for a
user without a home a folder below the temporary directory)::

    agent/agent.lock                 held (flock) by the agent for its whole life; holds its pid
    agent/agent.log                  log of an agent started by a rank
    agent/credentials.json           API keys by server address, mode 0600
    agent/spool/<run>-<producer>/    one folder a writer: `lock` (flock held by the rank while it
                                     lives), `<first_seq>.seg` segments (preallocated, mapped)
    agent/journal/<run>/<producer>/  one folder a writer: `<first_seq>.seg`, cursors
    server/                          the embedded server: database, blobs, `api_key`, `address`
    run/agent.sock                   socket, when no runtime directory fits

Runtime directory of the sockets: `<TRACKD_DIR>/run` when `TRACKD_DIR` is set, else
`$XDG_RUNTIME_DIR/trackd`, else `<data directory>/run`; where the path would be too long for a
socket, a folder named by hash below the temporary directory.

Run folder: `<root>/trackd/[offline-]run-YYYYMMDD_HHMMSS-<id>[-N]/` with `files/`, `logs/`,
`tmp/`; an offline run keeps its journal in `journal/<producer>/` there, so that the folder can
be moved and synced elsewhere. `trackd-run.json` in it names the run (see `RunFolderFacts`).
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Entity of runs that name none, at the embedded server.
DEFAULT_ENTITY = "local"
SEGMENT_SUFFIX = ".seg"
SPOOL_LOCK = "lock"
RUN_FACTS = "trackd-run.json"
#: Longest path that fits `sockaddr_un` everywhere, with room for a suffix.
MAX_SOCKET_PATH_BYTES = 100


def data_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Return the data directory that the environment asks for, absolute, not created."""
    env = os.environ if environ is None else environ
    if explicit := env.get("TRACKD_DIR"):
        return Path(os.path.expanduser(explicit)).absolute()  # `Path`'s own raises without a home
    if base := env.get("XDG_DATA_HOME"):
        return Path(base).absolute() / "trackd"
    home = os.path.expanduser("~")
    if home == "~":  # a user without a home, as in containers with any user id
        return _temporary_folder() / "data"
    return Path(home).absolute() / ".local" / "share" / "trackd"


def socket_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return the path of the user's agent socket that belongs to the data directory."""
    env = os.environ if environ is None else environ
    data = data_dir(env)
    if not env.get("TRACKD_DIR") and (runtime := env.get("XDG_RUNTIME_DIR")):
        folder = Path(runtime) / "trackd"
    else:
        folder = data / "run"
    path = folder / "agent.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        return path
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return _temporary_folder() / digest / "agent.sock"


def _temporary_folder() -> Path:
    """Return the folder of this user for what has no better place."""
    import tempfile  # loads much, and every rank would carry it

    return Path(tempfile.gettempdir()) / f"trackd-{os.getuid()}"


def make_private(folder: Path) -> None:
    """Make a folder and all that is missing above it for this user alone, whatever the umask.

    Raises:
        OSError: it cannot be made.
    """
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def agent_lock(data: Path) -> Path:
    """Return the lock file that a living agent holds."""
    return data / "agent" / "agent.lock"


def spool_root(data: Path) -> Path:
    """Return the folder that holds one spool folder a writer."""
    return data / "agent" / "spool"


def journal_root(data: Path) -> Path:
    """Return the folder that holds the journals of online runs."""
    return data / "agent" / "journal"


def server_dir(data: Path) -> Path:
    """Return the folder of the embedded server."""
    return data / "server"


def staging_folder(run_dir: Path) -> Path:
    """Return where drafts of artifacts of the processes of a run keep copies of files."""
    return run_dir / "tmp" / "staging"


def safe_name(text: str, limit: int = 64) -> str:
    """Return `text` as a file name: other characters than letters, digits, `._-` become `_`."""
    cleaned = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in text)
    return cleaned[:limit].strip(".") or "_"


def run_key(entity: str, project: str, run_id: str) -> str:
    """Return the folder name of a run's journals: readable, and unique by hash."""
    digest = hashlib.sha256(f"{entity}\0{project}\0{run_id}".encode(errors="replace")).hexdigest()
    return f"{safe_name(run_id)}-{digest[:12]}"


def run_hash(project: str, run_id: str) -> int:
    """Return the 64-bit hash of a run for segment headers."""
    digest = hashlib.sha256(f"{project}\0{run_id}".encode(errors="replace")).digest()
    return int.from_bytes(digest[:8], "little")


def producer_name(producer: int) -> str:
    """Return the 16 hex digits that name a producer in paths and status."""
    return f"{producer:016x}"


def spool_folder(data: Path, run_id: str, producer: int) -> Path:
    """Return the spool folder of one writer."""
    return spool_root(data) / f"{safe_name(run_id)}-{producer_name(producer)}"


def segment_name(first_seq: int) -> str:
    """Return the file name of the segment that starts with this sequence number."""
    return f"{first_seq:020d}{SEGMENT_SUFFIX}"


@dataclass
class RunFolderFacts:
    """Content of `trackd-run.json`: enough to find a run's rows from its folder.

    Written by the first writer's SDK at `init` (under a temporary name, then renamed).
    """

    run_id: str
    project: str
    entity: str
    mode: str
    data_dir: str
    base_url: str = ""

    def write(self, run_dir: Path) -> None:
        """Store the facts in the run folder, whole or not at all."""
        temporary = run_dir / f".{RUN_FACTS}.{os.getpid()}"
        temporary.write_text(json.dumps(asdict(self), indent=1))
        temporary.replace(run_dir / RUN_FACTS)

    @classmethod
    def read(cls, run_dir: Path) -> RunFolderFacts | None:
        """Return the facts of a run folder, or None where there are none to be read."""
        try:
            raw = json.loads((run_dir / RUN_FACTS).read_text())
            return cls(**{name: raw[name] for name in cls.__dataclass_fields__ if name in raw})
        except (OSError, ValueError, TypeError):
            return None
