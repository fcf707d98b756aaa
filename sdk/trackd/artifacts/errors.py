"""Exceptions of artifacts: AttributeErrors, so that `hasattr` tells what can be had."""

from __future__ import annotations

from trackd.errors import CommError, Error


class ArtifactStatusError(AttributeError):
    """The artifact is in a state in which this cannot be done."""


class ArtifactNotLoggedError(ArtifactStatusError):
    """A server has to know the artifact first: it is a draft, or its run is offline."""

    def __init__(self, what: str, artifact: object = None) -> None:
        super().__init__(
            f"Artifact.{what}: no server knows this artifact yet: log it in an online run "
            "and wait() for it",
            name=what,
            obj=artifact,
        )


class ArtifactFinalizedError(ArtifactStatusError):
    """The artifact was logged or finalized: its contents cannot change any more."""

    def __init__(self, what: str, artifact: object) -> None:
        name = getattr(artifact, "name", "the artifact")
        super().__init__(
            f"Artifact.{what}(): {name} is final: for another version make a new Artifact, or take "
            "new_draft() of a logged one",
            name=what,
            obj=artifact,
        )


class ArtifactNotFoundError(CommError, ValueError):
    """The server has no such artifact, or it is not what was asked for."""


class ArtifactRequestError(CommError, ValueError):
    """What was asked for cannot be: a refused path, alias or name of an organization."""


class ArtifactContentError(CommError, ValueError):
    """A file of an artifact has other contents than its manifest says, or leads elsewhere."""


class ArtifactWriteError(CommError, OSError):
    """A file of an artifact cannot be written: no room, no right, another machine."""


class WaitTimeoutError(Error):
    """The time to wait for an artifact is over; its upload goes on."""


#: What codes of the agent mean; the rest is `CommError`.
KINDS: dict[str, type[CommError]] = {
    "UNKNOWN_ARTIFACT": ArtifactNotFoundError,
    "DIGEST_MISMATCH": ArtifactContentError,
    "INVALID_DIGEST": ArtifactContentError,
    "INVALID_MANIFEST": ArtifactContentError,
    "UNSAFE_PATH": ArtifactContentError,
    "LINK_IN_ROOT": ArtifactContentError,
    "DISK_FULL": ArtifactWriteError,
    "NOT_WRITABLE": ArtifactWriteError,
    "PATH_CONFLICT": ArtifactWriteError,
    "INVALID_ROOT": ArtifactWriteError,
    "ROOT_NOT_VISIBLE": ArtifactWriteError,
}
