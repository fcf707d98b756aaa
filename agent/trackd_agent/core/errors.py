"""The errors of the agent: few classes, named by what the caller can do about them.

Each carries a stable code (UPPER_SNAKE, part of the public contract), a message that names
field, value and remedy, and details as text. The rpc room maps a class to a gRPC status; the
classes below stand in the same order as that table:

=============================  ====================  =====
class                          gRPC status           retry
=============================  ====================  =====
InvalidRequest                 INVALID_ARGUMENT      no
UnknownRun, UnknownArtifact    NOT_FOUND             no
RunAlreadyAttached             ALREADY_EXISTS        no
NotAuthenticated               UNAUTHENTICATED       no
NotAllowed                     PERMISSION_DENIED     no
RunFinished, ProtocolMismatch  FAILED_PRECONDITION   no
QueueFull, UpstreamThrottled   RESOURCE_EXHAUSTED    yes
UpstreamUnavailable, Stopping  UNAVAILABLE           yes
UpstreamTimeout                DEADLINE_EXCEEDED     yes
JournalCorrupt                 DATA_LOSS             no
anything else                  INTERNAL              no
=============================  ====================  =====
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping


class AgentError(Exception):
    """Something the agent cannot do, said so that the caller can act on it.

    Args:
        code: stable name, such as ``UNKNOWN_RUN``.
        message: for people; names field, value and remedy.
        retryable: whether the same call may succeed later; None: as usual for the class.
        retry_after_s: when to try again; None: the caller's own backoff.
        details: further facts, as text.
    """

    retryable_by_default: ClassVar[bool] = False

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool | None = None,
        retry_after_s: float | None = None,
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = self.retryable_by_default if retryable is None else retryable
        self.retry_after_s = retry_after_s
        self.details: dict[str, str] = dict(details or {})

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"


class InvalidRequest(AgentError):
    """The request is wrong; sending it again will not help."""


class UnknownRun(AgentError):
    """There is no such run here."""


class UnknownArtifact(AgentError):
    """There is no such artifact here."""


class RunAlreadyAttached(AgentError):
    """A living writer holds this label in this run."""


class NotAuthenticated(AgentError):
    """The caller did not prove who it is."""


class NotAllowed(AgentError):
    """The caller is known, and may not do this."""


class RunFinished(AgentError):
    """The run or writer has ended; it takes no more records."""


class ProtocolMismatch(AgentError):
    """The caller speaks another version of the protocol."""


class RetryableError(AgentError):
    """Base of the errors after which the same call may succeed later."""

    retryable_by_default = True


class QueueFull(RetryableError):
    """A limit of memory or disk is reached; nothing was taken over."""


class JournalFull(QueueFull):
    """The journal could not be written (no space, quota, I/O error); the next call tries again."""


class UpstreamThrottled(RetryableError):
    """The upstream asks to slow down."""


class UpstreamUnavailable(RetryableError):
    """The upstream does not answer, or not with what it should."""


class Stopping(RetryableError):
    """The agent is on its way out; its successor will answer."""


class UpstreamTimeout(RetryableError):
    """The upstream did not answer in time."""


class JournalCorrupt(AgentError):
    """A journal cannot be used at all; it is left as it is for inspection."""
