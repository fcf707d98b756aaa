"""Where settings come from: command line over environment over file over default.

The file is `$TRACKD_CONFIG`, else `agent.toml` in the data directory. A variable is named after
the setting (`journal.sync` is `TRACKD_JOURNAL__SYNC`); a few have names of their own. Each value
remembers its source. Everything is read before any socket opens, so that a mistake ends the
start and nothing else.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, SecretStr, ValidationError

from trackd_agent.core.errors import AgentError
from trackd_agent.daemon.config import AgentConfig
from trackd_agent.rpc.admin_service import ConfigValue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PREFIX = "TRACKD_"
_MASK = "********"
#: Variables with names of their own; the first that is set wins.
ALIASES: dict[str, tuple[str, ...]] = {
    "idle_timeout_s": ("TRACKD_IDLE_TIMEOUT",),
    "socket": ("TRACKD_SOCKET",),
    "base_url": ("TRACKD_BASE_URL", "WANDB_BASE_URL"),
    "api_key": ("TRACKD_API_KEY", "WANDB_API_KEY"),
    "log.level": ("TRACKD_LOG_LEVEL",),
}
_ROOMS = tuple(
    name
    for name, field in AgentConfig.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
)


class ConfigError(AgentError):
    """A setting is wrong; the message names setting, value, source and remedy."""


@dataclass(frozen=True)
class LoadedConfig:
    """The settings in force, and where each comes from (`default` where it is not listed)."""

    config: AgentConfig
    sources: Mapping[str, str]

    def values(self) -> list[ConfigValue]:
        """Return all settings by dotted name, secrets masked."""
        return sorted(
            (
                ConfigValue(name, _as_text(value), self._source(name))
                for name, value in _leaves(self.config)
            ),
            key=lambda each: each.name,
        )

    def _source(self, name: str) -> str:
        return self.sources.get(name, "default")


def load_config(
    data: Path, environ: Mapping[str, str], options: Mapping[str, str] | None = None
) -> LoadedConfig:
    """Return the settings in force.

    Args:
        data: the data directory.
        environ: the environment.
        options: what the command line sets, by dotted name.

    Raises:
        ConfigError: a setting is unknown or its value is wrong.
    """
    values: dict[str, tuple[object, str]] = {}
    values.update(_from_file(data, environ))
    values.update(_from_environment(environ))
    for name, text in (options or {}).items():
        values[name] = (_parsed(text), f"cli:{name}")
    tree: dict[str, Any] = {}
    for name, (value, source) in values.items():
        _place(tree, name, value, source)
    sources = {name: source for name, (_, source) in values.items()}
    try:
        return LoadedConfig(AgentConfig.model_validate(tree), sources)
    except ValidationError as error:
        raise _explained(error, values) from None


def _from_file(data: Path, environ: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    explicit = environ.get("TRACKD_CONFIG")
    path = Path(explicit).expanduser() if explicit else data / "agent.toml"
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not explicit:
            return {}
        raise ConfigError(
            "INVALID_CONFIG", f"TRACKD_CONFIG={explicit!r}: there is no such file"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(
            "INVALID_CONFIG", f"settings file {path} cannot be read as TOML: {error}"
        ) from error
    return {name: (value, f"file:{path}") for name, value in _flat(raw)}


def _flat(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and name in _ROOMS:
            yield from _flat(cast("dict[str, object]", value), f"{name}.")
        else:
            yield name, value


def _from_environment(environ: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    found: dict[str, tuple[object, str]] = {}
    for variable, text in environ.items():
        room, _, rest = variable.removeprefix(_PREFIX).partition("__")
        if variable.startswith(_PREFIX) and rest and room.lower() in _ROOMS:
            name = f"{room}.{rest.replace('__', '.')}".lower()
            found[name] = (_parsed(text), f"env:{variable}")
    for name, variables in ALIASES.items():
        for variable in reversed(variables):
            if text := environ.get(variable):
                found[name] = (text, f"env:{variable}")
    return found


def _parsed(text: str) -> object:
    """Return what a text means: lists and tables are written as JSON."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text  # the model says what it wants instead
    return text


def _place(tree: dict[str, Any], name: str, value: object, source: str) -> None:
    *path, last = name.split(".")
    node: dict[str, Any] = tree
    for key in path:
        inner: Any = node.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ConfigError("INVALID_CONFIG", f"{name} ({source}): {key} is no group of settings")
        node = cast("dict[str, Any]", inner)
    node[last] = value


def _explained(error: ValidationError, values: Mapping[str, tuple[object, str]]) -> ConfigError:
    problems: list[str] = []
    for each in error.errors(include_url=False):
        name = ".".join(str(part) for part in each["loc"])
        alike = (n for n in values if f"{name}.".startswith(f"{n}.") or n.startswith(f"{name}."))
        known = next(alike, name)
        value, source = values.get(known, (each.get("input"), "default"))
        shown = _MASK if "key" in name else repr(value)[:200]
        if each["type"] == "extra_forbidden":
            problems.append(f"{name} ({source}): there is no such setting; `trackd agent --help`")
        else:
            problems.append(f"{name}={shown} ({source}): {each['msg'].lower()}")
    first = ".".join(str(part) for part in error.errors()[0]["loc"])
    return ConfigError("INVALID_CONFIG", "; ".join(problems), details={"field": first})


def _leaves(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name in type(model).model_fields:
        value: object = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _as_text(value: object) -> str:
    if isinstance(value, SecretStr):
        return _MASK if value.get_secret_value() else ""
    if isinstance(value, str | Path):
        return str(value)
    if value is None:
        return ""
    return json.dumps(value, default=str)
