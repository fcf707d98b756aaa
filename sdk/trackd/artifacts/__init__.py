"""Artifacts: named, versioned sets of files and references, built here and uploaded by the agent.

`Artifact` is a draft: files are copied to the staging folder when they are added, so that later
changes of them do not matter. Logging it freezes it, puts its files below the run folder and
records its manifest.
"""

from trackd.artifacts.artifact import Artifact
from trackd.artifacts.errors import ArtifactFinalizedError, ArtifactNotLoggedError
from trackd.artifacts.manifest import Manifest, ManifestEntry
from trackd.artifacts.member import ArtifactMember
from trackd.artifacts.rules import ArtifactTTL

__all__ = [
    "Artifact",
    "ArtifactFinalizedError",
    "ArtifactMember",
    "ArtifactNotLoggedError",
    "ArtifactTTL",
    "Manifest",
    "ManifestEntry",
]
