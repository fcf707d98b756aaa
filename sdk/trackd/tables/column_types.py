"""Types of columns: inferred from values, narrowed or widened by the next ones, written as JSON.

A type never changes: taking a value gives the type that follows from it, which is the same object
when nothing new was learned, and `INVALID` when the value does not fit. Alternatives of a union
stand sorted by their text, and that text is thereby part of the format.
"""

from __future__ import annotations

import datetime
import functools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from trackd.recording.values import KNOWN_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trackd.artifacts import Artifact

ARTIFACT_SCHEME = "wandb-artifact://"


class ColumnType:
    """What values a column takes.

    Attributes:
        name: `wb_type` in JSON.
    """

    name: str = ""

    def params(self) -> dict[str, Any]:
        """Return what further describes the type."""
        return {}

    def take(self, value: Any) -> ColumnType:
        """Return the type that follows from a value; `INVALID` when it does not fit."""
        return self.take_type(type_of(value))

    def take_type(self, other: ColumnType) -> ColumnType:
        """Return the type that follows from values of another type."""
        same = isinstance(other, type(self)) and self.params() == other.params()
        return self if same else INVALID

    def to_json(self, artifact: Artifact) -> dict[str, Any]:
        """Return the JSON form; tables and classes that it refers to go into the artifact."""
        params = self.params()
        form: dict[str, Any] = {"wb_type": self.name}
        if params:
            form["params"] = _params_json(params, artifact)
        return form

    def __repr__(self) -> str:
        params = self.params()
        name = self.name.capitalize()
        if not params:
            return name
        return f"{name}({', '.join(f'{key}:{value}' for key, value in params.items())})"

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, ColumnType)
            and self.name == other.name
            and self.params() == other.params()
        )

    def __hash__(self) -> int:
        return hash(repr(self))


class InvalidType(ColumnType):
    """Nothing fits; also what a list of unlike values holds."""

    name = "invalid"

    def take_type(self, other: ColumnType) -> ColumnType:
        """Return itself."""
        del other
        return self


class AnyType(ColumnType):
    """Everything fits, except None."""

    name = "any"

    def take_type(self, other: ColumnType) -> ColumnType:
        """Return itself, or `INVALID` for None."""
        return INVALID if isinstance(other, NoneType | InvalidType) else self


class UnknownType(ColumnType):
    """No value came yet: the first one that is not None decides."""

    name = "unknown"

    def take_type(self, other: ColumnType) -> ColumnType:
        """Return the other type."""
        return INVALID if isinstance(other, NoneType) else other


class NoneType(ColumnType):
    """None, and NaN that is not from numpy."""

    name = "none"


class StringType(ColumnType):
    """Text."""

    name = "string"


class NumberType(ColumnType):
    """Integers, floats and numbers of numpy."""

    name = "number"


class TimestampType(ColumnType):
    """Dates and times."""

    name = "timestamp"


class BooleanType(ColumnType):
    """True and False."""

    name = "boolean"


class ArtifactVersionType(ColumnType):
    """Artifacts, and their links as text."""

    name = "artifactVersion"


class PythonObjectType(ColumnType):
    """Anything else, by the name of its class."""

    name = "pythonObject"

    def __init__(self, class_name: str) -> None:
        self.class_name = class_name

    def params(self) -> dict[str, Any]:
        """Return the name of the class."""
        return {"class_name": self.class_name}


class MediaType(ColumnType):
    """Media of one class, or another value that says of itself what it is."""

    def __init__(self, name: str) -> None:
        self.name = name

    def take_type(self, other: ColumnType) -> ColumnType:
        """Return itself for the same kind."""
        return self if isinstance(other, MediaType) and other.name == self.name else INVALID


class ConstType(ColumnType):
    """One value alone, or one set."""

    name = "const"

    def __init__(self, value: Any) -> None:
        self.is_set = isinstance(value, set)
        self.value = value

    def params(self) -> dict[str, Any]:
        """Return the value."""
        return {"val": self.value, "is_set": self.is_set}

    def take(self, value: Any) -> ColumnType:
        """Compare with a value."""
        return self.take_type(ConstType(value))

    def __repr__(self) -> str:
        return str(self.value)


class UnionType(ColumnType):
    """One of several types."""

    name = "union"

    def __init__(self, alternatives: Iterable[ColumnType] = ()) -> None:
        self.alternatives: list[ColumnType] = sorted(_flat(alternatives), key=str)

    def params(self) -> dict[str, Any]:
        """Return the alternatives."""
        return {"allowed_types": self.alternatives}

    def take(self, value: Any) -> ColumnType:
        """Let the first alternative that can take the value."""
        return self._first(lambda one: one.take(value), lambda: type_of(value))

    def take_type(self, other: ColumnType) -> ColumnType:
        """Take a type, or every alternative of another union."""
        if not isinstance(other, UnionType):
            return self._first(lambda one: one.take_type(other), lambda: other)
        result: ColumnType = self
        for part in other.alternatives:
            result = result.take_type(part)
            if result is INVALID:
                break
        return result

    def _first(
        self, take: Callable[[ColumnType], ColumnType], guess: Callable[[], ColumnType]
    ) -> ColumnType:
        unknown = -1
        for index, one in enumerate(self.alternatives):
            if isinstance(one, UnknownType):
                unknown = index
                continue
            taken = take(one)
            if taken is one:
                return self
            if taken is not INVALID:
                return self._replaced(index, taken)
        if unknown < 0:
            return INVALID
        guessed = UNKNOWN.take_type(guess())
        return INVALID if guessed is INVALID else self._replaced(unknown, guessed)

    def _replaced(self, index: int, one: ColumnType) -> UnionType:
        return UnionType([*self.alternatives[:index], one, *self.alternatives[index + 1 :]])

    def __repr__(self) -> str:
        return " or ".join(map(str, self.alternatives))


class ListType(ColumnType):
    """Lists of one type."""

    name = "list"

    def __init__(self, element: ColumnType | None = None, length: int | None = None) -> None:
        self.element = UNKNOWN if element is None else element
        self.length = length

    @classmethod
    def of(cls, value: Iterable[Any]) -> ListType:
        """Return the type of a list, whose element type is `INVALID` when they are unlike."""
        items = list(value)
        holds_none = any(item is None for item in items)
        element: ColumnType = UnionType([UNKNOWN, NONE]) if holds_none else UNKNOWN
        for item in items:
            element = element.take(item)
        return cls(element, len(items))

    def params(self) -> dict[str, Any]:
        """Return type and number of the elements."""
        return {"element_type": self.element, "length": self.length}

    def take(self, value: Any) -> ColumnType:
        """Take every element of anything that can be iterated."""
        if not hasattr(value, "__iter__"):
            return INVALID
        items = list(value)
        element = self.element
        for item in items:
            element = element.take(item)
            if element is INVALID:
                return INVALID
        return self._with(element, len(items))

    def take_type(self, other: ColumnType) -> ColumnType:
        """Take another list; the length stays only when it is the same."""
        if not isinstance(other, ListType):
            return INVALID
        element = self.element.take_type(other.element)
        if element is INVALID:
            return INVALID
        return self._with(element, self.length if self.length == other.length else None)

    def _with(self, element: ColumnType, length: int | None) -> ListType:
        same = element is self.element and length == self.length
        return self if same else ListType(element, length)

    def __repr__(self) -> str:
        return f"{self.element}[]"


class NDArrayType(ColumnType):
    """Arrays of numpy of one shape."""

    name = "ndarray"

    def __init__(self, shape: Sequence[int], stored_at: dict[str, str] | None = None) -> None:
        self.shape = list(shape)
        #: Where in the artifact the arrays of the column are: path of the file, key in it.
        self.stored_at = stored_at

    @classmethod
    def of(cls, value: Any) -> NDArrayType:
        """Return the type of an array, or of nested lists by their first elements."""
        if not isinstance(value, list):
            return cls(value.shape)
        shape: list[int] = []
        part: Any = cast("list[Any]", value)
        while isinstance(part, list):
            nested = cast("list[Any]", part)
            shape.append(len(nested))
            if not nested:
                break
            part = nested[0]
        return cls(shape)

    def params(self) -> dict[str, Any]:
        """Return the shape."""
        return {"shape": self.shape}

    def take(self, value: Any) -> ColumnType:
        """Take an array or list of the same shape."""
        fits = is_array(value) or isinstance(value, list)
        return self.take_type(NDArrayType.of(value)) if fits else INVALID

    def take_type(self, other: ColumnType) -> ColumnType:
        """Take arrays of the same shape, and lists."""
        same = isinstance(other, NDArrayType) and other.shape == self.shape
        return self if same or isinstance(other, ListType) else INVALID

    def to_json(self, artifact: Artifact) -> dict[str, Any]:
        """Return the JSON form, with the place of the arrays."""
        del artifact
        return {
            "wb_type": self.name,
            "params": {"shape": self.shape, "serialization_path": self.stored_at},
        }


class TypedDictType(ColumnType):
    """Dictionaries with known keys."""

    name = "typedDict"

    def __init__(self, types: Mapping[Any, ColumnType] | None = None) -> None:
        self.types: dict[Any, ColumnType] = dict(types or {})

    def params(self) -> dict[str, Any]:
        """Return the types by key."""
        return {"type_map": self.types}

    def take(self, value: Any) -> ColumnType:
        """Take a dictionary without other keys; a missing one counts as None."""
        if not isinstance(value, dict):
            return INVALID
        given = cast("dict[Any, Any]", value)
        if not given.keys() <= self.types.keys():
            return INVALID
        return self._each(lambda key, one: one.take(given.get(key)))

    def take_type(self, other: ColumnType) -> ColumnType:
        """Take another such type without other keys."""
        if not isinstance(other, TypedDictType) or not other.types.keys() <= self.types.keys():
            return INVALID
        return self._each(lambda key, one: one.take_type(other.types.get(key, UNKNOWN)))

    def _each(self, take: Callable[[Any, ColumnType], ColumnType]) -> ColumnType:
        types: dict[Any, ColumnType] = {}
        for key, one in self.types.items():
            types[key] = take(key, one)
            if types[key] is INVALID:
                return INVALID
        same = all(types[key] is one for key, one in self.types.items())
        return self if same else TypedDictType(types)

    def __repr__(self) -> str:
        return str(self.types)


INVALID = InvalidType()
ANY = AnyType()
UNKNOWN = UnknownType()
NONE = NoneType()
_STRING = StringType()
_NUMBER = NumberType()
_TIMESTAMP = TimestampType()
_BOOLEAN = BooleanType()
_ARTIFACT_VERSION = ArtifactVersionType()


def optional(type_: ColumnType) -> UnionType:
    """Return the type, or None."""
    return UnionType([type_, NONE])


def type_of(value: Any) -> ColumnType:
    """Return the type of a value."""
    return _rule(value.__class__)(value)


def is_array(value: Any) -> bool:
    """Say whether a value is an array of numpy, without importing numpy."""
    return any(is_numpy(base, "ndarray") for base in type(value).__mro__)


def is_artifact_link(value: str) -> bool:
    """Say whether a text is a link to an artifact."""
    return value.startswith(ARTIFACT_SCHEME)


_Rule = Callable[[Any], ColumnType]


@functools.lru_cache(KNOWN_TYPES)
def _rule(kind: type[Any]) -> _Rule:
    """Return how the type of values of exactly this class is found."""
    if kind in _BY_CLASS:
        return _BY_CLASS[kind]
    if hasattr(kind, "column_type"):
        return lambda value: value.column_type()
    if getattr(kind, "log_type", None) == _IMAGE:
        from trackd.tables.image_type import ImageType  # which derives from the types here

        return ImageType.of
    if (media := media_type(kind)) is not None:
        return _always(media)
    if is_numpy(kind, "ndarray"):
        return NDArrayType.of
    if (found := numpy_scalar_type(kind)) is not None:
        return _always(found)
    if any(f"{base.__module__}.{base.__name__}" == _ARTIFACT for base in kind.__mro__):
        return _always(_ARTIFACT_VERSION)
    return _always(PythonObjectType(kind.__name__))


def media_type(kind: type[Any]) -> ColumnType | None:
    """Return the type of a class of media that has one for all its values."""
    log_type = getattr(kind, "log_type", None)
    return MediaType(log_type) if log_type in _MEDIA else None


def _always(type_: ColumnType) -> _Rule:
    return lambda _: type_


def is_numpy(kind: type[Any], name: str) -> bool:
    """Say whether a class is the one of that name in numpy, without importing numpy."""
    return kind.__module__ == "numpy" and kind.__name__ == name


def numpy_scalar_type(kind: type[Any]) -> ColumnType | None:
    """Return the type of a scalar class of numpy that has one."""
    if kind.__module__ != "numpy":
        return None
    if kind.__name__ in ("bool", "bool_"):
        return _BOOLEAN
    if kind.__name__ == "datetime64":
        return _TIMESTAMP
    is_number = any(is_numpy(base, "number") for base in kind.__mro__)
    return _NUMBER if is_number and kind.__name__ != "timedelta64" else None


def _type_of_dict(value: dict[Any, Any]) -> ColumnType:
    if value.get("_type") == ArtifactVersionType.name:
        return _ARTIFACT_VERSION
    return TypedDictType({key: type_of(item) for key, item in value.items()})


_ARTIFACT = "trackd.artifacts.artifact.Artifact"
_IMAGE = "image-file"
_MEDIA = frozenset(
    {"audio-file", "video-file", "html-file", "object3D-file", "bokeh-file"}
    | {"joined-table", "partitioned-table"}
)
#: Types of all values of a class, but for links to artifacts and NaN.
SIMPLE: dict[type[Any], ColumnType] = {
    type(None): NONE,
    str: _STRING,
    int: _NUMBER,
    float: _NUMBER,
    bool: _BOOLEAN,
    datetime.datetime: _TIMESTAMP,
    datetime.date: _TIMESTAMP,
}
_BY_CLASS: dict[type[Any], _Rule] = {
    **{kind: _always(type_) for kind, type_ in SIMPLE.items()},
    str: lambda value: _ARTIFACT_VERSION if is_artifact_link(value) else _STRING,
    float: lambda value: NONE if math.isnan(value) else _NUMBER,
    list: ListType.of,
    tuple: ListType.of,
    set: ListType.of,
    frozenset: ListType.of,
    dict: _type_of_dict,
}


def _flat(types: Iterable[ColumnType]) -> list[ColumnType]:
    return [
        one
        for type_ in types
        for one in (type_.alternatives if isinstance(type_, UnionType) else [type_])
    ]


def _params_json(value: Any, artifact: Artifact) -> Any:
    if isinstance(value, ColumnType):
        return value.to_json(artifact)
    if isinstance(value, dict):
        given = cast("dict[Any, Any]", value)
        return {key: _params_json(item, artifact) for key, item in given.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_params_json(item, artifact) for item in cast("list[Any]", value)]
    return value
