# Rows of odd values: sizes, keys, depth, pandas, jax, sets, enums, arrays.
import collections
import dataclasses
import datetime
import decimal
import enum
import math
import pathlib
import uuid

import jax.numpy as jnp
import numpy as np
import pandas as pd
from confhelp import attempt, sdk


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 3


@dataclasses.dataclass
class Options:
    rate: float = 0.5
    shape: tuple = (1, 2)


run = sdk.init(project="conf", id="oddrows", name="o", mode="offline")
run.log({"big": 2**64, "edge": 2**63, "odd": 2**53 + 1, "neg": -(2**63), "more": -(2**63) - 1})
run.log({"huge": 10**400, "neghuge": -(10**400), "list": [2**64, 10**400]})
run.log({"_timestamp": 5, "x": 1})
run.log({"_runtime": 5, "x": 2, "_custom": 3})
run.log({"_step": 99, "x": 3})
run.log({"": 1})
run.log({"a.b": 1, "a": {"b": 2}, "a/b": 3, " ": 4, "ü": 5})
run.log({"x": math.inf, "y": -math.inf, "z": math.nan, "l": [math.inf, math.nan]})
run.log({"negz": -0.0, "tiny": 5e-324, "large": 1.7976931348623157e308})
deep = {"v": 1}
for _ in range(40):
    deep = {"k": deep}
run.log({"deep": deep})
run.log({"none": None, "x": None})
run.log({"sur": "a\ud800b", "nul": "a\0b", "pair": "\ud83d\ude00", "long": "x" * 200_000})
run.log({"enum": Colour.RED, "int": Level.LOW, "in": [Colour.RED], "key": {Colour.RED: Level.LOW}})
run.log({"options": Options(), "list": [Options()], "set": {3}, "deque": collections.deque([1])})
run.log({"keys": {8: 1, None: 2, True: 3, (1, 2): 4, b"b": 5, np.int64(7): 6, 1.5: 7}})
run.log({"time": datetime.time(1, 2), "day": datetime.date(2024, 1, 2)})
run.log({"utc": datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)})
run.log({"took": datetime.timedelta(days=400, seconds=3723.5), "back": datetime.timedelta(-1)})
run.log({"dec": decimal.Decimal("1.50"), "cplx": 1 + 2j, "uuid": uuid.UUID(int=5)})
run.log({"path": pathlib.Path("a/b"), "bytes": b"ab", "fn": math.sqrt, "cls": dict})
run.log({"gen": (i for i in range(3)), "empty": [], "tuple": (), "nothing": {}, "r0": range(0)})
run.log(
    {"jax": jnp.float32(1.5), "bf": jnp.bfloat16(1.5), "vec": jnp.arange(3), "in": [jnp.ones(1)]}
)
run.log(
    {
        "jbig": jnp.arange(40.0),
        "jbf": jnp.arange(40, dtype=jnp.bfloat16),
        "jnan": jnp.array(jnp.nan),
    }
)
run.log(
    {"ts": pd.Timestamp("2024-01-02 03:04:05.123456789"), "nat": pd.NaT, "td": pd.Timedelta(5, "s")}
)
run.log({"cell": pd.DataFrame({"a": [1.5]}).loc[0, "a"], "mean": pd.Series([1, 2]).mean()})
run.log({"dt64": np.datetime64("2024-01-02T03:04"), "ns": np.datetime64("2024-01-02", "ns")})
run.log(
    {
        "text": np.array(["a", "b"]),
        "obj": np.array([1, None, "a"], object),
        "nan": np.array([math.nan, 1]),
    }
)
run.log(
    {"rec": np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]), "one": np.zeros(1, dtype=[("a", "i4")])}
)
run.log({"mask": np.ma.array([1, 2, 3], mask=[0, 1, 0]), "cplx": np.array([1 + 2j, 3])})
run.log(
    {
        "nested": {
            "a": {"b": [1, {"c": np.float32(1.5)}]},
            "arr": np.ones((2, 2)),
            "big": np.arange(33),
        }
    }
)
for name, value in {
    "series": pd.Series([1, 2]),
    "na": pd.NA,
    "index": pd.Index([1]),
    "period": pd.Period("2024-01"),
    "frames": [pd.DataFrame({"a": [1]})],
    "range": range(3),
    "object": object(),
    "nested": {"a": [object()]},
    "badbytes": b"\xff",
    "chain": collections.ChainMap({"a": 1}),
    "purepath": pathlib.PurePosixPath("a"),
    "slice": slice(1),
    "module": math,
    "error": ValueError("x"),
    "allnan": np.full(40, math.nan),
    "somenan": np.array([math.nan] + [1.0] * 40),
    "texts": np.array(["a"] * 40),
    "dates": np.array(["2024-01-02"] * 40, "datetime64[D]"),
    "keyset": {frozenset({1}): 1},
    "keypath": {pathlib.PurePosixPath("a"): 1},
}.items():
    attempt(name, run.log, {name: value})
run.finish()
