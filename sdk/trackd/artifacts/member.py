"""What a value has to offer so that an artifact can hold it: media and tables do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from trackd.artifacts.artifact import Artifact


class ArtifactTarget(NamedTuple):
    """The first artifact to which a value was added, and its path there."""

    artifact: Artifact
    path: str


class ArtifactMember(ABC):
    """A value that `Artifact.add` takes: it becomes `<name>.<artifact_suffix>.json`.

    Once the artifact is final, other artifacts and rows refer to the value there.
    """

    #: Such as `table` or `image-file`.
    artifact_suffix: ClassVar[str]
    artifact_target: ArtifactTarget | None = None

    @abstractmethod
    def to_artifact(self, artifact: Artifact) -> dict[str, Any]:
        """Add the files of the value to an artifact; return the JSON that stands for it there."""

    def artifact_uri(self) -> str | None:
        """Return what refers to the value in its artifact; None before that is final."""
        target = self.artifact_target
        if target is None or not target.artifact.is_final:
            return None
        return f"wandb-client-artifact://{target.artifact.client_id}/{target.path}"

    def latest_artifact_uri(self) -> str | None:
        """Return what refers to the value in the latest version of its artifact."""
        target = self.artifact_target
        if target is None or not target.artifact.is_final:
            return None
        sequence = target.artifact.sequence_client_id
        return f"wandb-client-artifact://{sequence}:latest/{target.path}"
