"""Failed requests and what to do about them.

===========================  =======================================================
network, 5xx, 408, 425, 429  repeat for ever, with jitter, obeying Retry-After
a 2xx whose body is no JSON  the same: somebody else answered
413                          the caller sends less at once
401, 403                     read the credentials again, repeat every minute
other 3xx, 4xx               park: repeat hourly, or when the user asks
===========================  =======================================================
"""

from __future__ import annotations

import enum
import time
from email.utils import parsedate_to_datetime


class RetryClass(enum.Enum):
    """What the caller of a failed request does next."""

    TRANSIENT = "transient"
    TOO_LARGE = "too_large"
    CREDENTIALS = "credentials"
    PARKED = "parked"


class RequestFailed(Exception):
    """One attempt of a request failed; nothing of it counts as delivered.

    Args:
        retry_class: what to do next.
        problem: for people, one line, without secrets.
        status: HTTP status, when there was an answer.
        retry_after_s: wait that the server asked for.
    """

    def __init__(
        self,
        retry_class: RetryClass,
        problem: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(problem)
        self.retry_class = retry_class
        self.problem = problem
        self.status = status
        self.retry_after_s = retry_after_s


_TRANSIENT_4XX = frozenset({408, 425, 429})


def retry_class_of(status: int) -> RetryClass:
    """Return what a status other than 2xx asks for."""
    if status >= 500 or status in _TRANSIENT_4XX:
        return RetryClass.TRANSIENT
    if status == 413:
        return RetryClass.TOO_LARGE
    if status in (401, 403):
        return RetryClass.CREDENTIALS
    return RetryClass.PARKED


def parse_retry_after(value: str | None, now_s: float | None = None) -> float | None:
    """Return the seconds of a Retry-After header (number or HTTP date), or None."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value).timestamp()
    except ValueError:
        return None
    return max(0.0, when - (time.time() if now_s is None else now_s))
