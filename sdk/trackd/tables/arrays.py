"""Columns of arrays: short vectors stay in the rows, all others go into a file of numpy."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from trackd import libraries
from trackd.artifacts.hashing import hex_digest
from trackd.tables.column_types import ColumnType, ListType, NDArrayType, NumberType, UnionType

if TYPE_CHECKING:
    from trackd.artifacts import Artifact
    from trackd.tables.rows import TableRows
    from trackd.tables.schema import Schema

#: Vectors of at most so many elements are taken for embeddings.
MAX_EMBEDDING_ELEMENTS = 150
_FOLDER = "media/serialized_data"
_HASH_CHARACTERS = 20


def store_arrays(table: TableRows, schema: Schema, artifact: Artifact) -> set[int]:
    """Put the arrays of a table into an artifact; their types say where they are.

    Returns:
        The numbers of the columns whose cells are to be left out.

    Raises:
        ValueError: the arrays of a column cannot be stacked, for one is missing.
    """
    left_out: set[int] = set()
    for index, column in enumerate(table.columns):
        array = _array_type(schema[column])
        if array is None:
            continue
        if len(array.shape) == 1 and array.shape[0] <= MAX_EMBEDDING_ELEMENTS:
            schema[column] = ListType(NumberType(), array.shape[0])
            continue
        path = _store(str(column), table.get_column(column, convert_to="numpy"), artifact)
        stored = NDArrayType(array.shape, {"path": path, "key": str(column)})
        schema[column] = _replaced(schema[column], stored)
        left_out.add(index)
    return left_out


def to_numpy(values: list[Any]) -> Any:
    """Return the values of a column as an array; media as the numbers they show."""
    np = libraries.load("numpy", "Table.get_column(convert_to='numpy')", "numpy")
    return np.array([_numbers(value) for value in values])


def _numbers(value: Any) -> Any:
    return value.to_data_array() if hasattr(value, "to_data_array") else value


def _array_type(type_: ColumnType) -> NDArrayType | None:
    parts = type_.alternatives if isinstance(type_, UnionType) else [type_]
    return next((part for part in reversed(parts) if isinstance(part, NDArrayType)), None)


def _replaced(type_: ColumnType, array: NDArrayType) -> ColumnType:
    if not isinstance(type_, UnionType):
        return array
    return UnionType(array if isinstance(one, NDArrayType) else one for one in type_.alternatives)


def _store(key: str, values: Any, artifact: Artifact) -> str:
    np = libraries.load("numpy", "Table", "numpy")
    out = io.BytesIO()
    np.savez_compressed(out, **{key: values})
    data = out.getvalue()
    digest = hex_digest(data, artifact.manifest.algorithm)
    path = f"{_FOLDER}/{digest[:_HASH_CHARACTERS]}.npz"
    with artifact.new_file(path, mode="wb") as file:
        file.write(data)
    return path
