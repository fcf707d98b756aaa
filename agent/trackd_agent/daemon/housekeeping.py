"""What ends an agent: signals, idleness, a vanished data directory, a stuck event loop."""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from typing import TYPE_CHECKING

import anyio
import structlog

from trackd_agent.daemon.watchdog import LoopWatchdog

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from trackd_agent.daemon.premises import Premises
    from trackd_agent.rpc.doorman import Doorman
    from trackd_agent.runs.registry import RunRegistry

log = structlog.get_logger()

_LOOK_S = 0.5
_STATUS_S = 10.0
#: An orderly stop that takes longer ends by force; everything acknowledged is in the journals.
STOP_DEADLINE_S = 4.7
#: Time for the answer to a shutdown call to get out.
_ANSWER_S = 0.05
#: Exit status after a stop by force.
FORCED_STATUS = 1


class Housekeeping:
    """Decides when the agent leaves.

    Args:
        premises: lock, socket and settings.
        registry: tells whether there is anything to do.
        doorman: tells whether somebody is connected.
    """

    def __init__(self, premises: Premises, registry: RunRegistry, doorman: Doorman) -> None:
        self._premises = premises
        self._registry = registry
        self._doorman = doorman
        self._timeout_s = premises.settings.config.idle_timeout_s
        self._stopping = anyio.Event()
        self._idle_since_s: float | None = None
        self._had_rank = False
        self._began_s = time.monotonic()

    @property
    def idle_exit_in_s(self) -> float | None:
        """Seconds until an idle agent leaves; None while it is busy or never leaves."""
        if self._timeout_s is None or self._idle_since_s is None:
            return None
        timeout_s = self._timeout_s
        since_s = self._idle_since_s
        if not self._had_rank:  # whoever started us is about to attach
            first_s = self._premises.settings.config.first_rank_timeout_s
            return max(since_s + timeout_s, self._began_s + first_s) - time.monotonic()
        return since_s + timeout_s - time.monotonic()

    def stop(self, reason: str, *, immediate: bool = False) -> None:
        """Begin to leave; called again, or `immediate`: leave at once."""
        if immediate or self._stopping.is_set():
            self._leave_at_once(reason)
        log.info("stopping", reason=reason)
        self._premises.notifier.tell("STOPPING=1", f"STATUS=stopping: {reason}")
        faulthandler.dump_traceback_later(STOP_DEADLINE_S, exit=True)
        self._stopping.set()

    async def run_until_stop(self) -> None:
        """Watch until there is a reason to leave; afterwards signals still count."""
        self._premises.notifier.tell("READY=1", "STATUS=serving")
        with LoopWatchdog() as watchdog:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._look_around, watchdog)
                await self._stopping.wait()
                tasks.cancel_scope.cancel()
        await anyio.sleep(_ANSWER_S)

    async def listen_to_signals(self, *, task_status: TaskStatus[None]) -> None:
        """First signal: an orderly stop. Second: at once."""
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for number in signals:
                self.stop(signal.Signals(number).name)

    async def _look_around(self, watchdog: LoopWatchdog) -> None:
        notifier = self._premises.notifier
        pause_s = _LOOK_S
        if self._timeout_s is not None:
            pause_s = min(pause_s, max(0.05, self._timeout_s / 4))
        if notifier.watchdog_s:
            pause_s = min(pause_s, notifier.watchdog_s / 3)
        next_status_s = 0.0
        while True:
            watchdog.loop_turned()
            if not self._premises.lock.is_in_place():
                self._leave_at_once("the data directory is gone")
            self._note_idleness()
            left_s = self.idle_exit_in_s
            if left_s is not None and left_s <= 0:
                self.stop("idle")
                return
            if notifier.watchdog_s:
                notifier.tell("WATCHDOG=1")
            if notifier.is_supervised and time.monotonic() >= next_status_s:
                next_status_s = time.monotonic() + _STATUS_S
                notifier.tell(f"STATUS=serving; backlog {self._registry.backlog_bytes} bytes")
            await anyio.sleep(pause_s)

    def _note_idleness(self) -> None:
        self._had_rank = self._had_rank or bool(self._registry.runs())
        if self._registry.is_idle and not self._doorman.connections:
            if self._idle_since_s is None:
                self._idle_since_s = time.monotonic()
        else:
            self._idle_since_s = None

    def _leave_at_once(self, reason: str) -> None:
        """End the process without another word.

        Rows are in the page cache, which outlives us; the server leaves when its pipe closes.
        """
        log.warning("leaving_at_once", reason=reason)
        self._premises.socket.remove()
        os._exit(FORCED_STATUS)
