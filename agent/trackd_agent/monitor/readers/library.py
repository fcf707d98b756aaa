"""Whether a vendor's shared library is installed, found out without loading it.

Looks where the loader of glibc would (ld.so(8)): `LD_LIBRARY_PATH`, the loader's cache, the
default folders; and where WSL keeps the driver's. Loading is left to a probe's process.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

_CACHE = Path("/etc/ld.so.cache")
_TRIPLET = f"{platform.machine()}-linux-gnu"
_FOLDERS = (
    *(f"{prefix}/{folder}" for prefix in ("", "/usr") for folder in ("lib64", "lib")),
    f"/lib/{_TRIPLET}",
    f"/usr/lib/{_TRIPLET}",
    "/usr/local/lib",
    "/usr/lib/wsl/lib",
)


@dataclass(frozen=True, slots=True)
class Libraries:
    """Where vendors' libraries are looked for."""

    #: Folders, separated by colons, that replace the loader's; None: where the loader looks.
    search_path: str | None = None

    def find(self, *names: str) -> bool:
        """Return whether one of these files (`libnvidia-ml.so.1`) would be found."""
        given = os.environ.get("LD_LIBRARY_PATH", "")
        folders = [each for each in (self.search_path or given).split(":") if each]
        if self.search_path is None:
            folders += _FOLDERS
            cache = self._cache()
            if any(f"/{name}\0".encode() in cache for name in names):
                return True
        return any(Path(folder, name).exists() for folder in folders for name in names)

    @property
    def environment(self) -> dict[str, str] | None:
        """The environment for a process that is to load them; None: ours as it is."""
        if self.search_path is None:
            return None
        return os.environ | {"LD_LIBRARY_PATH": self.search_path}

    @staticmethod
    def _cache() -> bytes:
        try:
            return _CACHE.read_bytes()
        except OSError:  # another C library, or a container without one
            return b""
