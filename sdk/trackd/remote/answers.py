"""Reads parts of GraphQL answers, any of which may be null or, from a broken server, anything."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trackd.errors import CommError

if TYPE_CHECKING:
    from collections.abc import Generator


def part(answer: Any, *names: str) -> Any:
    """Return what lies at a path of an answer; None where something on the way is null."""
    for name in names:
        if not answer:
            return None
        answer = answer.get(name)
    return answer


def nodes(answer: Any, *names: str) -> list[dict[str, Any]]:
    """Return the nodes of the connection at a path of an answer, without null ones."""
    edges: list[Any] = part(answer, *names, "edges") or []
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
            f"{operation}: the server's answer is not what was asked for "
            f"({type(error).__name__}: {error}); is something between here and the server?"
        ) from error
