"""What columns take: types inferred, given and refused; rows, columns and keys."""

from __future__ import annotations

import datetime
import enum
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackd import Artifact, Error, Image, Table
from trackd.tables.column_types import type_of
from trackd.tables.dtypes import type_from


class Color(enum.Enum):
    RED = 1


def types(table: Table) -> dict[str, str]:
    return {name: str(type_) for name, type_ in by_column(table).items()}


def by_column(table: Table) -> dict[str, Any]:
    return table.column_type().params()["column_types"].params()["type_map"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "None"),
        (float("nan"), "None"),
        (1, "Number"),
        (True, "Boolean"),
        (np.bool_(True), "Boolean"),
        (np.float32(1), "Number"),
        (np.float64("nan"), "Number"),
        ("x", "String"),
        ("wandb-artifact://e/p/a", "Artifactversion"),
        ({"_type": "artifactVersion"}, "Artifactversion"),
        (datetime.date(2024, 1, 2), "Timestamp"),
        (np.datetime64("2024-01-02"), "Timestamp"),
        (np.timedelta64(1, "s"), "Pythonobject(class_name:timedelta64)"),
        (Color.RED, "Pythonobject(class_name:Color)"),
        ([1, None], "None or Number[]"),
        ([1, "x"], "Invalid[]"),
        ({"a": 1}, "{'a': Number}"),
        (np.zeros((2, 3)), "Ndarray(shape:[2, 3])"),
    ],
)
def test_a_value_has_a_type(value: Any, shown: str) -> None:
    assert str(type_of(value)) == shown


@pytest.mark.parametrize(
    ("dtype", "shown"),
    [
        (int, "Number"),
        (float, "Number"),
        (str, "String"),
        (type(None), "None"),
        (datetime.datetime, "Timestamp"),
        (list, "Unknown[]"),
        ([int], "Number[]"),
        ([int, str], "Number or String"),
        (dict, "{}"),
        ({"a": int}, "{'a': Number}"),
        (np.float64, "Number"),
        (Color, "Pythonobject(class_name:Color)"),
        (5, "5"),
    ],
)
def test_a_dtype_means_a_type(dtype: Any, shown: str) -> None:
    assert str(type_from(dtype)) == shown


def test_an_array_without_a_shape_is_no_dtype() -> None:
    with pytest.raises(TypeError, match="tells no shape"):
        type_from(np.ndarray)


def test_the_first_values_decide_what_a_column_takes() -> None:
    table = Table(columns=["a", "b"], data=[[None, 1], ["x", 2]])
    assert types(table) == {"a": "None or String", "b": "None or Number"}
    with pytest.raises(TypeError, match="column 'a' takes None or String and got 3"):
        table.add_data(3, 3)
    assert len(table.data) == 2


def test_a_refused_row_teaches_nothing() -> None:
    table = Table(columns=["a", "b"], data=[[None, 1]])
    with pytest.raises(TypeError, match="'b'"):
        table.add_data("text", "text")
    table.add_data(5, 5)


def test_without_optional_nan_and_none_are_refused_even_after_many_numbers() -> None:
    table = Table(columns=["a"], data=[[1.5]] * 3, optional=False)
    for missing in (None, float("nan")):
        with pytest.raises(TypeError, match="takes Number"):
            table.add_data(missing)


def test_a_link_among_texts_is_refused_even_after_many_texts() -> None:
    table = Table(columns=["a"], data=[["text"]] * 3)
    with pytest.raises(TypeError, match="Artifactversion"):
        table.add_data("wandb-artifact://e/p/a")


def test_a_constant_column_looks_at_every_value() -> None:
    table = Table(columns=["a"], data=[[5]] * 3, dtype=5)
    with pytest.raises(TypeError, match="got 6"):
        table.add_data(6)


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=3)))))
def test_rows_known_from_their_classes_are_those_the_types_take(values: list[list[Any]]) -> None:
    table = Table(columns=["a"])
    for row in values:
        for value in row:
            before = table.column_type().columns
            fits = before.take({"a": value}).name != "invalid"
            if fits:
                table.add_data(value)
            else:
                with pytest.raises(TypeError):
                    table.add_data(value)
            assert not fits or table.column_type().columns.take({"a": value}).name != "invalid"


def test_a_column_of_arrays_refuses_an_empty_list() -> None:
    table = Table(columns=["a"], data=[[np.zeros((1, 2))]])
    with pytest.raises(TypeError, match="takes Ndarray"):
        table.add_data([])


def test_mixed_types_are_taken_when_asked_for() -> None:
    table = Table(columns=["a"], data=[[1], ["x"], [None]], allow_mixed_types=True)
    assert types(table) == {"a": "Any or None"}


@pytest.mark.parametrize(
    "arguments",
    [
        {"columns": "ab"},
        {"columns": ("a",)},
        {"columns": [1.5]},
        {"columns": ["a"], "data": (1, 2)},
        {"columns": ["a"], "data": "abc"},
        {"dataframe": [[1]]},
        {"log_mode": "SOMETIMES"},
        {"log_mode": None},
    ],
)
def test_arguments_of_the_wrong_form_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="Table"):
        Table(**arguments)


def test_a_row_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="got 2 values for the 1 columns"):
        Table(columns=["a"], data=[[1, 2]])


def test_a_column_with_values_of_two_types_is_not_added() -> None:
    table = Table(columns=["a"], data=[[1], [2]])
    with pytest.raises(TypeError, match="'b'"):
        table.add_column("b", [1, "x"])
    assert table.columns == ["a"]
    assert table.data == [[1], [2]]


def test_the_first_column_makes_the_rows() -> None:
    table = Table(columns=[])
    table.add_column("a", [1, 2])
    assert table.data == [[1], [2]]


def test_columns_are_computed_from_rows() -> None:
    table = Table(columns=["a"], data=[[1], [2]])
    table.add_computed_columns(lambda number, row: {"n": number, "double": 2 * row["a"]})
    assert table.data == [[1, 0, 2], [2, 1, 4]]


def test_the_lists_of_the_user_stay_as_they_are() -> None:
    columns, rows = ["a"], [[1]]
    table = Table(columns=columns, data=rows)
    table.add_column("b", [2])
    table.add_data(3, 4)
    assert (columns, rows) == (["a"], [[1]])


def test_an_incremental_table_only_takes_rows() -> None:
    table = Table(columns=["a"], data=[[1]], log_mode="INCREMENTAL")
    with pytest.raises(Error, match="INCREMENTAL"):
        table.add_column("b", [2])
    with pytest.raises(Error, match="INCREMENTAL"):
        table.add_computed_columns(lambda _, row: row)


def test_tables_are_equal_when_columns_types_and_values_are() -> None:
    table = Table(columns=["a"], data=[[1]])
    assert table == Table(columns=["a"], data=[[1]])
    assert table != Table(columns=["a"], data=[[1]], dtype=[[int, str]])
    assert table != Table(columns=["a"], data=[[2]])
    assert table != 1
    arrays = [[np.ones(2)]]
    assert Table(columns=["a"], data=arrays) == Table(columns=["a"], data=arrays)


def test_the_number_of_a_row_leads_to_the_row() -> None:
    table = Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]])
    links = Table(columns=["of"], data=[[table.index_ref(1)]])
    assert links.data[0][0].get_row() == {"a": 2, "b": "y"}
    assert str(type_of(links.data[0][0])).startswith("Foreignindex")
    with pytest.raises(AssertionError, match="row 2 does not exist"):
        table.index_ref(2)


def test_keys_of_another_table_are_known_as_such() -> None:
    table = Table(columns=["id"], data=[["a"]])
    table.set_pk("id")
    other = Table(columns=["ref"], data=[[table.data[0][0]]])
    other.add_data("b")
    assert types(other)["ref"].startswith("Foreignkey")
    with pytest.raises(AssertionError, match="own table"):
        table.add_data(table.data[0][0])


def test_images_of_a_column_share_their_classes() -> None:
    box = {"position": {"minX": 0, "maxX": 1, "minY": 0, "maxY": 1}, "class_id": 1}
    pixels = np.zeros((2, 2), dtype=np.uint8)

    def image(name: str, labels: dict[int, str]) -> Image:
        boxes = {name: {"box_data": [{**box, "scores": {"s": 1}}], "class_labels": labels}}
        return Image(pixels, boxes=boxes)

    table = Table(columns=["i"], data=[[image("a", {1: "x"})], [image("b", {2: "y"})]])
    form = by_column(table)["i"].to_json(Artifact("a", "t"))
    image_type = next(one for one in form["params"]["allowed_types"] if one["wb_type"] != "none")
    values = {key: const["params"]["val"] for key, const in image_type["params"].items()}
    assert values["box_layers"] == {"a": [1], "b": [2]}
    assert values["box_score_keys"] == ["s"]
    assert values["class_map"] == {"1": "x", "2": "y"}


def test_columns_come_back_as_arrays_and_dataframes() -> None:
    pandas: Any = pytest.importorskip("pandas")
    table = Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]])
    assert table.get_column("a", convert_to="numpy").tolist() == [1, 2]
    frame = table.get_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert Table(dataframe=frame).data == table.data
    with pytest.raises(AssertionError, match="no column 'c'"):
        table.get_column("c")
