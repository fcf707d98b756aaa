"""What a value has to offer so that an artifact can hold it: media and tables do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from typing import Self

    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.online.values import Source


class ArtifactTarget(NamedTuple):
    """The first artifact to which a value was added, and its path there."""

    artifact: Artifact
    path: str


class ArtifactSource(NamedTuple):
    """The artifact on a server from which a value was read, and its path there."""

    artifact: Artifact
    path: str


class ArtifactMember(ABC):
    """A value that `Artifact.add` takes: it becomes `<name>.<artifact_suffix>.json`.

    Once the artifact is final, other artifacts and rows refer to the value there.
    """

    #: Such as `table` or `image-file`.
    artifact_suffix: ClassVar[str]
    #: False: `Artifact.add` refuses it, and only tables may hold it.
    is_added_alone: ClassVar[bool] = True
    artifact_target: ArtifactTarget | None = None
    artifact_source: ArtifactSource | None = None

    @abstractmethod
    def to_artifact(self, artifact: Artifact) -> dict[str, Any]:
        """Add the files of the value to an artifact; return the JSON that stands for it there."""

    @classmethod
    def from_artifact(cls, form: dict[str, Any], source: Source) -> Self:
        """Return the value from the JSON that stands for it in an artifact.

        Raises:
            ValueError: values of this class cannot be read back, or the JSON is damaged.
        """
        raise ValueError(f"{cls.__name__} cannot be read back from artifact {source.artifact.name}")

    def artifact_uri(self) -> str | None:
        """Return what refers to the value in its artifact; None before that is final."""
        source = self.artifact_source
        if source is not None:
            return source.artifact.get_entry(source.path).ref_url()
        target = self.artifact_target
        if target is None or not target.artifact.is_final:
            return None
        return f"wandb-client-artifact://{target.artifact.client_id}/{target.path}"

    def latest_artifact_uri(self) -> str | None:
        """Return what refers to the value in the latest version of its artifact."""
        if self.artifact_source is not None:
            return None
        target = self.artifact_target
        if target is None or not target.artifact.is_final:
            return None
        sequence = target.artifact.sequence_client_id
        return f"wandb-client-artifact://{sequence}:latest/{target.path}"
