"""The configuration that a run starts with, put together of all its sources.

Lowest first: `config-defaults.yaml`, the `config` argument, files of `config_paths`, then,
locked for the rest of the run, parameters of a sweep and of a launcher.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackd.configuration.config import merged, plain_values
from trackd.configuration.sources import RESERVED, from_yaml_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from trackd.settings import Settings

_DEFAULTS_FILE = "config-defaults.yaml"
#: Parameters that a launcher hands over, whole or in numbered parts.
_LAUNCH_VARIABLE = "WANDB_CONFIG"
_LAUNCH_PARTS = 10_000


class FirstConfig:
    """What a run is configured with before it starts.

    Attributes:
        values: plain values by name.
        locks: who locked a name: `sweep` or `launch`.
    """

    __slots__ = ("locks", "values")

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.locks: dict[str, str] = {}


def first_config(
    given: dict[str, Any], session: Settings, warn: Callable[[str], None]
) -> FirstConfig:
    """Return the configuration that a run starts with.

    Args:
        given: what the `config` argument of `init` holds.
        session: settings of the session; files are named there, not in `init`.
        warn: tells the user something.

    Raises:
        ConfigError: a file is missing or cannot be read.
        TypeError: a value has no place in a configuration, or a file has another form.
        KeyError: an entry of a file has no `value`.
    """
    first = FirstConfig({**plain_values(_defaults(warn)), RESERVED: {}})
    named: dict[str, Any] = {}
    for path in session.config_paths or ():
        if os.path.exists(path):  # noqa: PTH110 - as given, a missing one is no fault
            named |= from_yaml_file(path) or {}
    first.values |= plain_values({**given, **named})
    for user, values in (("sweep", _sweep(session)), ("launch", _launch(session, warn))):
        for key, value in plain_values(values).items():
            first.locks[key] = user
            first.values[key] = merged(first.values.get(key), value)
    return first


def _defaults(warn: Callable[[str], None]) -> dict[str, Any]:
    if not os.path.exists(_DEFAULTS_FILE):  # noqa: PTH110 - most runs have none: no Path is made
        return {}
    values = from_yaml_file(_DEFAULTS_FILE)
    if values is None:
        warn(f"{_DEFAULTS_FILE} is empty: there are no defaults")
    return values or {}


def _sweep(session: Settings) -> dict[str, Any]:
    path = session.sweep_param_path
    return (from_yaml_file(path) or {}) if path else {}


def _launch(session: Settings, warn: Callable[[str], None]) -> dict[str, Any]:
    """Return the parameters that a launcher gives, by variable or file."""
    if not session.launch:
        return {}
    text = os.environ.get(_LAUNCH_VARIABLE)
    path = session.launch_config_path
    if text is None and path and os.path.exists(path):  # noqa: PTH110
        overrides = json.loads(Path(path).read_text()).get("overrides", {})
        return overrides.get("run_config") or {}
    if text is None:
        parts = (os.environ.get(f"{_LAUNCH_VARIABLE}_{n}") for n in range(_LAUNCH_PARTS))
        text = "".join(_until_none(parts)) or "{}"
    try:
        return json.loads(text)
    except ValueError:
        warn(f"{_LAUNCH_VARIABLE} is no JSON: the parameters of the launcher are ignored")
        return {}


def _until_none(parts: Iterable[str | None]) -> Iterator[str]:
    for part in parts:
        if part is None:
            return
        yield part
