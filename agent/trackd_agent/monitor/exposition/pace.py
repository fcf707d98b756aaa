"""Long work in a thread that must not keep the interpreter from the event loop."""

from __future__ import annotations

import time

#: How long other threads wait at most while somebody works, and how long they are let run then:
#: a thread that only calls sleep(0) has the interpreter back before any other could take it.
WORK_S = 0.002
REST_S = 0.0001


class Pace:
    """Rests now and then; a look at the clock costs less than a tenth of a microsecond."""

    def __init__(self) -> None:
        self._rested_s = time.monotonic()

    def step(self) -> None:
        """Note that a little work is done; sleeps if it has been enough by now."""
        if time.monotonic() - self._rested_s > WORK_S:
            time.sleep(REST_S)
            self._rested_s = time.monotonic()
