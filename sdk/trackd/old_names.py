"""What scripts of older days call: names that have nothing to do any more, or another name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd.errors import UnsupportedError
from trackd.session import finish, session
from trackd.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["join", "require"]

#: The old name of `trackd.finish`.
join = finish

_ALWAYS_THERE = frozenset({"core", "service", "require"})


def require(
    requirement: str | Iterable[str] | None = None, experiment: str | Iterable[str] | None = None
) -> None:
    """Ask for a feature that was experimental once; `core` and `service` are always there.

    Args:
        requirement: name of a feature, or several; what follows `@` or `:` does not matter.
        experiment: the same, under its older name.

    Raises:
        UnsupportedError: a feature is not known.
    """
    wanted = requirement or experiment or ()
    for feature in [wanted] if isinstance(wanted, str) else wanted:
        name = feature.partition("@")[0].partition(":")[0]
        if name not in _ALWAYS_THERE:
            raise UnsupportedError(
                f"require({feature!r}): there is no such feature: leave the call out"
            )
        terminal = Terminal(session().set_up())
        terminal.warn(f"require({name!r}) has nothing to do: it is always so")
