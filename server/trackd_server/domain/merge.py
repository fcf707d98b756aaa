"""What the writers of one run say, merged for reading. Pure functions over JSON texts.

Each writer's config and summary is kept whole and replaced whole. A reader sees them laid over
one another in the order of their last change: per top-level key, inside `_wandb.value` per key,
and there `e` (environments) per writer id.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, cast

from trackd_proto.wandb_http import (
    METRIC_GLOB,
    METRIC_NAME,
    METRIC_OPTIONS,
    METRIC_STEP_INDEX,
    METRIC_SUMMARY,
    OPTION_DEFINED,
    OPTION_HIDDEN,
    OPTION_STEP_SYNC,
    SUMMARY_KINDS,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Row

#: Keys of a summary that say nothing about the run's results.
_BOOKKEEPING = ("_wandb", "_runtime", "_timestamp")
#: Keys below `_wandb` that belong to the user.
_USER_KEYS = ("visualize", "pinned_keys")


def loads(text: str | bytes | None) -> dict[str, Any]:
    """Return the JSON object in a text that a client sent; anything else counts as empty."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def configs(writers: Iterable[Row[Any]]) -> dict[str, Any]:
    """Return the merged config of a run, in the wrapped form (`{"lr": {"value": 0.1}}`)."""
    merged: dict[str, Any] = {}
    for writer in sorted(writers, key=lambda writer: writer.config_at):
        config = loads(writer.config)
        own = internal(merged) | internal(config)
        environments = _mapping(internal(merged).get("e")) | _mapping(internal(config).get("e"))
        merged |= config
        if own:
            if environments:
                own["e"] = environments
            merged["_wandb"] = {"value": own}
    return merged


def summaries(writers: Iterable[Row[Any]]) -> dict[str, Any]:
    """Return the merged summary of a run."""
    merged: dict[str, Any] = {}
    for writer in sorted(writers, key=lambda writer: writer.summary_at):
        merged |= loads(writer.summary)
    return merged


def plain_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config without its wrapping and without what is not the user's."""
    plain = {
        key: cast("dict[str, Any]", entry).get("value") if _is_wrapped(entry) else entry
        for key, entry in config.items()
        if key != "_wandb"
    }
    mine = {key: value for key, value in internal(config).items() if key in _USER_KEYS}
    if mine:
        plain["_wandb"] = mine
    return {key: value for key, value in plain.items() if value != {}}


def plain_summary(summary: dict[str, Any]) -> dict[str, Any]:
    """Return the results in a summary."""
    return {key: value for key, value in summary.items() if key not in _BOOKKEEPING}


def metric_definitions(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the `define_metric` calls that a config carries, sorted by name."""
    listed: Any = internal(config).get("m")
    entries = [_mapping(entry) for entry in cast("list[Any]", listed or [])]
    definitions = [
        _definition(entry, entries)
        for entry in entries
        if METRIC_GLOB in entry or OPTION_DEFINED in _numbers(entry.get(METRIC_OPTIONS))
    ]
    return sorted(definitions, key=lambda definition: str(definition["name"]))


def strict(value: Any) -> Any:
    """Return a value that strict JSON can carry: NaN and infinities become their names, in place.

    Without recursion: rows may be nested as deeply as `json` reads them.
    """
    whole: dict[Any, Any] = {0: value}
    waiting: list[Any] = [whole]
    while waiting:
        inner = waiting.pop()
        places: Iterable[tuple[Any, Any]] = (
            enumerate(cast("list[Any]", inner)) if isinstance(inner, list) else inner.items()
        )
        for place, item in places:
            if isinstance(item, float) and not math.isfinite(item):
                inner[place] = (
                    "NaN" if math.isnan(item) else "Infinity" if item > 0 else "-Infinity"
                )
            elif isinstance(item, dict | list):
                waiting.append(item)
    return whole[0]


def _definition(entry: dict[str, Any], entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    options = _numbers(entry.get(METRIC_OPTIONS))
    step: Any = entry.get(METRIC_STEP_INDEX)
    is_step = isinstance(step, int) and 0 < step <= len(entries)
    kinds = [SUMMARY_KINDS.get(kind) for kind in _numbers(entry.get(METRIC_SUMMARY))]
    return {
        "name": entry.get(METRIC_NAME) or entry.get(METRIC_GLOB),
        "step_metric": entries[step - 1].get(METRIC_NAME) if is_step else None,
        "step_sync": OPTION_STEP_SYNC in options,
        "hidden": OPTION_HIDDEN in options,
        "summary": sorted(kind for kind in kinds if kind),
    }


def internal(config: dict[str, Any]) -> dict[str, Any]:
    """Return what clients keep in a config for themselves (`_wandb.value`)."""
    return dict(_mapping(_mapping(config.get("_wandb")).get("value")))


def _mapping(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _numbers(value: Any) -> list[int]:
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [item for item in items if isinstance(item, int)]


def _is_wrapped(entry: Any) -> bool:
    return isinstance(entry, dict) and "value" in entry and set(entry) <= {"value", "desc"}  # pyright: ignore[reportUnknownArgumentType]
