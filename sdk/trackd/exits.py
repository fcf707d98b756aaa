"""How the process ends: the exit code of runs that nobody finished explicitly."""

from __future__ import annotations

import atexit
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

KEYBOARD_INTERRUPT_CODE = 255


class ExitHooks:
    """Watches `sys.exit` and uncaught exceptions, and calls back at interpreter exit.

    The hooks that were there before are called too. Installed once a process, at the first
    `init`.
    """

    def __init__(self, at_exit: Callable[[], None]) -> None:
        #: Exit code that the process is going to have, as far as it is known.
        self.exit_code = 0
        self._installed = False
        self._at_exit = at_exit

    def install(self) -> None:
        """Put the hooks in place; a second call does nothing."""
        if self._installed:
            return
        self._installed = True
        self._previous_exit = sys.exit
        self._previous_excepthook = sys.excepthook
        sys.exit = self._exit  # type: ignore[assignment]
        sys.excepthook = self._excepthook
        atexit.register(self._at_exit)

    def _exit(self, code: Any = None) -> None:
        self.exit_code = exit_code_of(code)
        self._previous_exit(code)

    def _excepthook(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        interrupted = issubclass(kind, KeyboardInterrupt)
        self.exit_code = KEYBOARD_INTERRUPT_CODE if interrupted else 1
        self._previous_excepthook(kind, error, trace)


def exit_code_of(code: Any) -> int:
    """Return the exit status that `sys.exit(code)` gives a process."""
    if code is None:
        return 0
    return code if isinstance(code, int) else 1
