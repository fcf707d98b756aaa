"""Media whose bytes stay in external storage: tables and artifacts may refer to them."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from trackd.media.stored import HASH_CHARACTERS

if TYPE_CHECKING:
    from trackd.artifacts.artifact import Artifact

_ADDRESS = re.compile(r"(gs|s3|https?)://")


def is_reference(path: object) -> bool:
    """Tell whether a path names something in external storage."""
    return isinstance(path, str) and _ADDRESS.match(path) is not None


def hash_of_address(address: str) -> str:
    """Return what stands for the hash of a content that is not read."""
    return hashlib.sha256(address.encode()).hexdigest()


def refuse_in_run(what: str, address: str) -> None:
    """Raise when media to be logged lie in external storage.

    Raises:
        ValueError: they do.
    """
    if address:
        raise ValueError(
            f"log(): the {what} {address!r} is in external storage: "
            "add it to a table or an artifact, or log a local file"
        )


def refer_in(artifact: Artifact, address: str, folder: str) -> str:
    """Add an address to an artifact; return its path there, made of its hash and last part."""
    name = f"{folder}/{hash_of_address(address)[:HASH_CHARACTERS]}/{PurePosixPath(address).name}"
    return artifact.add_reference(address, name)[0].path
