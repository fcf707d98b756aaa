# Values of metadata, and lifetimes.
import datetime
import json
import pathlib

import numpy as np
from harness import case


class Odd:
    def __str__(self):
        return "odd!"

    def __repr__(self):
        return "Odd()"


@case("metadata_values")
def _(env):
    mk = lambda m: env.error(lambda: env.artifact(metadata=m).metadata)
    rec = {}
    rec["self"] = rec
    import decimal, enum, uuid, dataclasses, collections, fractions

    class E(enum.Enum):
        A = 1

    class IE(enum.IntEnum):
        A = 1

    class SE(str, enum.Enum):
        A = "a"

    @dataclasses.dataclass
    class D:
        x: int = 1

    P = collections.namedtuple("P", "x y")
    vals = {
        "none": None,
        "empty": {},
        "emptystr": "",
        "json": '{"a": 1}',
        "jsonlist": "[1]",
        "jsonstr": '"{}"',
        "badjson": "{",
        "jsonnull": "null",
        "jsonnum": "1",
        "int": 1,
        "list": [],
        "zero": 0,
        "false": False,
        "true": True,
        "tuple": (),
        "set": set(),
        "float": 0.0,
        "bytes": b"{}",
        "pairs": [("a", 1)],
        "nan": {"a": float("nan")},
        "inf": {"a": float("inf")},
        "ninf": {"a": [-float("inf")]},
        "nested_inf": {"a": {"b": float("inf")}},
        "nested_nan": {"a": [float("nan"), {"b": float("nan")}]},
        "npnan": {"a": np.float64("nan")},
        "npinf": {"a": np.float64("inf")},
        "npf32nan": {"a": np.float32("nan")},
        "npf32inf": {"a": np.float32("inf")},
        "npint": {"a": np.int64(3)},
        "npf32": {"a": np.float32(0.1)},
        "npf64": {"a": np.float64(0.1)},
        "npf16": {"a": np.float16(0.1)},
        "npbool": {"a": np.bool_(True)},
        "npstr": {"a": np.str_("x")},
        "nparr": {"a": np.arange(3)},
        "nparr2": {"a": np.ones((2, 2))},
        "nparr_big": {"a": np.zeros(100)},
        "nparr0": {"a": np.array(5)},
        "nparrstr": {"a": np.array(["a", "b"])},
        "nparrobj": {"a": np.array([1, "b", None], dtype=object)},
        "nparrnan": {"a": np.array([1.0, float("nan")])},
        "nparrbool": {"a": np.array([True, False])},
        "nparrempty": {"a": np.array([])},
        "npdt": {"a": np.datetime64("2020-01-02")},
        "nptd": {"a": np.timedelta64(5, "s")},
        "datetime": {"a": datetime.datetime(2020, 1, 2, 3, 4, 5)},
        "datetz": {"a": datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc)},
        "date": {"a": datetime.date(2020, 1, 2)},
        "time": {"a": datetime.time(1, 2)},
        "td": {"a": datetime.timedelta(days=1)},
        "decimal": {"a": decimal.Decimal("1.5")},
        "fraction": {"a": fractions.Fraction(1, 3)},
        "uuid": {"a": uuid.UUID(int=1)},
        "path": {"a": pathlib.PurePosixPath("x/y")},
        "enum": {"a": E.A},
        "ienum": {"a": IE.A},
        "senum": {"a": SE.A},
        "dc": {"a": D()},
        "nt": {"a": P(1, 2)},
        "bytes_v": {"a": b"hi"},
        "bytes_bad": {"a": b"\xff"},
        "bytearray": {"a": bytearray(b"x")},
        "set_v": {"a": {1}},
        "frozenset": {"a": frozenset([1])},
        "tuple_v": {"a": (1,)},
        "deque": {"a": collections.deque([1])},
        "odict": {"a": collections.OrderedDict(x=1)},
        "ddict": {"a": collections.defaultdict(int, x=1)},
        "complex": {"a": 1j},
        "ellipsis": {"a": ...},
        "cls": {"a": int},
        "odd": {"a": Odd()},
        "slice": {"a": slice(1, 2)},
        "slice3": {"a": slice(None, None, 2)},
        "range": {"a": range(3)},
        "gen": {"a": [x for x in (1, 2)]},
        "big": {"a": 10**40},
        "negzero": {"a": -0.0},
        "float_": {"a": 1e300},
        "bool": {"a": True},
        "nested": {"a": {"b": {"c": [1, {"d": None}]}}},
        "intkey": {1: "x"},
        "nonekey": {None: "x"},
        "boolkey": {True: "x"},
        "floatkey": {1.5: "x"},
        "tuplekey": {(1, 2): "x"},
        "bytekey": {b"k": "x"},
        "npkey": {np.int64(1): "x"},
        "enumkey": {E.A: "x"},
        "nestedintkey": {"a": {1: 2}},
        "clash": {1: "a", "1": "b"},
        "nankey": {float("nan"): 1},
        "uni": {"ü": "😀"},
        "surrogate": {"a": "\ud800"},
        "nul": {"a": "\x00"},
        "dots": {"a.b": 1, "a/b": 2, "": 3},
        "rec": rec,
        "k100": {str(i): i for i in range(100)},
        "k101": {str(i): i for i in range(101)},
        "nested101": {"a": {str(i): i for i in range(101)}},
        "odict_top": collections.OrderedDict(a=1),
        "ddict_top": collections.defaultdict(int, a=1),
        "proxy": __import__("types").MappingProxyType({"a": 1}),
        "userdict": collections.UserDict(a=1),
    }
    out = {}
    for k, v in vals.items():
        r = mk(v)
        try:
            json.dumps(r)
        except RecursionError:
            r = "rec"
        if k == "odd":
            pass
        out[k] = json.loads(json.dumps(r).replace("NaN", '"NaN"'))
        if "ok" in r and isinstance(r["ok"], dict):
            out[k]["types"] = [type(x).__name__ for x in r["ok"].values()]
    return out


@case("ttl2")
def _(env):
    td = datetime.timedelta
    T = None

    TTL = env.sdk.ArtifactTTL
    out = {}
    for k, v in {
        "1us": td(microseconds=1),
        "half": td(seconds=0.5),
        "1s": td(seconds=1),
        "big": td(days=999999),
        "neg": td(seconds=-1),
        "zero": td(0),
        "int": 5,
        "float": 1.5,
        "str": "1d",
        "list": [1],
        "true": True,
        "none": None,
        "inherit": TTL.INHERIT,
        "date": datetime.datetime(2020, 1, 1),
        "np": np.timedelta64(5, "s"),
        "0": 0,
        "zerostr": "",
        "num": 0.0,
    }.items():
        a = env.artifact()
        out[k] = [
            env.error(setattr, a, "ttl", v),
            env.error(lambda: a.ttl.total_seconds() if a.ttl is not None else None),
        ]
    a = env.artifact()
    a.ttl = td(days=1)
    out["bad_keeps"] = [env.error(setattr, a, "ttl", td(0)), env.error(lambda: str(a.ttl))]
    a = env.artifact()
    out["bad_first"] = [env.error(setattr, a, "ttl", td(0)), env.error(lambda: str(a.ttl))]
    a = env.artifact()
    a.ttl = td(days=1)
    a.ttl = TTL.INHERIT
    out["back"] = env.error(lambda: str(a.ttl))
    a = env.artifact()
    a.ttl = None
    a.ttl = td(days=2)
    out["again"] = env.error(lambda: str(a.ttl))
    a = env.artifact()
    a.finalize()
    out["final"] = [env.error(setattr, a, "ttl", td(days=1)), env.error(lambda: str(a.ttl))]
    out["enum"] = [
        TTL.INHERIT.name,
        str(TTL.INHERIT),
        repr(TTL.INHERIT),
        TTL.INHERIT.value,
        [x.name for x in TTL],
        issubclass(TTL, __import__("enum").Enum),
    ]
    out["enumcall"] = env.error(lambda: TTL(0).name)
    out["enumcall1"] = env.error(lambda: TTL(1).name)
    out["enumitem"] = env.error(lambda: TTL["INHERIT"].name)
    return out
