"""The end of a run in this process, which comes once, whoever asks for it and however often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd.logs import LOGGER

if TYPE_CHECKING:
    from collections.abc import Callable


class Ending:
    """What is to be done when a run ends and still takes records, and who does it.

    Threads, signal handlers and the interpreter's exit may end a run at the same moment: one of
    them does.
    """

    def __init__(self) -> None:
        self._actions: list[Callable[[], None]] = []
        #: Whoever takes it out ends the run: taking is atomic, and nobody waits, so that a
        #: signal handler may come in the middle of it.
        self._right = [True]

    def before(self, action: Callable[[], None]) -> None:
        """Do something when the end comes."""
        self._actions.append(action)

    def once(self, close: Callable[[], None]) -> bool:
        """End the run: do what is to be done, then `close`; False where another call ends it."""
        try:
            self._right.pop()
        except IndexError:
            return False
        try:
            for action in self._actions:
                self._do(action)
        except BaseException:  # interrupted: the next call ends the run
            self._right.append(True)
            raise
        close()
        return True

    def _do(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:  # noqa: BLE001 - whatever failed, the run must end
            LOGGER.exception("an action at the end of the run failed")
