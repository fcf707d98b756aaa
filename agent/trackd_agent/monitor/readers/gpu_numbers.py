"""Which number `gpu.{i}` a GPU has where a machine holds those of two vendors.

NVIDIA's come first, with their own numbers; AMD's follow. In the W&B client both start at 0 and
overwrite each other. The count never shrinks: a GPU that is lost must not renumber the others.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from trackd_agent.monitor.contract import NoDataError

if TYPE_CHECKING:
    from collections.abc import Callable

#: How long a tick waits for NVIDIA's count, which another thread finds at the same time.
WAIT_S = 1.0
#: For how long AMD's GPUs stay unnamed while NVIDIA's library does not answer.
PATIENCE_S = 60.0


class GpuNumbers:
    """What the collectors of GPUs tell each other."""

    def __init__(
        self, *, nvidia_expected: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare.

        Args:
            nvidia_expected: Whether somebody will call `counted_nvidia`.
            clock: Monotonic seconds.
        """
        self._nvidia = 0
        self._counted = threading.Event()
        self._clock = clock
        self._asked_s: float | None = None
        if not nvidia_expected:
            self._counted.set()

    def counted_nvidia(self, count: int) -> None:
        """Tell how many NVIDIA GPUs there are, 0 for a machine without."""
        self._nvidia = max(self._nvidia, count)
        self._counted.set()

    def first_amd(self) -> int:
        """Return the number of the first AMD GPU; waits a moment for NVIDIA's count.

        Raises:
            NoDataError: That is not known yet.
        """
        if not self._counted.wait(WAIT_S if self._asked_s is None else 0):
            now_s = self._clock()
            self._asked_s = now_s if self._asked_s is None else self._asked_s
            if now_s - self._asked_s < PATIENCE_S:
                raise NoDataError("waiting for the count of NVIDIA GPUs, which come first")
        return self._nvidia
