# Odd values in init(config=) and config.update.
import dataclasses
import datetime
import decimal
import enum
import functools
import math
import pathlib
import types
import uuid

import jax.numpy as jnp
import numpy as np
import pandas as pd
from confhelp import attempt, obs, sdk


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 3


@dataclasses.dataclass
class Options:
    rate: float = 0.5
    inner: object = None


def values():
    return {
        "int": 5,
        "whole": 1.0,
        "big": 2**64,
        "nan": math.nan,
        "inf": math.inf,
        "bytes": b"ab",
        "bytearray": bytearray(b"ab"),
        "tuple": (1, {2}),
        "frozen": frozenset({1}),
        "range": range(3),
        "keys": {1: "a", None: "b", 1.5: "c", (1, 2): "d", Colour.RED: "e"},
        "nested": {"a": {"b": [1, {"c": np.float32(1.5)}]}, "empty": {}},
        "enum": Colour.RED,
        "level": Level.LOW,
        "enums": [Colour.RED],
        "options": Options(inner=Options(inner=np.arange(3))),
        "class": Options,
        "function": len,
        "lambda": (lambda: 0).__name__,
        "partial": functools.partial(len).func,
        "date": datetime.date(2024, 1, 2),
        "utc": datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC),
        "time": datetime.time(1, 2),
        "took": datetime.timedelta(days=1, seconds=5),
        "decimal": decimal.Decimal("1.50"),
        "complex": 1 + 2j,
        "uuid": uuid.UUID(int=5),
        "path": pathlib.PurePosixPath("a/b"),
        "space": types.SimpleNamespace(a=1),
        "slice": slice(1, 2),
        "f16": np.float16(0.1),
        "f32nan": np.float32("nan"),
        "bool": np.bool_(True),
        "one": np.array([7]),
        "zero_d": np.array(3.5),
        "small": np.arange(6).reshape(2, 3),
        "large": np.arange(40),
        "npbytes": np.bytes_(b"s"),
        "dt64": np.datetime64("2024-01-02T03:04:05"),
        "jax": jnp.float32(1.5),
        "jvec": jnp.arange(3),
        "bfloat": jnp.bfloat16(1.5),
        "ts": pd.Timestamp("2024-01-02 03:04:05.123456789"),
        "nat": pd.NaT,
        "na": pd.NA,
        "series": pd.Series([1, 2]),
        "frame": pd.DataFrame({"a": [1]}),
        "--dashed-": 1,
    }


run = sdk.init(project="conf", id="oddconfig", name="o", mode="offline", config=values())
read = ("tuple", "enum", "one", "zero_d", "dt64", "took", "path", "complex", "utc", "jax", "level")
obs("init", {key: repr(run.config[key]) for key in read})
run.config.update({f"u_{key}": value for key, value in values().items()})
obs("update", {key: repr(run.config[f"u_{key}"]) for key in (*read, "keys")})
for name, value in {
    "object": object(),
    "badbytes": b"\xff",
    "keys": {}.keys(),
    "module": math,
    "error": ValueError("x"),
    "list": [object()],
    "keypath": {pathlib.PurePosixPath("a"): 1},
    "html": sdk.Html("x"),
    "histogram": sdk.Histogram([1, 2]),
}.items():
    attempt(name, run.config.update, {f"x_{name}": value})
run.finish()
