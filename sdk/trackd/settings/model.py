"""`Settings`: everything that can be set for a run, one descriptor a field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd.settings.computed import Addresses, Circumstances, Folders
from trackd.settings.field import Field
from trackd.settings.node_fields import (
    ProcessFields,
    ServerFields,
    UploadFields,
    WaitingFields,
)
from trackd.settings.rules import fault
from trackd.settings.run_fields import CodeFields, IdentityFields, OutputFields, PlaceFields

if TYPE_CHECKING:
    from collections.abc import Mapping

_GROUPS = (
    *(IdentityFields, ServerFields, PlaceFields, CodeFields, OutputFields),
    *(WaitingFields, ProcessFields, UploadFields),
)
#: All fields by name, by subject.
FIELDS: dict[str, Field] = {
    name: field for group in _GROUPS for name, field in vars(group).items() if type(field) is Field
}
_ALIASES = {"x_primary_node": "x_primary"}
#: At most one of these may be set: they say what an earlier run means.
_CONTINUATIONS = ("resume", "resume_from", "fork_from")


class Settings(
    IdentityFields,
    ServerFields,
    PlaceFields,
    CodeFields,
    OutputFields,
    WaitingFields,
    ProcessFields,
    UploadFields,
    Folders,
    Addresses,
    Circumstances,
):
    """Everything that can be set for a run.

    `None` means "not set". A field `name` is read from `TRACKD_NAME` (or `WANDB_NAME`; ours
    wins); a field `x_name` also from `TRACKD__NAME`. Assignments are validated. A field that
    scripts for wandb set and that changes nothing here says so in its description.

    Raises:
        ValueError: an unknown name, or a refused value; the message says what is accepted.
        UsageError: a refused `project`, `run_id`, `sweep_id`, `api_key`,
            `x_stats_sampling_interval` or `x_service_wait`.
    """

    __slots__ = ("_values", "run_dir")

    _values: dict[str, Any]
    #: Folder of the run, once `init` has chosen it; empty before.
    run_dir: str

    def __init__(self, **values: Any) -> None:
        object.__setattr__(self, "_values", {})
        object.__setattr__(self, "run_dir", "")
        # Only what belongs together whatever the order: the id of a run may come later.
        for name, value in values.items():
            field = FIELDS[canonical(name)]
            self._values[field.name] = _checked(field, value)
        self._refuse_contradictions()

    def __setattr__(self, name: str, value: Any) -> None:
        known = hasattr(type(self), name)  # computed ones refuse with Python's own words
        object.__setattr__(self, name if known else canonical(name), value)

    def value_of(self, field: Field) -> Any:
        """Return a value, or the default."""
        try:
            return self._values[field.name]
        except KeyError:
            return field.default

    def set_value(self, field: Field, value: Any) -> None:
        """Check and keep a value."""
        self._keep({field.name: _checked(field, value)})

    def update(self, values: Mapping[str, Any] | Settings) -> None:
        """Take over values, all or none; `None` never overwrites.

        Raises:
            ValueError: an unknown name or a refused value.
        """
        if isinstance(values, Settings):
            values = values.given()
        names = {canonical(name): value for name, value in values.items()}
        self._keep(
            {n: _checked(FIELDS[n], value) for n, value in names.items() if value is not None}
        )

    def given(self) -> dict[str, Any]:
        """Return the values that were set, as opposed to left at their default."""
        return dict(self._values)

    def as_dict(self) -> dict[str, Any]:
        """Return all values by name."""
        return {name: self.value_of(field) for name, field in FIELDS.items()}

    def copy(self) -> Settings:
        """Return an independent copy."""
        twin = Settings()
        twin._values.update(self._values)
        twin.run_dir = self.run_dir
        return twin

    def __copy__(self) -> Settings:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Settings:
        del memo  # values are never changed in place
        return self.copy()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Settings):
            return NotImplemented
        return self.as_dict() == other.as_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = (f"{n}={shown_value(FIELDS[n], value)}" for n, value in self._values.items())
        return f"Settings({', '.join(shown)})"

    def _keep(self, changes: dict[str, Any]) -> None:
        before = self._values
        object.__setattr__(self, "_values", before | changes)
        try:
            self._refuse_contradictions()
            if not changes.keys().isdisjoint(("resume_from", "fork_from")):
                self._refuse_wrong_moment()
        except ValueError:
            object.__setattr__(self, "_values", before)
            raise

    def _refuse_contradictions(self) -> None:
        values = self._values
        chosen = [name for name in _CONTINUATIONS if values.get(name) is not None]
        if len(chosen) > 1:
            raise ValueError(
                f"settings {' and '.join(map(repr, chosen))} exclude each other: use one of them"
            )
        if values.get("x_skip_transaction_log") and values.get("mode") == "offline":
            raise fault("x_skip_transaction_log", True, "an offline run is nothing but its journal")

    def _refuse_wrong_moment(self) -> None:
        run_id, back, fork = self.run_id, self.resume_from, self.fork_from
        if back and run_id is not None and run_id != back.run:
            raise fault(
                *("resume_from", back, f"run_id={run_id!r} is another run: leave out one of them")
            )
        if fork and run_id is not None and run_id == fork.run:
            raise fault(
                "fork_from", fork, "it is the run itself: use another run_id, or resume_from"
            )


def _checked(field: Field, value: Any) -> Any:
    if value is not None:
        return field.rule(field.name, value)
    if not field.is_optional:
        raise fault(field.name, None, f"it needs a value; its default is {field.default!r}")
    return None


def shown_value(field: Field, value: Any) -> str:
    """Return a value for people; secrets are masked."""
    return "'********'" if field.is_secret and value else repr(value)


def canonical(name: str) -> str:
    """Return the field that a name means.

    Raises:
        ValueError: there is none.
    """
    if name in FIELDS:
        return name
    if name in _ALIASES:
        return _ALIASES[name]
    if name.startswith("_") and f"x{name}" in FIELDS:
        return f"x{name}"
    import difflib  # only for the message

    near = difflib.get_close_matches(name, FIELDS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "see help(trackd.Settings) for the list"
    raise ValueError(f"setting {name!r} does not exist: {hint}")
