"""API keys by server address, in one file that only its owner can read."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, cast

import anyio.to_thread

if TYPE_CHECKING:
    from pathlib import Path


class Credentials:
    """The keys that ranks brought, kept so that uploads go on after a restart.

    An operator can correct a key by hand: the file is read again when a server refuses one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: dict[str, str] = {}

    def get(self, base_url: str) -> str:
        """Return the key for a server, or the empty text."""
        return self._keys.get(base_url.rstrip("/"), "")

    async def reload(self) -> None:
        """Read the file; what it does not say stays in force."""
        self._keys |= await anyio.to_thread.run_sync(self._read)

    async def put(self, base_url: str, api_key: str) -> None:
        """Keep a key for a server, replacing the older one."""
        address = base_url.rstrip("/")
        if self._keys.get(address) == api_key:
            return
        self._keys[address] = api_key
        await anyio.to_thread.run_sync(self._write, {address: api_key})

    def _read(self) -> dict[str, str]:
        try:
            raw: object = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(raw, dict):
            return {}
        return {str(k): str(v) for k, v in cast("dict[object, object]", raw).items()}

    def _write(self, keys: dict[str, str]) -> None:
        """Add keys to the file; others in it may be newer than ours: `trackd login` writes too."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(file.fileno(), 0o600)
            json.dump({**self._read(), **keys}, file, indent=1)
        temporary.replace(self._path)
