"""Metadata of artifacts: refused if clients could not read them back.

A version with such metadata would make every list that it is in unreadable.
"""

from __future__ import annotations

import json
import math
from typing import Any, cast

from trackd_server.domain.errors import InvalidRequest

MAX_KEYS = 100
#: The `wandb` package reads no deeper ones.
MAX_LEVELS = 200


def check(text: str) -> None:
    """Refuse metadata that are no JSON object of at most 100 keys, or that clients cannot read."""
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"The metadata hold text that is no Unicode: {error}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"The metadata is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequest("The metadata must be a JSON object.")
    fields = cast("dict[str, Any]", value)
    if len(fields) > MAX_KEYS:
        raise InvalidRequest(
            f"The metadata has {len(fields)} keys, the most are {MAX_KEYS}: nest some."
        )
    if (levels := _levels(fields)) > MAX_LEVELS:
        raise InvalidRequest(
            f"The metadata is nested {levels} levels deep, the most are {MAX_LEVELS}."
        )


def _levels(value: Any) -> int:
    """Return how deeply objects and lists are nested in each other."""
    level: list[Any] = [value]
    count = 0
    while level:
        count += 1
        inner: list[Any] = []
        for one in level:
            inner += cast("dict[str, Any]", one).values() if isinstance(one, dict) else one
        level = [item for item in inner if type(item) in (dict, list)]
    return count


def _finite(text: str) -> float:
    """Return a number; clients cannot read a version back whose metadata has infinite ones."""
    value = float(text)
    if math.isinf(value):
        raise InvalidRequest(f"The metadata holds {text}: give a finite number, or a text.")
    return value
