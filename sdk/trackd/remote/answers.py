"""Reads parts of GraphQL answers, any of which may be null or, from a broken server, anything."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from trackd.errors import CommError

if TYPE_CHECKING:
    from collections.abc import Generator


def part(answer: Any, *names: str) -> Any:
    """Return what lies at a path of an answer; None where something on the way is null.

    Raises:
        CommError: something on the way is no object.
    """
    for name in names:
        if not answer:
            return None
        if not isinstance(answer, dict):
            raise CommError(_not_what_was_asked(f"{'.'.join(names)} is in {answer!r:.100}"))
        answer = cast("dict[str, Any]", answer).get(name)
    return answer


def nodes(answer: Any, *names: str) -> list[dict[str, Any]]:
    """Return the nodes of the connection at a path of an answer, without null ones."""
    edges: list[Any] = part(answer, *names, "edges") or []
    with understood(".".join(names)):
        return [edge["node"] for edge in edges if edge and edge.get("node")]


@contextmanager
def understood(operation: str) -> Generator[None]:
    """Read an answer inside of the block.

    Raises:
        CommError: something in the answer is missing, null or of a kind that it cannot be.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise CommError(
            f"{operation}: " + _not_what_was_asked(f"{type(error).__name__}: {error}")
        ) from error


def _not_what_was_asked(why: str) -> str:
    return (
        f"the server's answer is not what was asked for ({why}); is something between here and "
        "the server?"
    )
