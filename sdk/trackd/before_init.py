"""What the run-bound names of the package are while there is no run: they say what to do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from trackd.errors import Error, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


#: After a run the reference has the more exact type for these; it is an `Error`, too.
_USAGE = frozenset({"alert", "link_model", "log_model", "mark_preempting", "use_model"})


def function(name: str) -> Callable[..., Any]:
    """Return a function that refuses to be called."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        del args, kwargs
        is_after_a_run = "trackd.runs.run" in sys.modules
        kind = UsageError if is_after_a_run and name in _USAGE else Error
        raise kind(f"there is no run: call trackd.init() before trackd.{name}()")

    refuse.__name__ = name
    refuse.__doc__ = f"Does what `trackd.Run.{name}` does, for the run that `trackd.init()` made."
    return refuse


class Placeholder:
    """Stands for `trackd.config` or `trackd.summary`; every use raises."""

    __slots__ = ("_name",)

    _name: str

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def __getitem__(self, key: str) -> Any:
        raise self._error()

    def __setitem__(self, key: str, value: Any) -> None:
        raise self._error()

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_"):
            raise AttributeError(key)
        raise self._error()

    def __setattr__(self, key: str, value: Any) -> None:
        raise self._error()

    def _error(self) -> Error:
        return Error(f"there is no run: call trackd.init() before using trackd.{self._name}")
