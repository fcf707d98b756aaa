"""Requests to stop a run, made by people at the server, and how they reach the training."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from trackd.logs import LOGGER

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd.terminal import Terminal


def stopper(stop_fn: Callable[[], None] | None, terminal: Terminal) -> Callable[[], None]:
    """Return what is called when the run is asked to stop; it returns at once.

    Args:
        stop_fn: what the user wants called instead of an interrupt of the main thread.
        terminal: shows what happens.
    """

    def stop() -> None:
        terminal.warn("this run was asked to stop")
        try:
            (stop_fn or interrupt_main)()
        except Exception:  # noqa: BLE001 - the code is the user's own
            LOGGER.exception("stop_fn failed")
            terminal.error("stop_fn failed: see logs/debug.log in the run's folder")

    def stop_aside() -> None:  # it may take long, and the caller has records to see to
        threading.Thread(target=stop, name="trackd-stop", daemon=True).start()

    return stop_aside


def interrupt_main() -> None:
    """Raise KeyboardInterrupt in the main thread, also where it waits in a system call."""
    main = threading.main_thread().ident
    if main is not None:
        signal.pthread_kill(main, signal.SIGINT)
