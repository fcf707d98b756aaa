"""What can hold a configuration: mappings, namespaces, flags, objects, YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from trackd.before_init import Placeholder
from trackd.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

#: Key of what trackd itself keeps in a configuration.
RESERVED = "_wandb"
_VERSION_KEY = "wandb_version"
_VERSION = 1


def parse_config(
    params: Any,
    exclude: Collection[str] | None = None,
    include: Collection[str] | None = None,
) -> dict[str, Any]:
    """Return what a `config` argument holds, by name.

    Args:
        params: a mapping, an argparse namespace, absl or TensorFlow flags, an object with
            attributes, or the path of a YAML file.
        exclude: names to leave out.
        include: names to keep; all others are left out.

    Raises:
        UsageError: both `exclude` and `include` are given.
        ConfigError: the file is missing or cannot be read.
        TypeError: `params` is nothing of all that, or the file is empty or has another form.
        KeyError: an entry of the file has no `value`.
    """
    if exclude and include:
        raise UsageError("config: give names to exclude or names to include, not both")
    values = _of_file(params) if isinstance(params, str) else _as_mapping(params)
    if include:
        values = {key: value for key, value in values.items() if key in include}
    if exclude:
        values = {key: value for key, value in values.items() if key not in exclude}
    return values


def _of_file(name: str) -> dict[str, Any]:
    values = from_yaml_file(name)
    if values is None:
        raise TypeError(
            f"config file {name!r} is empty: write `lr: {{value: 0.1}}`, or leave it out"
        )
    return values


def _as_mapping(source: Any) -> dict[str, Any]:
    if isinstance(source, Mapping):
        return dict(cast("Mapping[str, Any]", source))
    if isinstance(source, Placeholder):
        return {}
    if hasattr(source, "as_dict") and hasattr(source, "merge_locked"):
        return source.as_dict()  # a run's configuration
    if hasattr(source, "FLAGS") and hasattr(source.FLAGS, "flag_values_dict"):
        source = source.FLAGS  # the module absl.flags
    if hasattr(source, "flag_values_dict"):
        return cast("dict[str, Any]", source.flag_values_dict())
    if not hasattr(source, "__dict__"):
        raise TypeError(
            f"config={source!r} is of type {type(source).__name__}: use a dictionary, an argparse "
            "namespace, an object with attributes or the path of a YAML file"
        )
    return dict(cast("dict[str, Any]", vars(source)))


# --- files ---------------------------------------------------------------------------------------


def from_yaml_file(name: str | Path) -> dict[str, Any] | None:
    """Return the values in a configuration file; None where the file is empty.

    Each key stands for a mapping with a `value` and perhaps a `desc`; a key `wandb_version`
    must be 1.

    Raises:
        ConfigError: there is no such file, it cannot be read, is no YAML or of another version.
        TypeError: the file, or an entry, is no mapping.
        KeyError: an entry has no `value`.
        ImportError: PyYAML is not installed.
    """
    try:
        with Path(name).open(encoding="utf-8") as file:
            content = _load_yaml(file, str(name))
    except FileNotFoundError:
        raise ConfigError(f"config file {str(name)!r} does not exist") from None
    except OSError as error:
        raise ConfigError(f"config file {str(name)!r} cannot be read: {error}") from error
    if content is None:
        return None
    if not isinstance(content, dict):
        raise TypeError(f"config file {str(name)!r} holds no keys: write `lr: {{value: 0.1}}`")
    entries = cast("dict[str, Any]", content)
    version = entries.pop(_VERSION_KEY, None)
    if version not in (None, _VERSION):
        raise ConfigError(f"config file {str(name)!r}: {_VERSION_KEY} {version!r}: use {_VERSION}")
    return {key: _value_of(entry, key, str(name)) for key, entry in entries.items()}


def _load_yaml(file: TextIO, name: str) -> object:
    try:
        import yaml
        from yaml.parser import ParserError
    except ImportError:
        raise ImportError(f"config file {name!r} needs PyYAML: pip install pyyaml") from None
    try:
        return yaml.safe_load(file)
    except ParserError as error:
        raise ConfigError(f"config file {name!r} is no valid YAML: {error}") from error
    except yaml.YAMLError as error:
        error.add_note(f"in config file {name!r}")
        raise


def _value_of(entry: Any, key: str, name: str) -> Any:
    if not isinstance(entry, dict):
        raise TypeError(
            f"config file {name!r}: {key!r} is {entry!r} and no mapping: write "
            f"`{key}: {{value: {entry!r}}}`"
        )
    if "value" not in entry:
        raise KeyError(f"config file {name!r}: {key!r} has no 'value'")
    return cast("dict[str, Any]", entry)["value"]
