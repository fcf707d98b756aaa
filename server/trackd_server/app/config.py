"""What the user sets about a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class ServerConfig:
    """Options of `trackd server`."""

    directory: Path
    port: int = 8087
    host: str = "127.0.0.1"
    exit_on_stdin_close: bool = False
    #: What CoreWeave calls whom this server belongs to; empty: it is no customer.
    coreweave_organization_id: str = ""
    #: Artifact versions and uploads that nobody went on with for so long are dropped.
    pending_days: float = 7.0
    #: Uploads are refused from so many physical bytes on; None: the disk is the limit.
    max_storage_bytes: int | None = None

    @property
    def database(self) -> Path:
        """Return where the metadata and lines lie."""
        return self.directory / "trackd.sqlite"

    @property
    def blobs(self) -> Path:
        """Return where the bytes of files lie."""
        return self.directory / "blobs"

    @property
    def api_key(self) -> Path:
        """Return the file of the API key."""
        return self.directory / "api_key"

    @property
    def lock(self) -> Path:
        """Return the file that a living server holds locked."""
        return self.directory / "server.lock"

    @property
    def address(self) -> Path:
        """Return the file that names the address while the server listens."""
        return self.directory / "address"
