"""Filters and orders of run lists: the MongoDB-like language of W&B's Public API.

Evaluated over run views in memory: right for the thousands of runs of a project.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from trackd_server.domain import merge
from trackd_server.domain.errors import InvalidRequest
from trackd_server.store import patterns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trackd_server.domain.runs import RunView

_MISSING = object()

#: Names of a run's own fields in filters and orders, as the client writes them.
_FIELDS: dict[str, Callable[[RunView], Any]] = {
    "name": lambda run: run.row.name,
    "run": lambda run: run.row.name,
    "display_name": lambda run: run.row.display_name,
    "displayName": lambda run: run.row.display_name,
    "state": lambda run: run.state,
    "tags": lambda run: run.tags,
    "group": lambda run: run.row.group_name,
    "jobType": lambda run: run.row.job_type,
    "job_type": lambda run: run.row.job_type,
    "notes": lambda run: run.row.notes,
    "description": lambda run: run.row.description,
    "host": lambda run: run.row.host,
    "sweep": lambda run: run.row.sweep,
    "created_at": lambda run: run.row.created_at,
    "createdAt": lambda run: run.row.created_at,
    "heartbeat_at": lambda run: run.row.heartbeat_at,
    "heartbeatAt": lambda run: run.row.heartbeat_at,
    "updated_at": lambda run: run.row.heartbeat_at,
    "duration": lambda run: run.row.heartbeat_at - run.row.created_at,
    "entity": lambda run: run.row.entity,
    "username": lambda run: run.row.entity,
}


def matching(runs: Sequence[RunView], text: str | None) -> list[RunView]:
    """Return the runs that a filter (JSON text) lets through."""
    if not text:
        return list(runs)
    try:
        wanted: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"Invalid filters: no JSON text ({error}).") from error
    if not wanted:
        return list(runs)
    try:
        return [run for run in runs if _matches(run, wanted)]
    except RecursionError as error:
        raise InvalidRequest("Invalid filters: they are nested too deeply.") from error


def ordered(runs: list[RunView], order: str | None) -> list[RunView]:
    """Return runs sorted by a key such as `-summary_metrics.loss`; missing values come last."""
    text = (order or "+created_at").split(",")[0].strip()
    key = text.lstrip("+-")
    values = {id(run): _value(run, key) for run in runs}
    known = [run for run in runs if values[id(run)] not in (_MISSING, None)]
    rest = [run for run in runs if values[id(run)] in (_MISSING, None)]
    known.sort(key=lambda run: _rank(values[id(run)]), reverse=text.startswith("-"))
    return known + rest


def _matches(run: RunView, wanted: Any) -> bool:
    if not isinstance(wanted, dict):
        raise InvalidRequest("Invalid filters: an object was expected.")
    return all(_clause(run, key, value) for key, value in cast("dict[str, Any]", wanted).items())


def _clause(run: RunView, key: str, wanted: Any) -> bool:
    if key == "$and":
        return all(_matches(run, part) for part in _listed(key, wanted))
    if key == "$or":
        return any(_matches(run, part) for part in _listed(key, wanted))
    if key == "$nor":
        return not any(_matches(run, part) for part in _listed(key, wanted))
    if key == "$not":
        return not _matches(run, wanted)
    if key.startswith("$"):
        raise InvalidRequest(f"Unknown operator {key[:100]!r} in filters.")
    return _compare(_value(run, key), wanted)


def _compare(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict) and any(
        key.startswith("$") for key in cast("dict[str, Any]", wanted)
    ):
        operators = cast("dict[str, Any]", wanted)
        return all(_operator(value, name, operand) for name, operand in operators.items())
    if isinstance(value, list) and not isinstance(wanted, list):
        return wanted in value
    return _same(value, wanted)


def _operator(value: Any, name: str, operand: Any) -> bool:
    if name == "$eq":
        return _compare(value, operand)
    if name in ("$ne", "$not"):
        return not _compare(value, operand)
    if name == "$nin":
        return not _operator(value, "$in", operand)
    if name == "$exists":
        return (value is not _MISSING) == bool(operand)
    many: list[Any] = list(cast("Any", value)) if isinstance(value, list) else [value]
    if name in _SEARCHES:
        return _SEARCHES[name](many, operand)
    if name in _ORDERS:
        return any(_ordered(one, operand, _ORDERS[name]) for one in many)
    raise InvalidRequest(f"Unknown operator {name[:100]!r} in filters.")


_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
}


def _ordered(value: Any, operand: Any, compare: Callable[[Any, Any], bool]) -> bool:
    if isinstance(operand, str) and isinstance(value, float):
        operand = _moment(operand)
    comparable = isinstance(value, int | float) and isinstance(operand, int | float)
    if not comparable and not (isinstance(value, str) and isinstance(operand, str)):
        return False
    return compare(value, operand)


def _value(run: RunView, key: str) -> Any:
    if key in _FIELDS:
        return _FIELDS[key](run)
    root, _, rest = key.partition(".")
    if root == "config":
        return _of_config(merge.plain_config(run.config), rest)
    if root in ("summary_metrics", "summaryMetrics", "summary"):
        return _inside(run.summary, rest)
    return _MISSING


def _of_config(values: dict[str, Any], path: str) -> Any:
    """Return a value by its path, in which clients write `value` after the key: it is wrapped."""
    found = _inside(values, path.removesuffix(".value"))
    if found is _MISSING and ".value." in path:
        found = _inside(values, path.replace(".value.", ".", 1))
    return found


def _inside(values: dict[str, Any], path: str) -> Any:
    if path in values:
        return values[path]
    value: Any = values
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return _MISSING
        value = cast("dict[str, Any]", value)[part]
    return value


def _listed(name: str, operand: Any) -> list[Any]:
    if not isinstance(operand, list):
        raise InvalidRequest(f"Invalid filters: {name} wants a list.")
    return cast("list[Any]", operand)


def _same(value: Any, wanted: Any) -> bool:
    if value is _MISSING:
        return wanted is None
    if isinstance(value, bool) != isinstance(wanted, bool):
        return False
    return bool(value == wanted)


def _is_found(pattern: str, many: list[Any]) -> bool:
    try:
        patterns.require_valid(pattern)
        return any(patterns.is_found(pattern, one) for one in many)
    except patterns.InvalidPattern as error:
        raise InvalidRequest(str(error)) from error


def _is_among(many: list[Any], operand: Any) -> bool:
    return any(_same(one, item) for one in many for item in _listed("$in", operand))


def _has_all(many: list[Any], operand: Any) -> bool:
    return all(any(_same(one, item) for one in many) for item in _listed("$all", operand))


def _contains(many: list[Any], operand: Any) -> bool:
    wanted = str(operand).lower()
    return any(isinstance(one, str) and wanted in one.lower() for one in many)


#: Operators on the values of a field: one, or those of a list.
_SEARCHES: dict[str, Callable[[list[Any], Any], bool]] = {
    "$in": _is_among,
    "$all": _has_all,
    "$contains": _contains,
    "$regex": lambda many, operand: _is_found(str(operand), many),
    "$options": lambda _many, _operand: True,
}


def _moment(text: str) -> float | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _rank(value: Any) -> tuple[int, Any]:
    """Make values of different kinds comparable: numbers before texts."""
    if isinstance(value, int | float):
        return (0, float("-inf") if value != value else value)  # NaN first
    return (1, str(value))
