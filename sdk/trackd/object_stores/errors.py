"""What goes wrong between a process and an object store."""

from __future__ import annotations

from trackd.errors import CommError


class StoreError(CommError, OSError):
    """A store does not answer, or refuses: rights, region or endpoint are wrong."""


class InvalidAddressError(StoreError, ValueError):
    """An address leads to no server."""


class MissingObjectError(FileNotFoundError, ValueError):
    """An object, or the version of it that was asked for, does not exist."""
