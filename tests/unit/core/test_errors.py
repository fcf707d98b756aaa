"""The agent's errors: what they carry, and which of them are worth another try."""

from __future__ import annotations

import pytest

from trackd_agent.core import errors
from trackd_agent.core.errors import AgentError

RETRYABLE = {
    "RetryableError",
    "QueueFull",
    "JournalFull",
    "UpstreamThrottled",
    "UpstreamUnavailable",
    "UpstreamTimeout",
    "Stopping",
}
FINAL = {
    "AgentError",
    "InvalidRequest",
    "UnknownRun",
    "UnknownArtifact",
    "RunAlreadyAttached",
    "NotAuthenticated",
    "NotAllowed",
    "RunFinished",
    "ProtocolMismatch",
    "JournalCorrupt",
}


def classes() -> dict[str, type[AgentError]]:
    """Return every error of the module."""
    return {
        name: thing
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and issubclass(thing, AgentError)
    }


def test_these_are_the_errors() -> None:
    assert set(classes()) == RETRYABLE | FINAL


@pytest.mark.parametrize("name", sorted(RETRYABLE | FINAL))
def test_a_class_says_whether_another_try_may_help(name: str) -> None:
    make = classes()[name]
    assert make("SOME_CODE", "why").retryable == (name in RETRYABLE)
    assert make("SOME_CODE", "why", retryable=name not in RETRYABLE).retryable == (
        name not in RETRYABLE
    )


def test_an_error_carries_code_message_hint_and_details() -> None:
    error = errors.QueueFull("QUEUE_FULL", "wait", retry_after_s=2.5, details={"limit": "64"})
    assert (error.code, error.message, error.retry_after_s) == ("QUEUE_FULL", "wait", 2.5)
    assert error.details == {"limit": "64"}
    assert str(error) == "wait [QUEUE_FULL]"
    assert errors.UnknownRun("A", "b").details == {}
