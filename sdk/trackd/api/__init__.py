"""`Api`: what servers hold, read, searched and edited from Python.

Owns: the objects that scripts get from `trackd.Api()` (projects, runs, files, artifact types,
collections, versions, registries), their pages, filters and edits. Knows nothing of connections:
`trackd.remote` sends its operations through the agent; a version itself is `trackd.Artifact`.
Loaded at the first use of `trackd.Api`, never by a training script that does not use it.
"""

from trackd.api.api import Api
from trackd.api.artifact_types import ArtifactType, ArtifactTypes
from trackd.api.collection import ArtifactCollection
from trackd.api.collections import (
    ArtifactCollections,
    ProjectArtifactCollections,
)
from trackd.api.console import ConsoleLogLine, ConsoleLogs
from trackd.api.errors import (
    AbsentError,
    NotThereError,
    RefusedError,
    RunNotFoundError,
    ServerTooOldError,
    WrongTypeError,
)
from trackd.api.files import File, Files
from trackd.api.projects import Project, Projects
from trackd.api.registries.members import MemberRole, TeamMember, UserMember
from trackd.api.registries.registry import Registry
from trackd.api.registries.search import Registries
from trackd.api.run_lists import Runs
from trackd.api.runs import Run
from trackd.api.users import Member, Organization, Team, User
from trackd.api.versions import ArtifactFiles, Artifacts, RunArtifacts

__all__ = [
    "AbsentError",
    "Api",
    "ArtifactCollection",
    "ArtifactCollections",
    "ArtifactFiles",
    "ArtifactType",
    "ArtifactTypes",
    "Artifacts",
    "ConsoleLogLine",
    "ConsoleLogs",
    "File",
    "Files",
    "Member",
    "MemberRole",
    "NotThereError",
    "Organization",
    "Project",
    "ProjectArtifactCollections",
    "Projects",
    "RefusedError",
    "Registries",
    "Registry",
    "Run",
    "RunArtifacts",
    "RunNotFoundError",
    "Runs",
    "ServerTooOldError",
    "Team",
    "TeamMember",
    "User",
    "UserMember",
    "WrongTypeError",
]
