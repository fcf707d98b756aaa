"""Artifacts: named, versioned sets of files and references, built here and uploaded by the agent.

`Artifact` is a draft: files are copied to the staging folder when they are added, so that later
changes of them do not matter. Logging it freezes it, puts its files below the run folder and
records its manifest. Importing this package loads nothing of it; the first use of a name does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.errors import ArtifactFinalizedError, ArtifactNotLoggedError
    from trackd.artifacts.manifest import Manifest, ManifestEntry
    from trackd.artifacts.member import ArtifactMember
    from trackd.artifacts.online.values import Source
    from trackd.artifacts.rules import ArtifactTTL

__all__ = [
    "Artifact",
    "ArtifactFinalizedError",
    "ArtifactMember",
    "ArtifactNotLoggedError",
    "ArtifactTTL",
    "Manifest",
    "ManifestEntry",
    "Source",
]
_HOMES = {
    "Artifact": "artifact",
    "ArtifactFinalizedError": "errors",
    "ArtifactMember": "member",
    "ArtifactNotLoggedError": "errors",
    "ArtifactTTL": "rules",
    "Manifest": "manifest",
    "ManifestEntry": "manifest",
    "Source": "online.values",
}


def __getattr__(name: str) -> Any:
    if home := _HOMES.get(name):
        value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
