# Values of unusual types in history, summary and config.
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import uuid

from confhelp import attempt, sdk


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 3


@dataclasses.dataclass
class Point:
    x: int
    y: float = 2.5


@dataclasses.dataclass
class Nest:
    p: Point
    tags: list


class Plain:
    pass


class Named(collections.namedtuple("Named", "a b")):
    pass


run = sdk.init(project="conf", id="oddvalues", mode="offline")
values = {
    "enum": Colour.RED,
    "enum_text": Colour.BLUE,
    "intenum": Level.LOW,
    "dc": Point(1),
    "nest": Nest(Point(2, 3.0), ["a"]),
    "named": Named(1, 2),
    "deque": collections.deque([1, 2]),
    "frozen": frozenset([7]),
    "set1": {5},
    "date": datetime.date(2024, 1, 2),
    "dt": datetime.datetime(2024, 1, 2, 3, 4, 5, 6),
    "tz": datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC),
    "time": datetime.time(1, 2, 3),
    "td": datetime.timedelta(seconds=90),
    "dec": decimal.Decimal("1.50"),
    "cplx": 1 + 2j,
    "frac": fractions.Fraction(1, 3),
    "path": pathlib.PurePosixPath("a/b"),
    "uuid": uuid.UUID(int=5),
    "bytes": b"abc",
    "bytearray": bytearray(b"xy"),
    "memview": memoryview(b"zz"),
    "badbytes": b"\xff\xfe",
    "fn": len,
    "cls": dict,
    "lam": (lambda: 0),
    "range": range(3),
    "gen": (i for i in [1]),
    "ell": ...,
    "notimpl": NotImplemented,
    "odict": collections.OrderedDict(a=1),
    "ddict": collections.defaultdict(int, a=1),
    "counter": collections.Counter("aab"),
    "intkeys": {1: "a", 2.5: "b", None: "c", True: "d"},
    "tuplekeys": {(1, 2): "x"},
    "big": 2**70,
    "neg": -(2**63),
    "u64": 2**63,
    "nul": "a\x00b",
    "empty": {},
    "emptylist": [],
    "nested_empty": {"a": {}},
    "deep": {"a": {"b": {"c": 1}}},
    "listdict": [{"a": 1}, {"b": [1, 2]}],
    "nan": float("nan"),
    "inf": float("inf"),
    "naninlist": [float("nan"), 1],
    "exc": ValueError("v"),
    "mod": datetime,
    "slice": slice(1, 2),
    "boolt": True,
    "none": None,
    "emptytext": "",
    "neg0": -0.0,
}
for name, value in values.items():
    attempt("log_" + name, run.log, {name: value})
for name, value in values.items():
    if name in ("nan",):
        continue

    def setit(n=name, v=value):
        run.summary["s_" + n] = v

    attempt("sum_" + name, setit)
for name, value in values.items():
    attempt("cfg_" + name, run.config.update, {"c_" + name: value}, allow_val_change=True)
run.finish()
