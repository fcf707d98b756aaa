"""One field of `Settings`: its default, its rule, what it is for, and whether it does anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd.settings.rules import Rule


class Holder(Protocol):
    """What keeps the values of fields: an instance of `Settings`."""

    def value_of(self, field: Field) -> Any:
        """Return a value, or the default."""
        ...

    def set_value(self, field: Field, value: Any) -> None:
        """Check and keep a value."""
        ...


class Field:
    """A descriptor: reading gives the value or the default, assigning checks and keeps.

    `help(trackd.Settings)` shows each with its description.
    """

    def __init__(
        self,
        default: Any,
        rule: Rule,
        doc: str,
        env: tuple[str, ...],
        factory: Callable[[], Any] | None,
    ) -> None:
        self.name = ""
        self.rule = rule
        #: Endings of environment variables that replace the usual one, or whole names.
        self.env = env
        self.factory = factory
        #: Why the field is accepted and has no effect; empty: it has one.
        self.inert = ""
        #: What to use in its place; empty: the field is not deprecated.
        self.deprecated = ""
        #: Whether the value is to be shown to nobody.
        self.is_secret = False
        #: Whether the agent acts on it: it travels in the first record of the run.
        self.for_agent = False
        #: Whether None is a value.
        self.is_optional = default is None and factory is None
        self._default = default
        self.__doc__ = doc

    @property
    def default(self) -> Any:
        """The value where none was given."""
        return self.factory() if self.factory is not None else self._default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, holder: Holder | None, owner: type) -> Any:
        return self if holder is None else holder.value_of(self)

    def __set__(self, holder: Holder, value: Any) -> None:
        holder.set_value(self, value)


def setting(
    default: Any, rule: Rule, doc: str, *env: str, factory: Callable[[], Any] | None = None
) -> Any:
    """Return a field that is honoured in this process.

    Args:
        default: its value where none is given; None stands for "not set".
        rule: converts and checks what is given.
        doc: what it is for, with units.
        env: endings of environment variables that replace the usual one, or whole names.
        factory: returns the default, where it depends on the process.
    """
    return Field(default, rule, doc, env, factory)


def agent_setting(
    default: Any, rule: Rule, doc: str, *env: str, factory: Callable[[], Any] | None = None
) -> Any:
    """Return a field that the agent acts on; arguments as for `setting`."""
    field = Field(default, rule, doc, env, factory)
    field.for_agent = True
    return field


def inert_setting(default: Any, rule: Rule, why: str, *env: str) -> Any:
    """Return a field that scripts for wandb may set and that changes nothing here; say why."""
    field = Field(default, rule, f"Accepted, has no effect: {why}.", env, None)
    field.inert = why
    return field


def deprecated_setting(rule: Rule, instead: str, *, for_agent: bool = False) -> Any:
    """Return a field that nobody should set any more; it is read, with one warning."""
    field = Field(None, rule, f"Deprecated: {instead}.", (), None)
    field.deprecated = instead
    field.for_agent = for_agent
    return field


def optional(field: Any) -> Any:
    """Let None be a value of a field that has another default."""
    field.is_optional = True
    return field


def secret(field: Any) -> Any:
    """Let nobody see the value of a field."""
    field.is_secret = True
    return field
