"""Tables read back from artifacts: the types of their columns, and their rows."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any, cast

from trackd import libraries
from trackd.artifacts.notices import warn
from trackd.media.classes import Classes
from trackd.remote.answers import part
from trackd.tables import column_types as types
from trackd.tables.image_type import ClassesIdType, ImageType, Layers
from trackd.tables.keys import ForeignIndexType, ForeignKeyType, PrimaryKeyType
from trackd.tables.rows import TableRows
from trackd.tables.table_type import TableType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trackd.artifacts.online.values import Source

_TABLE_ENDING = ".table.json"
_SIMPLE: dict[str, Callable[[], types.ColumnType]] = {
    "invalid": types.InvalidType,
    "any": types.AnyType,
    "unknown": types.UnknownType,
    "none": types.NoneType,
    "string": types.StringType,
    "number": types.NumberType,
    "timestamp": types.TimestampType,
    "boolean": types.BooleanType,
    "artifactVersion": types.ArtifactVersionType,
    "primaryKey": PrimaryKeyType,
    "table": TableType,
}


def type_of_json(form: dict[str, Any], source: Source) -> types.ColumnType:
    """Return the type of a column from its JSON.

    Args:
        form: with `wb_type` and `params`.
        source: the artifact, which holds tables and classes that the type names.

    Raises:
        ValueError: what it names is not in the artifact.
    """
    name: str = form["wb_type"]
    params: dict[str, Any] = form.get("params") or {}
    if name in _SIMPLE:
        return _SIMPLE[name]()
    reader = _READERS.get(name)
    return types.MediaType(name) if reader is None else reader(params, source)


def _union(params: dict[str, Any], source: Source) -> types.ColumnType:
    return types.UnionType(type_of_json(one, source) for one in params["allowed_types"])


def _list(params: dict[str, Any], source: Source) -> types.ColumnType:
    return types.ListType(type_of_json(params["element_type"], source), params.get("length"))


def _typed_dict(params: dict[str, Any], source: Source) -> types.ColumnType:
    found = params["type_map"]
    return types.TypedDictType({key: type_of_json(one, source) for key, one in found.items()})


def _array(params: dict[str, Any], _source: Source) -> types.ColumnType:
    return types.NDArrayType(params["shape"], params.get("serialization_path"))


def _const(params: dict[str, Any], _source: Source) -> types.ColumnType:
    value = params["val"]
    return types.ConstType(set(value) if params.get("is_set") else value)


def _object(params: dict[str, Any], _source: Source) -> types.ColumnType:
    return types.PythonObjectType(params["class_name"])


def _image(params: dict[str, Any], _source: Source) -> types.ColumnType:
    def value(name: str) -> Any:
        return part(params, name, "params", "val") or {}

    layers = Layers(
        boxes={key: set(ids) for key, ids in value("box_layers").items()},
        scores=set(value("box_score_keys")),
        masks={key: set(ids) for key, ids in value("mask_layers").items()},
        box_names=value("box_class_maps"),
        mask_names=value("mask_class_maps"),
        names=value("class_map"),
    )
    return ImageType(layers)


def _classes_id(params: dict[str, Any], source: Source) -> types.ColumnType:
    form = params["classes_obj"]
    if form.get("type") != "classes-file":
        return ClassesIdType(Classes.from_artifact(form, source))
    found = source.value(form["path"])
    if not isinstance(found, Classes):
        raise ValueError(  # noqa: TRY004 - the artifact is wrong
            f"the classes of a column, {form['path']!r}, are not in the artifact"
        )
    return ClassesIdType(found)


def _foreign_key(params: dict[str, Any], source: Source) -> types.ColumnType:
    return ForeignKeyType(_other_table(params, source), params["col_name"])


def _foreign_index(params: dict[str, Any], source: Source) -> types.ColumnType:
    return ForeignIndexType(_other_table(params, source))


def _other_table(params: dict[str, Any], source: Source) -> TableRows:
    found = source.value(params["table"])
    if not isinstance(found, TableRows):
        raise ValueError(  # noqa: TRY004 - the artifact is wrong
            f"table {params['table']!r}, whose keys a column holds, is not there"
        )
    return found


_READERS: dict[str, Callable[[dict[str, Any], Source], types.ColumnType]] = {
    "union": _union,
    "list": _list,
    "typedDict": _typed_dict,
    "ndarray": _array,
    "const": _const,
    "pythonObject": _object,
    "image-file": _image,
    "classesId": _classes_id,
    "foreignKey": _foreign_key,
    "foreignIndex": _foreign_index,
}


# --- rows ----------------------------------------------------------------------------------------


def content_of(
    form: dict[str, Any], source: Source
) -> tuple[list[Any], dict[Any, types.ColumnType], list[list[Any]]]:
    """Return the columns of a table, the types of those that have one, and the rows.

    Raises:
        ValueError: a type, a cell or a file is damaged.
    """
    columns: list[Any] = form["columns"]
    forms: dict[str, Any] = part(form, "column_types", "params", "type_map") or {}
    by_column = {
        column: type_of_json(forms[str(column)], source)
        for column in columns
        if str(column) in forms
    }
    return columns, by_column, rows_of(form, by_column, source)


def rows_of(
    form: dict[str, Any], by_column: dict[Any, types.ColumnType], source: Source
) -> list[list[Any]]:
    """Return the rows of a table: times, arrays and media as values again.

    Args:
        form: JSON of the table.
        by_column: types of its columns; those of arrays forget where they were stored.
        source: the artifact.

    Raises:
        ValueError: a cell or a file is damaged.
    """
    is_incremental = form.get("log_mode") == "INCREMENTAL"
    stored = _increments(source) if is_incremental else form["data"]
    columns: list[Any] = form["columns"]
    readers: dict[int, Callable[[int, Any], Any]] = {}
    for index, column in enumerate(columns):
        parts = _parts(by_column.get(column))
        array = next((one for one in parts if isinstance(one, types.NDArrayType)), None)
        if array is not None and array.stored_at:
            readers[index] = _array_reader(array, source)
        elif any(isinstance(one, types.TimestampType) for one in parts):
            readers[index] = _time

    def cell(row: int, index: int, value: Any) -> Any:
        if reader := readers.get(index):
            return reader(row, value)
        if isinstance(value, dict) and "_type" in value:
            media = cast("dict[str, Any]", value)
            return source.of_json(media) if source.knows(media["_type"]) else media
        return cast("Any", value)

    return [
        [cell(number, index, value) for index, value in enumerate(row)]
        for number, row in enumerate(stored)
    ]


def _parts(type_: types.ColumnType | None) -> list[types.ColumnType]:
    if type_ is None:
        return []
    return type_.alternatives if isinstance(type_, types.UnionType) else [type_]


def _time(_row: int, value: Any) -> Any:
    if not isinstance(value, int | float):
        return value
    return datetime.datetime.fromtimestamp(value / 1000, tz=datetime.UTC)


def _array_reader(array: types.NDArrayType, source: Source) -> Callable[[int, Any], Any]:
    np = libraries.load("numpy", "a Table with arrays", "numpy")
    place = array.stored_at or {}
    values = np.load(source.file(place["path"]))[place["key"]]
    array.stored_at = None
    return lambda row, _value: values[row]


def _increments(source: Source) -> Iterable[Any]:
    """Yield the rows of all increments, in the order in which they were logged."""
    artifact = source.artifact
    if "latest" not in artifact.aliases:
        warn("an incremental table is whole and in order in its latest version only: get that one")
    names = [path for path in artifact.manifest.entries if path.endswith(_TABLE_ENDING)]
    for name in sorted(names, key=_order):
        try:
            yield from json.loads(source.file(name).read_text(encoding="utf-8"))["data"]
        except (ValueError, KeyError) as error:
            raise ValueError(f"increment {name!r} of a table is damaged: {error}") from error


def _order(name: str) -> tuple[int, int]:
    """Return number and time of an increment: `<number>-<milliseconds>.<key>.table.json`."""
    number, _, time_ms = name.partition(".")[0].partition("-")
    try:
        return int(number), int(time_ms or 0)
    except ValueError:  # the first one is called None; of others nothing is known
        return (0, int(time_ms)) if time_ms.isdigit() else (0, 0)
