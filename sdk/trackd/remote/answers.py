"""Reads parts of GraphQL answers, any of which may be null."""

from __future__ import annotations

from typing import Any


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
