# Odd values of the configuration; odd ways to fill and to read it.
import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import math
import os
import pathlib
import types
import uuid

import jax.numpy as jnp
import numpy as np
import pandas as pd
from confhelp import attempt, obs, sdk, write


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


write(
    "config-defaults.yaml",
    "wandb_version: 1\nlr:\n  value: 0.5\n--opt-:\n  value: sgd\n"
    "nest:\n  value: {a: 1, b: {c: 2}}\n",
)
attempt("intkey", sdk.init, project="conf", id="c0", mode="offline", config={1: 2})
attempt("list", sdk.init, project="conf", id="c0b", mode="offline", config=[1, 2])
attempt("strfile", sdk.init, project="conf", id="c0c", mode="offline", config="")
attempt("num", sdk.init, project="conf", id="c0d", mode="offline", config=5)
run = sdk.init(
    project="conf",
    id="c1",
    mode="offline",
    config={"nest": {"b": {"d": 3}}, "t": (1, 2), "x": {}, "y": {"z": {}}, "--k-": 1},
    reinit="finish_previous",
)
obs("nest", run.config["nest"])
obs("keys", list(run.config.keys()))
obs("items", run.config.items())
obs("iter", list(run.config))
obs("as_dict", run.config.as_dict())
obs("in", ["_wandb" in run.config, "lr" in run.config])
obs("t", run.config.t)
obs("repr", repr(run.config))
attempt("len", len, run.config)
attempt(
    "del",
    run.config.__delitem__
    if hasattr(run.config, "__delitem__")
    else (lambda k: (_ for _ in ()).throw(TypeError())),
    "lr",
)
attempt("delattr", delattr, run.config, "lr")
attempt("pop", lambda: run.config.pop("lr"))
attempt("get3", lambda: run.config.get())
attempt("setitem_change", run.config.__setitem__, "lr", 3)
attempt("setattr_change", setattr, run.config, "lr", 3)
attempt("upd_kw", lambda: run.config.update(a=1))
attempt("upd_two", lambda: run.config.update({"a": 1}, True))
attempt("upd_list", run.config.update, [("q", 1)])
attempt("upd_none", run.config.update, None)
attempt("upd_str", run.config.update, "nofile.yaml")
attempt("upd_ns", run.config.update, types.SimpleNamespace(ns=1))
attempt("upd_odict", run.config.update, collections.OrderedDict(od=1))
run.config.update_locked({"locked": {"p": 1}}, user="sweep")
attempt("lock_write", run.config.update, {"locked": 2, "other": 1})
attempt("lock_set", run.config.__setitem__, "locked", 2)
attempt("lock_default", run.config.setdefaults, {"locked": 9, "dfl": 1})
attempt(
    "merge_locked",
    lambda: run.config.merge_locked({"locked": {"q": 2}, "nest": {"b": {"e": 9}}}, user="launch"),
)
obs(
    "after_lock",
    [run.config["locked"], run.config["nest"], run.config.get("other"), run.config.get("dfl")],
)
run.config["nest"]["a"] = 77
obs("inplace", run.config["nest"])
run.config.update(
    {
        "big": 2**70,
        "neg": -0.0,
        "inf": float("inf"),
        "bytes": b"ab",
        "cplx": 1 + 2j,
        "rng": range(3),
        "cls": dict,
        "fs": frozenset([1]),
        "dt": datetime.datetime(2024, 1, 2, 3, 4, 5),
        "td": datetime.timedelta(seconds=5),
    }
)
obs(
    "types",
    {k: run.config[k] for k in ("big", "neg", "bytes", "cplx", "rng", "cls", "fs", "dt", "td")},
)
attempt("persist", run.config.persist)
attempt("static_item", run.config_static.__setitem__, "a", 1)
obs("static_keys", sorted(run.config_static.keys()))
obs("static", dict(run.config_static))
attempt("pin", run.pin_config_keys, ["lr", "nope"])
attempt("sdk_config", lambda: sdk.config["lr"])
run.finish()
attempt("after_get", lambda: run.config["lr"])
attempt("after_set", run.config.__setitem__, "zz", 1)
attempt("after_upd", run.config.update, {"zz": 1})
os.remove("config-defaults.yaml")

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
