"""Failed requests and what to do about them.

===========================  =======================================================
network, 5xx, 408, 425, 429  repeat for ever, with jitter, obeying Retry-After
a 2xx whose body is no JSON  the same: somebody else answered
413                          the caller sends less at once
401, 403                     read the credentials again, repeat every minute
`errors` in a 200            park if they say that no repetition helps, else repeat
400 to the bytes of a file   a few times as if it were transient: damaged on their way
other 3xx, 4xx               park: repeat hourly, or when the user asks
===========================  =======================================================
"""

from __future__ import annotations

import enum
import re
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
        said: the server's own words, longer than in the problem.
    """

    def __init__(
        self,
        retry_class: RetryClass,
        problem: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        said: str = "",
    ) -> None:
        super().__init__(problem)
        self.retry_class = retry_class
        self.problem = problem
        self.status = status
        self.retry_after_s = retry_after_s
        self.said = said


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


#: Words of errors that another key may cure, and of those that stay whatever is repeated.
_KEY_WORDS = re.compile(r"api key|unauthenticated|not authenticated|unauthori[sz]ed", re.IGNORECASE)
_FINAL_WORDS = re.compile(
    r"permission|forbidden|not authori[sz]ed|access denied|not allowed|not found|does not exist"
    r"|cannot query field|unknown (argument|type|field)|got invalid value",
    re.IGNORECASE,
)


def retry_class_of_errors(text: str) -> RetryClass:
    """Return what the errors in an answer with status 200 ask for; such answers have no codes."""
    if _KEY_WORDS.search(text):
        return RetryClass.CREDENTIALS
    return RetryClass.PARKED if _FINAL_WORDS.search(text) else RetryClass.TRANSIENT


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
