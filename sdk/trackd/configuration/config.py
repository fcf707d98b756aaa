"""`run.config`: a dictionary that guards against silent changes and publishes every change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from trackd.artifacts.in_config import use_artifacts
from trackd.configuration.sources import RESERVED, parse_config
from trackd.errors import ConfigError
from trackd.recording.row_check import fault
from trackd.recording.values import to_config

_OWN = ("_is_free", "_items", "_locks", "_publish", "_use", "_warn")
Publish = Callable[[dict[str, Any]], None]


def plain_values(source: Any) -> dict[str, Any]:
    """Return a `config` argument as JSON-like values under clean keys."""
    values = parse_config(source)
    use_artifacts(values, None)
    return {clean_key(key): _plain(key, value) for key, value in values.items()}


def _plain(key: Any, value: Any) -> Any:
    try:
        return to_config(value)
    except Exception as error:  # noqa: BLE001 - raised again, with the key
        raise fault(f"config: {key!r}", error) from None


def clean_key(key: Any) -> str:
    """Return a key without dashes at its ends.

    Raises:
        AttributeError: it is no text; the reference's type, which scripts may catch.
    """
    if not isinstance(key, str):
        raise AttributeError(f"config key {key!r} is of type {type(key).__name__}: use a text")  # noqa: TRY004
    return key.strip("-")


class Config:
    """Configuration of a run. Items, attributes and `update()` set values.

    A value that is already set may be changed only by `update(..., allow_val_change=True)`, or in
    a notebook. Changing a nested value in place (`config["net"]["depth"] = 3`) is not seen before
    `persist()`. Names that begin with an underscore are trackd's own.
    """

    __slots__ = _OWN

    _is_free: bool
    _items: dict[str, Any]
    _locks: dict[str, str]
    _publish: Publish
    _warn: Callable[[str], None]

    def __init__(
        self,
        items: Mapping[str, Any],
        publish: Publish,
        warn: Callable[[str], None],
        *,
        locks: Mapping[str, str] | None = None,
        is_free: bool = False,
        use: Callable[[Any], Any] | None = None,
    ) -> None:
        """Begin with values that the run knows already.

        Args:
            items: as `to_config` gives them, in the order of their first mention.
            publish: told every change.
            warn: tells the user something.
            locks: keys that nobody may change, and who says so.
            is_free: values may change unless a call says otherwise, as in notebooks.
            use: lets the run use an artifact that is a value.
        """
        object.__setattr__(self, "_items", dict(items))
        object.__setattr__(self, "_locks", dict(locks or {}))
        object.__setattr__(self, "_is_free", is_free)
        object.__setattr__(self, "_publish", publish)
        object.__setattr__(self, "_warn", warn)
        object.__setattr__(self, "_use", use)

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if not self._is_locked(clean_key(key)):
            self._apply(self._checked({key: value}, None))

    def __getattr__(self, key: str) -> Any:
        try:
            return self._items[key]
        except KeyError:
            raise AttributeError(f"config has no value {key!r}") from None

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __repr__(self) -> str:
        return repr(self.as_dict())

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (self.as_dict(),)  # copies and pickles are plain dictionaries

    def keys(self) -> list[str]:
        """Return the names, without those that begin with an underscore."""
        return [key for key in self._items if not key.startswith("_")]

    def items(self) -> list[tuple[str, Any]]:
        """Return names and values, without names that begin with an underscore."""
        return [(key, self._items[key]) for key in self.keys()]

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or the default where there is none."""
        return self._items.get(key, default)

    def as_dict(self) -> dict[str, Any]:
        """Return the values by name, without names that begin with an underscore."""
        return dict(self.items())

    def update(self, d: Any, allow_val_change: bool | None = None) -> None:
        """Set several values, all or none.

        Args:
            d: dictionary, argparse namespace, absl flags, object with attributes, or path of a
                YAML file.
            allow_val_change: allow other values for keys that are set already.

        Raises:
            ConfigError: a key has another value already, or a file cannot be read.
            TypeError: a value has no place in a configuration.
            UsageError: the run is finished.
        """
        values = parse_config(d)
        open_ = {key: value for key, value in values.items() if not self._is_locked(key)}
        self._apply(self._checked(open_, allow_val_change))

    def setdefaults(self, d: Any) -> None:
        """Set the values whose keys are missing; accepts what `update` accepts."""
        missing = {k: v for k, v in parse_config(d).items() if k not in self._items}
        self._apply(self._checked(missing, None))

    def update_locked(
        self, d: Mapping[str, Any], user: str | None = None, _allow_val_change: bool | None = None
    ) -> None:
        """Set values that later writes cannot change.

        Args:
            d: values by name.
            user: who locks them, for people.
            _allow_val_change: allow other values for keys that are set already.

        Raises:
            ConfigError: a key has another value already.
        """
        self._apply(self._locked(d, user, _allow_val_change))

    def merge_locked(
        self, d: Mapping[str, Any], user: str | None = None, _allow_val_change: bool | None = None
    ) -> None:
        """Merge values, nested ones too, that later writes cannot change.

        Args:
            d: values by name.
            user: who locks them, for people.
            _allow_val_change: allow other values for keys that are set already.

        Raises:
            ConfigError: a key has another value already.
        """
        changes = self._locked(d, user, _allow_val_change)
        self._apply({key: merged(self._items.get(key), new) for key, new in changes.items()})

    def persist(self) -> None:
        """Record all values as they are now, with what was changed in place."""
        self._publish({key: value for key, value in self._items.items() if key != RESERVED})

    def _is_locked(self, key: str) -> bool:
        if key not in self._locks:
            return False
        self._warn(f"config item {key!r} was locked by {self._locks[key]!r} (ignored)")
        return True

    def _locked(
        self, d: Mapping[str, Any], user: str | None, allow_val_change: bool | None
    ) -> dict[str, Any]:
        """Return the changes that values mean, with their keys locked from now on."""
        changes = self._checked(d, allow_val_change)
        self._locks.update(dict.fromkeys(changes, str(user)))
        return changes

    def _checked(self, values: Mapping[str, Any], allow_val_change: bool | None) -> dict[str, Any]:
        may_change = self._is_free if allow_val_change is None else allow_val_change
        used = use_artifacts(values, self._use)
        changes = plain_values({key: value for key, value in values.items() if key not in used})
        changes |= {clean_key(key): artifact for key, artifact in used.items()}
        for key, value in changes.items():
            if not may_change and key in self._items and self._items[key] != value:
                raise ConfigError(
                    f"config: {key!r} is {self._items[key]!r} already and would become {value!r}: "
                    f"use config.update({{{key!r}: ...}}, allow_val_change=True)"
                )
        return changes

    def _apply(self, changes: dict[str, Any]) -> None:
        self._publish(changes)
        self._items.update(changes)


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

    def __setitem__(self, key: str, value: Any) -> None:
        raise AttributeError(f"config_static is read-only: set {key!r} on run.config")

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __repr__(self) -> str:
        return repr(self._items)

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (self._items,)  # copies and pickles are plain dictionaries

    def keys(self) -> list[str]:
        """Return the names."""
        return list(self._items)


def merged(old: Any, new: Any) -> Any:
    """Return a value with another one merged into it, mapping by mapping."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    below = cast("dict[str, Any]", old)
    parts = cast("dict[str, Any]", new).items()
    return {**below, **{key: merged(below.get(key), value) for key, value in parts}}
