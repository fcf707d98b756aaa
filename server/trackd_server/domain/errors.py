"""Errors that a client may see: a stable code, a sentence for people, and whether to try again.

The HTTP status is chosen with care: a W&B client gives a run's stream up for good after a plain
4xx, so everything transient is a 5xx.
"""

from __future__ import annotations

from typing import ClassVar


class DomainError(Exception):
    """A request that cannot be served; `code` is stable, the message names what to change."""

    code: ClassVar[str] = "INTERNAL"
    status: ClassVar[int] = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidRequest(DomainError):
    """Something in the request is wrong and stays wrong."""

    code = "INVALID_REQUEST"
    status = 400


class NotAuthenticated(DomainError):
    """No API key, or a wrong one."""

    code = "NOT_AUTHENTICATED"
    status = 401


class NotAllowed(DomainError):
    """Known caller, but not for this."""

    code = "NOT_ALLOWED"
    status = 403


class NotFound(DomainError):
    """The named object does not exist."""

    code = "NOT_FOUND"
    status = 404


class Conflict(DomainError):
    """What is there already, or still, stands against it; the message says what to do first."""

    code = "CONFLICT"
    status = 409


class RangeNotSatisfiable(DomainError):
    """The asked bytes are not in the file."""

    code = "RANGE_NOT_SATISFIABLE"
    status = 416


class TooLarge(DomainError):
    """The body is larger than the server takes."""

    code = "TOO_LARGE"
    status = 413


class Unavailable(DomainError):
    """Not now: busy, or out of disk space. The same request may succeed later."""

    code = "UNAVAILABLE"
    status = 503
