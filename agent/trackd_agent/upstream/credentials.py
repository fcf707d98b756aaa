"""API keys by server address, in one file that only its owner can read."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pathlib import Path


class Credentials:
    """The keys that ranks brought, kept so that uploads go on after a restart.

    The file is read again whenever it changed, so that an operator can correct a key by hand.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._keys: dict[str, str] = {}

    def get(self, base_url: str) -> str:
        """Return the key for a server, or the empty text."""
        self._reload()
        return self._keys.get(base_url.rstrip("/"), "")

    def put(self, base_url: str, api_key: str) -> None:
        """Keep a key for a server, replacing the older one."""
        self._reload()
        address = base_url.rstrip("/")
        if self._keys.get(address) == api_key:
            return
        self._keys[address] = api_key
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(file.fileno(), 0o600)
            json.dump(self._keys, file, indent=1)
        temporary.replace(self._path)
        self._stamp = self._read_stamp()

    def _read_stamp(self) -> tuple[int, int] | None:
        try:
            facts = self._path.stat()
        except OSError:
            return None
        return facts.st_mtime_ns, facts.st_size

    def _reload(self) -> None:
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            raw: object = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return  # unreadable: what is known stays in force
        if isinstance(raw, dict):
            pairs = cast("dict[object, object]", raw)
            self._keys = {str(k): str(v) for k, v in pairs.items()}
