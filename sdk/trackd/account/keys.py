"""API keys by server address: one file of this user, mode 0600, shared with the agent.

The file is `agent/credentials.json` in the data directory. The agent reads it when it starts and
again when a server refuses a key; ranks bring the key of their server along, too. Keys of
`~/.netrc` are used where the file holds none: scripts for wandb leave theirs there.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from trackd.logs import LOGGER
from trackd_proto import layout

_FILE_MODE = 0o600


def store_path() -> Path:
    """Return the file that holds the keys."""
    return layout.data_dir() / "agent" / "credentials.json"


def find(base_url: str) -> tuple[str, str]:
    """Return the key for a server and where it was found; two empty texts: there is none."""
    address = base_url.rstrip("/")
    if key := _stored().get(address):
        return key, f"file: {store_path()}"
    # Not `Path.expanduser`, which raises for a user without a home.
    path = Path(os.path.expanduser(os.environ.get("NETRC") or "~/.netrc"))  # noqa: PTH111
    there = os.path.isfile(path)  # noqa: PTH113 - `Path`'s own raises where it may not look
    if there and (key := _from_netrc(path, urlsplit(address).hostname or "")):
        return key, f"file: {path}"
    return "", ""


def keep(base_url: str, key: str) -> Path:
    """Store the key for a server in place of an older one; return the file.

    Raises:
        OSError: the file cannot be written.
    """
    path = store_path()
    layout.make_private(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(file.fileno(), _FILE_MODE)  # also where the file was there already
        json.dump({**_stored(), base_url.rstrip("/"): key}, file, indent=1)
    temporary.replace(path)
    return path


def _stored() -> dict[str, str]:
    try:
        raw: object = json.loads(store_path().read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(raw, dict):
        return {}
    return {str(k): str(v) for k, v in cast("dict[object, object]", raw).items()}


def _from_netrc(path: Path, host: str) -> str:
    import netrc  # few have such a file

    try:
        entry = netrc.netrc(str(path)).authenticators(host)
    except (OSError, ValueError, netrc.NetrcParseError) as error:
        LOGGER.warning("keys in %s cannot be read: %s", path, error)
        return ""
    return (entry[2] or "") if entry else ""
