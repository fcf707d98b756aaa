"""How long to wait after a failure, and the loop that repeats until acknowledged."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

import anyio

from trackd_agent.upstream.failures import RequestFailed, RetryClass
from trackd_agent.upstream.manner import OWN_MANNER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trackd_agent.upstream.client import Upstream
    from trackd_agent.upstream.config import UpstreamConfig
    from trackd_agent.upstream.manner import Manner

T = TypeVar("T")


class Wake:
    """An event that arms itself again when somebody has waited for it."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        """Wake whoever waits, or the next who does."""
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether the next wait returns at once."""
        return self._event.is_set()

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for `set`, at most so long; return whether it came."""
        event = self._event
        with anyio.move_on_after(timeout_s):
            await event.wait()
        woken = event.is_set()
        if woken and self._event is event:
            self._event = anyio.Event()
        return woken


class Patience:
    """Waits between attempts: full jitter that grows with each transient failure."""

    def __init__(
        self,
        config: UpstreamConfig,
        draw: Callable[[], float] = random.random,
        manner: Manner = OWN_MANNER,
    ) -> None:
        self._config = config
        self._least_s, self._most_s = manner.waits(config)
        self._draw = draw
        self._failures = 0

    def wait_s(self, failure: RequestFailed) -> float:
        """Return the wait before the next attempt, in seconds."""
        config = self._config
        if failure.retry_class is RetryClass.CREDENTIALS:
            return config.credentials_retry_s
        if failure.retry_class in (RetryClass.PARKED, RetryClass.TOO_LARGE):
            return config.parked_retry_s
        if failure.retry_after_s is not None:
            return min(failure.retry_after_s, config.retry_after_max_s)
        ceiling = min(self._most_s, self._least_s * 2 ** min(self._failures, 16))
        self._failures += 1
        return self._least_s + self._draw() * (ceiling - self._least_s)


class Courier:
    """Repeats the requests of one run to one server until they are acknowledged.

    Each run has its own: a run that the server refuses waits alone.
    """

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        #: How its requests go; set when the run's own settings are known.
        self.manner = OWN_MANNER
        #: What keeps the run from moving, for people; empty when it moves.
        self.problem = ""
        #: Cuts a wait between two attempts short.
        self.hurry = Wake()

    def patience(self) -> Patience:
        """Return the waits between the attempts of one request."""
        return Patience(self.upstream.config, manner=self.manner)

    async def park(self, failure: RequestFailed) -> None:
        """Wait as long as after a refusal of the run itself, or until somebody hurries."""
        self.problem = failure.problem
        await self.hurry.wait(self.upstream.config.parked_retry_s)

    async def deliver(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat a request until it is acknowledged; return its answer.

        Raises:
            RequestFailed: the request is too large; the caller has to send less at once.
        """
        patience = self.patience()
        while True:
            try:
                answer = await attempt()
            except RequestFailed as failure:
                if failure.retry_class is RetryClass.TOO_LARGE:
                    raise
                self.problem = failure.problem
                await self.hurry.wait(patience.wait_s(failure))
            else:
                self.problem = ""
                return answer
