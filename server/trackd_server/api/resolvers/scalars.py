"""Our scalars: what clients may pass for them."""

from __future__ import annotations

from typing import Any

from ariadne import ScalarType
from graphql import GraphQLError

#: Numbers that a database column and a float both hold exactly.
MAX_INTEGER = 1 << 53


def parse_integer(value: Any) -> int:
    """Return a whole number, however the client wrote it."""
    if isinstance(value, str) and len(value) <= len(str(-MAX_INTEGER)):
        value = int(value) if value.removeprefix("-").isdecimal() else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_INTEGER:
        raise GraphQLError(f"{str(value)[:50]!r} is no whole number up to {MAX_INTEGER}.")
    return value


bindables = [ScalarType(name, value_parser=parse_integer) for name in ("Int64", "Duration")]
