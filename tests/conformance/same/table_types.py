# Tables: types of columns, and what is refused.
import datetime
import decimal
import enum

from confhelp import attempt, obs, sdk

T = sdk.Table
run = sdk.init(project="p", id="types", name="s", mode="offline")


class C(enum.Enum):
    R = 1


def cols(t):
    return [list(map(repr, r)) for r in t.data]


attempt("width", T, columns=["a"], data=[[1, 2]])
attempt("mixed", T, columns=["a"], data=[[1], ["x"]])
t = T(columns=["a"], data=[[1], ["x"], [None], [[1]]], allow_mixed_types=True)
run.log({"mixed": t})
attempt("notnone", T, columns=["a"], data=[[None]], optional=False)
t = T(columns=["a", "b"], data=[[1, 2]], optional=[True, False])
attempt("nb", t.add_data, None, None)
attempt("na", t.add_data, None, 3)
attempt("dtype", T, columns=["a", "b"], data=[[1, "x"]], dtype=[int, str])
attempt("dtype bad", T, columns=["a", "b"], data=[[1, 2]], dtype=[int, str])
attempt("dtype short", T, columns=["a", "b"], data=[[1, 2]], dtype=[int])
attempt("const", T, columns=["a"], data=[[5], [5]], dtype=5)
attempt("const bad", T, columns=["a"], data=[[6]], dtype=5)
attempt("cols", T, columns="ab")
attempt("cols2", T, columns=["a", 1.5])
attempt("cols3", T, columns=("a",))
attempt("data", T, columns=["a"], data=(1, 2))
attempt("data2", T, columns=["a"], data=[1])
attempt("data3", T, columns=["a"], data="abc")
attempt("rows", T, columns=["a"], rows=[[1]])
attempt("frame", T, dataframe=[[1]])
t = T(columns=["a", "b"], data=[[1, "x"], [2, "y"]])
attempt("addcol none", t.add_column, "c", [None, 1])
attempt("addcol opt", t.add_column, "c", [None, 1], optional=True)
attempt("addcol len", t.add_column, "d", [1])
attempt("addcol dup", t.add_column, "a", [1, 2])
attempt("addcol name", t.add_column, 3, [1, 2])
attempt("addcol mixed", t.add_column, "e", [1, "x"])
attempt("addcol tuple", t.add_column, "e", (1, 2))
attempt("addcol optbad", t.add_column, "e", [1, 2], optional=1)
attempt("col", t.get_column, "nope")
attempt("conv", t.get_column, "a", convert_to="list")
attempt("cast", t.cast, "a", str)
attempt("cast2", t.cast, "a", int)
attempt("cast3", t.cast, "nope", int)
attempt("idx", t.index_ref, 9)
attempt("comp", t.add_computed_columns, lambda i, r: 3)
attempt("comp2", t.add_computed_columns, lambda i, r: {"n": r["a"]} if i == 0 else {})
obs("columns", t.columns)
obs("eq", t == T(columns=["a", "b"], data=[[1, "x"], [2, "y"]]))
obs("eq2", T(columns=["a"], data=[[1]]) == T(columns=["a"], data=[[1]]))
obs("ne", T(columns=["a"], data=[[1]]) != T(columns=["a"], data=[[2]]))
obs("eq3", T(columns=["a"], data=[[1]]) == 3)
run.log({"t": t})
v = T(
    columns=[
        "dt",
        "d",
        "dec",
        "en",
        "by",
        "fn",
        "st",
        "nest",
        "tup",
        "lnone",
        "inf",
        "big",
        "nan",
        "bool",
    ]
)
row = [
    datetime.datetime(2024, 1, 2, 3, 4, 5, 678901),
    datetime.date(2024, 1, 2),
    decimal.Decimal("1.5"),
    C.R,
    b"ab",
    len,
    {1},
    {"k": {"z": [1, 2.5]}},
    (1, 2),
    [1, None],
    float("inf"),
    2**70,
    float("nan"),
    True,
]
attempt("row", v.add_data, *row)
attempt("rowtz", v.add_data, datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), *row[1:])
attempt("logv", run.log, {"v": v})
for name, value in (
    ("cx", complex(1, 2)),
    ("obj", object()),
    ("td", datetime.timedelta(1)),
    ("range", range(3)),
):
    t = T(columns=["a"])
    attempt("add " + name, t.add_data, value)
    attempt("log " + name, run.log, {name: t})
t = T(columns=["a"], data=[[[1, "x"]]])
attempt("l2", t.add_data, [1])
run.log({"listmixed": t})
t = T(columns=["a"], data=[[[1, 2]], [[1, 2, 3]], [[]]])
run.log({"lists": t})
t = T(columns=["a"], data=[[{"x": 1, "y": None}]])
attempt("dict extra", t.add_data, {"x": 1, "z": 1})
attempt("dict less", t.add_data, {"x": 1})
run.log({"dicts": t})
t = T(columns=["a"], data=[["wandb-artifact://x/y"]])
attempt("link", t.add_data, "plain")
run.log({"links": t})
t = T(columns=["a"], data=[["plain"]])
attempt("link2", t.add_data, "wandb-artifact://x/y")
t = T(columns=[1, 2], data=[[1, 2]])
run.log({"ints": t})
t = T(columns=["a", "a"], data=[[1, 2]])
run.log({"dup": t})
inner = T(columns=["a"], data=[[1]])
t = T(columns=["t"], data=[[inner]])
attempt("in2", t.add_data, T(columns=["a"], data=[[None]]))
attempt("in3", t.add_data, T(columns=["a"], data=[[4]]))
attempt("inner", t.add_data, T(columns=["b"]))
run.log({"tables": t})
t = T(columns=["u"], data=[["é\u2028☃"]])
run.log({"uni": t})
run.finish()
