"""`run.config`: a dictionary that guards against silent changes and publishes every change."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping
from typing import Any, cast

from trackd.errors import ConfigError
from trackd.recording.values import to_config

_OWN = ("_items", "_publish", "_locks", "_warn")
Publish = Callable[[dict[str, Any]], None]


def as_mapping(source: Any) -> dict[str, Any]:
    """Return what a `config` argument holds: a mapping, a namespace, an object with fields.

    Raises:
        TypeError: it is nothing of that.
    """
    if source is None:
        return {}
    if isinstance(source, Mapping):
        return dict(cast("Mapping[str, Any]", source))
    if isinstance(source, Config):
        return source.as_dict()
    if hasattr(source, "flag_values_dict"):
        return cast("dict[str, Any]", source.flag_values_dict())
    if hasattr(source, "__dict__"):
        return dict(cast("dict[str, Any]", vars(source)))
    raise TypeError(
        f"config={source!r} is of type {type(source).__name__}: use a dictionary, "
        "an argparse namespace or an object with attributes"
    )


def plain_values(source: Any) -> dict[str, Any]:
    """Return a `config` argument as JSON-like values under clean keys."""
    return {_key(key): to_config(value) for key, value in as_mapping(source).items()}


class Config:
    """Configuration of a run. Items, attributes and `update()` set values.

    A value that is already set may be changed only by `update(..., allow_val_change=True)`.
    """

    __slots__ = _OWN

    _items: dict[str, Any]
    _locks: dict[str, str]
    _publish: Publish
    _warn: Callable[[str], None]

    def __init__(
        self, items: Mapping[str, Any], publish: Publish, warn: Callable[[str], None]
    ) -> None:
        object.__setattr__(self, "_items", dict(items))
        object.__setattr__(self, "_locks", {})
        object.__setattr__(self, "_publish", publish)
        object.__setattr__(self, "_warn", warn)

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __getattr__(self, key: str) -> Any:
        try:
            return self._items[key]
        except KeyError:
            raise AttributeError(f"config has no value {key!r}") from None

    def __setattr__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __repr__(self) -> str:
        return repr(dict(self.items()))

    def keys(self) -> KeysView[str]:
        """Return the names, without those that start with an underscore."""
        return self._visible().keys()

    def items(self) -> ItemsView[str, Any]:
        """Return names and values, without names that start with an underscore."""
        return self._visible().items()

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or the default where there is none."""
        return self._items.get(key, default)

    def as_dict(self) -> dict[str, Any]:
        """Return a copy of all values."""
        return dict(self._items)

    def update(self, values: Any, allow_val_change: bool | None = None) -> None:
        """Set several values.

        Args:
            values: a dictionary, an argparse namespace or an object with attributes.
            allow_val_change: allow other values for keys that are set already.

        Raises:
            ConfigError: a key has another value already.
        """
        changes: dict[str, Any] = {}
        for key, value in plain_values(values).items():
            if key in self._locks:
                self._warn(f"config item {key!r} was locked by {self._locks[key]!r} (ignored)")
                continue
            if key in self._items and self._items[key] != value and not allow_val_change:
                raise ConfigError(
                    f"config: {key!r} is {self._items[key]!r} already and would become {value!r}: "
                    f"use config.update({{{key!r}: ...}}, allow_val_change=True)"
                )
            changes[key] = value
        self._apply(changes)

    def setdefaults(self, values: Any) -> None:
        """Set the values whose keys are missing."""
        missing = {k: v for k, v in plain_values(values).items() if k not in self._items}
        self._apply(missing)

    def update_locked(self, values: Any, user: str) -> None:
        """Set values that later writes cannot change; `user` says who locked them."""
        changes = plain_values(values)
        self._locks.update(dict.fromkeys(changes, user))
        self._apply(changes)

    def _apply(self, changes: dict[str, Any]) -> None:
        if changes:
            self._publish(changes)
            self._items.update(changes)

    def _visible(self) -> dict[str, Any]:
        return {key: value for key, value in self._items.items() if not key.startswith("_")}


class StaticConfig:
    """A read-only snapshot of a configuration."""

    __slots__ = ("_items",)

    _items: dict[str, Any]

    def __init__(self, config: Config) -> None:
        object.__setattr__(self, "_items", config.as_dict())

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __getattr__(self, key: str) -> Any:
        try:
            return self._items[key]
        except KeyError:
            raise AttributeError(f"config has no value {key!r}") from None

    def __setattr__(self, key: str, value: Any) -> None:
        raise AttributeError(f"config_static is read-only: set {key!r} on run.config")

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def keys(self) -> KeysView[str]:
        """Return the names."""
        return self._items.keys()


def _key(key: Any) -> str:
    return str(key).strip("-")
