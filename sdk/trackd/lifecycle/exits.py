"""How the process ends: the exit code of runs that nobody finished explicitly."""

from __future__ import annotations

import atexit
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

from trackd.errors import Error

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

KEYBOARD_INTERRUPT_CODE = 255


class ExitHooks:
    """Watches `sys.exit` and uncaught exceptions, and calls back at interpreter exit.

    Tracebacks are printed here, while the console is still captured; a hook that the user put in
    place is called behind that. Installed once a process, at the first `init`.

    Args:
        at_exit: called when the interpreter ends.
        complain: shows the text of an uncaught exception of ours as an error line.
    """

    def __init__(self, at_exit: Callable[[], None], complain: Callable[[str], None]) -> None:
        #: Exit code that the process is going to have, as far as it is known.
        self.exit_code = 0
        self._at_exit = at_exit
        self._complain = complain
        self._installed_in_pid = 0

    def install(self) -> None:
        """Put the hooks in place; a second call does nothing."""
        pid = os.getpid()
        if self._installed_in_pid == pid:
            return
        if not self._installed_in_pid:
            self._previous_exit = sys.exit
            self._previous_excepthook = sys.excepthook
            sys.exit = self._exit  # type: ignore[assignment]
            sys.excepthook = self._excepthook
            atexit.register(self._at_exit)
        self._installed_in_pid = pid
        self._install_in_worker()

    def _install_in_worker(self) -> None:
        """Processes made by `multiprocessing` end without the interpreter's exit hooks."""
        process = sys.modules.get("multiprocessing.process")
        if process is not None and process.parent_process() is not None:
            from multiprocessing.util import Finalize

            Finalize(None, self._at_exit, exitpriority=0)

    def _exit(self, code: Any = None) -> None:
        self.exit_code = exit_code_of(code)
        self._previous_exit(code)

    def _excepthook(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        interrupted = issubclass(kind, KeyboardInterrupt)
        self.exit_code = KEYBOARD_INTERRUPT_CODE if interrupted else 1
        if isinstance(error, Error):
            self._complain(str(error))
        traceback.print_exception(kind, error, trace)
        if self._previous_excepthook is not sys.__excepthook__:
            self._previous_excepthook(kind, error, trace)


def exit_code_of(code: Any) -> int:
    """Return the exit status that `sys.exit(code)` gives a process."""
    if code is None:
        return 0
    return int(code) if isinstance(code, int) else 1
