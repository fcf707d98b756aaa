"""What goes wrong in a call of `trackd.Api`, and what becomes of it.

The reference turns nearly everything that goes wrong in a call of its `Api` into `CommError`; a
script that knows Python expects `ValueError` for a name that does not exist. Both are right here:
`NotThereError` and `RefusedError` are both.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from trackd.errors import CommError, Error, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_P = ParamSpec("_P")
_R = TypeVar("_R")

#: One object of an answer, as GraphQL sends it.
Node = dict[str, Any]


class RefusedError(CommError, ValueError):
    """A value of the call is wrong, or the server refused it."""


class WrongTypeError(RefusedError, TypeError):
    """A value of the call is of a wrong type."""


class NotThereError(RefusedError):
    """The server has no such thing, or does not show it to this key."""


class RunNotFoundError(NotThereError):
    """The server has no such run."""


class ServerTooOldError(Error, RuntimeError):
    """The server does not have the feature that a call needs."""


class AbsentError(UnsupportedError, AttributeError):
    """The reference has this member, trackd does not: `hasattr()` tells."""

    def __init__(self, owner: str, name: str, why: str) -> None:
        super().__init__(f"trackd has no {owner}.{name}: {why}")


def elsewhere(what: str) -> str:
    """Return why `Api` lacks something that only other servers have."""
    return f"use the package `wandb` for {what}, on a server that has them"


def is_refusal(error: CommError) -> bool:
    """Tell whether the server answered, and said no; False: it did not answer."""
    return bool(getattr(error.__cause__, "is_invalid", False))  # of an `AgentCallError`


@contextlib.contextmanager
def or_not_there() -> Generator[None]:
    """Make what a server says of a name that it does not know a `NotThereError`."""
    try:
        yield
    except CommError as error:
        if not is_refusal(error) or isinstance(error, NotThereError):
            raise
        raise NotThereError(error.message) from error


def refusing(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Make a call raise `RefusedError` where it, or the server, found a value wrong."""

    @functools.wraps(method)
    def checked(*args: _P.args, **options: _P.kwargs) -> _R:
        try:
            return method(*args, **options)
        except CommError as error:
            if not is_refusal(error) or isinstance(error, RefusedError):
                raise
            raise RefusedError(error.message) from error
        except Error:
            raise
        except (ValueError, LookupError) as error:
            raise RefusedError(str(error)) from error
        except TypeError as error:
            raise WrongTypeError(str(error)) from error

    return checked


def need_feature(features: frozenset[str], feature: str, what: str) -> None:
    """Refuse a call that the server cannot answer.

    Raises:
        ServerTooOldError: the server does not announce the feature.
    """
    if feature not in features:
        raise ServerTooOldError(
            f"{what} needs a server with the feature {feature}, which this one does not announce: "
            "use a newer server"
        )
