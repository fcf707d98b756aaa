"""Values that scripts log sometimes, by name; made anew for each use, since some are used up."""

from __future__ import annotations

import array
import collections
import collections.abc
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import io
import ipaddress
import math
import pathlib
import re
import types
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Colour(enum.Enum):
    RED = 1
    WIDE = np.float32(2.5)
    TREE = {"a": 1}  # noqa: RUF012


class Level(enum.IntEnum):
    LOW = 3


class Word(str, enum.Enum):  # noqa: UP042 - both kinds exist
    SOME = "text"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Options:
    rate: float = 0.5
    inner: Any = None
    _own: int = 3


class Point(NamedTuple):
    x: Any
    y: Any


class Count(int):
    pass


class Name(str):
    __slots__ = ()


class Share(float):
    pass


class OwnDict(dict[str, int]):
    pass


class OwnMapping(collections.abc.Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        return {"k": 1}[key]

    def __iter__(self) -> Iterator[str]:
        return iter(["k"])

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return "OwnMapping"


class Foreign:
    def __repr__(self) -> str:
        return "Foreign()"

    def method(self) -> None:
        pass


class Callee(Foreign):
    def __call__(self) -> None:
        pass


def numbers() -> Iterator[int]:
    yield 1
    yield 2


STANDARD: dict[str, Callable[[], Any]] = {
    "int": lambda: 5,
    "int_of_64_bits": lambda: 2**63,
    "int_of_70_bits": lambda: -(2**70),
    "nan": lambda: math.nan,
    "infinity": lambda: -math.inf,
    "negative_zero": lambda: -0.0,
    "bool": lambda: True,
    "none": lambda: None,
    "text": lambda: "tä\0xt😀",
    "bytes": lambda: "ä".encode(),
    "bytes_not_utf8": lambda: b"\xff",
    "bytearray": lambda: bytearray(b"ab"),
    "memoryview": lambda: memoryview(b"ab"),
    "own_int": lambda: Count(4),
    "own_text": lambda: Name("q"),
    "own_float": lambda: Share(2.5),
    "own_nan": lambda: Share("nan"),
    "date": lambda: dt.date(2024, 1, 2),
    "datetime": lambda: dt.datetime(2024, 1, 2, 3, 4, 5, 678),
    "datetime_utc": lambda: dt.datetime(2024, 1, 2, tzinfo=dt.UTC),
    "datetime_zone": lambda: dt.datetime(2024, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))),
    "time": lambda: dt.time(3, 4, 5, 67),
    "duration": lambda: dt.timedelta(days=400, seconds=3723, microseconds=7000),
    "duration_back": lambda: dt.timedelta(seconds=-5),
    "duration_none": lambda: dt.timedelta(0),
    "zone": lambda: dt.UTC,
    "decimal": lambda: decimal.Decimal("1.50"),
    "decimal_nan": lambda: decimal.Decimal("NaN"),
    "fraction": lambda: fractions.Fraction(1, 3),
    "complex": lambda: -1.5 - 2j,
    "complex_odd": lambda: complex(math.nan, math.inf),
    "complex_imaginary": lambda: 2j,
    "complex_wide": lambda: complex(1e-7, 1e20),
    "enum": lambda: Colour.RED,
    "enum_of_numpy": lambda: Colour.WIDE,
    "enum_of_dict": lambda: Colour.TREE,
    "enum_int": lambda: Level.LOW,
    "enum_text": lambda: Word.SOME,
    "flag": lambda: Access.READ | Access.WRITE,
    "dataclass": lambda: Options(inner=Options(inner=np.arange(3))),
    "dataclass_itself": lambda: Options,
    "function": lambda: numbers,
    "built_in": lambda: math.sqrt,
    "class": lambda: Foreign,
    "method": lambda: Foreign().method,
    "callable": Callee,
    "foreign": Foreign,
    "object": object,
    "module": lambda: math,
    "namespace": lambda: types.SimpleNamespace(a=1),
    "path": lambda: pathlib.Path("a/b"),
    "pure_path": lambda: pathlib.PurePosixPath("a/b"),
    "uuid": lambda: uuid.UUID(int=5),
    "pattern": lambda: re.compile("a+"),
    "address": lambda: ipaddress.ip_address("1.2.3.4"),
    "network": lambda: ipaddress.ip_network("1.2.3.0/24"),
    "ellipsis": lambda: ...,
    "slice": lambda: slice(1, 2),
    "exception": lambda: ValueError("x"),
    "file": lambda: io.StringIO("a\nb"),
    "array_of_c": lambda: array.array("d", [1.0]),
}

CONTAINERS: dict[str, Callable[[], Any]] = {
    "list": lambda: [1, "a", None],
    "list_of_nan": lambda: [math.nan, np.float32("nan")],
    "list_of_arrays": lambda: [np.arange(3), np.float32(0.5)],
    "list_of_large_arrays": lambda: [np.arange(40)],
    "list_of_objects": lambda: [object()],
    "list_of_enums": lambda: [Colour.RED],
    "list_of_dates": lambda: [dt.datetime(2024, 1, 2, tzinfo=dt.UTC)],
    "list_of_dicts": lambda: [{"a": np.float32(1.5), 1: 2}],
    "list_of_ranges": lambda: [range(2)],
    "tuple": lambda: (1, np.float64(2)),
    "named_tuple": lambda: Point(np.float32(1.5), np.arange(3)),
    "set": lambda: {3},
    "frozenset": lambda: frozenset({3}),
    "range": lambda: range(3),
    "generator": numbers,
    "zip": lambda: zip([1], [2], strict=True),
    "deque": lambda: collections.deque([1, 2]),
    "dict": lambda: {"a": {"b": [1, {"c": 2}]}},
    "dict_empty": dict[str, int],
    "dict_ordered": lambda: collections.OrderedDict([("a", 1)]),
    "dict_own": lambda: OwnDict(a=1),
    "counter": lambda: collections.Counter("aab"),
    "chain": lambda: collections.ChainMap({"a": 1}),
    "mapping": OwnMapping,
    "proxy": lambda: types.MappingProxyType({"a": 1}),
    "keys": lambda: {"a": 1}.keys(),
    "key_int": lambda: {1: 2},
    "key_float": lambda: {1.5: 2, math.inf: 3},
    "key_none": lambda: {None: 2},
    "key_bool": lambda: {True: 2},
    "key_tuple": lambda: {(1, "a"): 2},
    "key_bytes": lambda: {b"k": 2},
    "key_numpy": lambda: {np.int64(1): 2},
    "key_enum": lambda: {Colour.RED: 2, Word.SOME: 3},
    "key_date": lambda: {dt.date(2024, 1, 2): 2},
    "key_class": lambda: {int: 2},
    "key_frozenset": lambda: {frozenset({1}): 2},
    "key_complex": lambda: {1j: 2},
    "key_duration": lambda: {dt.timedelta(1): 2},
    "key_path": lambda: {pathlib.PurePosixPath("a"): 2},
}

NUMPY: dict[str, Callable[[], Any]] = {
    "float16": lambda: np.float16(0.1),
    "float32": lambda: np.float32(0.1),
    "float64": lambda: np.float64(0.1),
    "longdouble": lambda: np.longdouble(0.1),
    "float32_nan": lambda: np.float32("nan"),
    "float64_nan": lambda: np.float64("nan"),
    "float16_infinity": lambda: np.float16("inf"),
    "uint64": lambda: np.uint64(2**63),
    "int8": lambda: np.int8(-5),
    "bool": lambda: np.bool_(True),
    "complex64": lambda: np.complex64(1 + 2j),
    "complex128": lambda: np.complex128(1 + 2j),
    "str": lambda: np.str_("s"),
    "bytes": lambda: np.bytes_(b"s"),
    "datetime_of_days": lambda: np.datetime64("2024-01-02"),
    "datetime_of_seconds": lambda: np.datetime64("2024-01-02T03:04:05"),
    "datetime_of_nanoseconds": lambda: np.datetime64("2024-01-02T03:04:05.678901234"),
    "datetime_none": lambda: np.datetime64("NaT"),
    "duration_of_seconds": lambda: np.timedelta64(5, "s"),
    "duration_of_nanoseconds": lambda: np.timedelta64(5, "ns"),
    "duration_none": lambda: np.timedelta64("NaT", "s"),
    "record": lambda: np.zeros(1, dtype=[("a", "i4"), ("b", "f8")])[0],
    "raw": lambda: np.void(b"ab"),
    "without_dimension": lambda: np.array(3.5),
    "one": lambda: np.array([[7]]),
    "one_nan": lambda: np.array([math.nan]),
    "one_object": lambda: np.array([{"a": 1}], object),
    "one_text": lambda: np.array(["s"]),
    "one_datetime": lambda: np.array(["2024-01-02"], "datetime64[ns]"),
    "one_record": lambda: np.zeros(1, dtype=[("a", "i4")]),
    "empty": lambda: np.array([]),
    "empty_rows": lambda: np.zeros((2, 0)),
    "small": lambda: np.arange(6).reshape(2, 3),
    "small_nan": lambda: np.array([1, math.nan, math.inf]),
    "small_text": lambda: np.array(["a", "b"]),
    "small_bytes": lambda: np.array([b"a", b"b"]),
    "small_objects": lambda: np.array([1, "a", None], object),
    "small_foreign": lambda: np.array([object(), 1], object),
    "small_complex": lambda: np.array([1 + 2j, 3]),
    "small_dates": lambda: np.array(["NaT", "2024-01-03"], "datetime64[D]"),
    "small_moments": lambda: np.array(["2024-01-02", "2024-01-03"], "datetime64[ns]"),
    "small_durations": lambda: np.array([1, 2], "timedelta64[s]"),
    "small_records": lambda: np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
    "small_uint64": lambda: np.array([2**63, 1], np.uint64),
    "small_longdouble": lambda: np.array([0.1, 0.2], np.longdouble),
    "masked": lambda: cast("Any", np.ma).array([1, 2, 3], mask=[False, True, False]),
    "masked_large": lambda: cast("Any", np.ma).masked_greater(np.arange(40.0), 38.5),
    "edge": lambda: np.arange(32),
    "large": lambda: np.arange(33),
    "large_float": lambda: np.linspace(0, 1, 101),
    "large_float16": lambda: np.linspace(0, 1, 50, dtype=np.float16),
    "large_constant": lambda: np.ones(50),
    "large_rows": lambda: np.arange(64).reshape(8, 8),
    "large_all_nan": lambda: np.full(40, math.nan),
    "large_some_nan": lambda: np.array([math.nan] + [1.0] * 40),
    "large_infinite": lambda: np.array([math.inf] + [1.0] * 40),
    "large_text": lambda: np.array(["a"] * 40),
    "large_dates": lambda: np.array(["2024-01-02"] * 40, "datetime64[D]"),
    "large_records": lambda: np.zeros(40, dtype=[("a", "i4")]),
    "large_int64": lambda: np.array([-(2**63), 2**63 - 1] * 20),
    "function": lambda: np.sin,
}


def pandas_values() -> dict[str, Callable[[], Any]]:
    pd: Any = pytest.importorskip("pandas")
    return {
        "timestamp": lambda: pd.Timestamp("2024-01-02 03:04:05.123456789"),
        "timestamp_utc": lambda: pd.Timestamp("2024-01-02", tz="UTC"),
        "timestamp_none": lambda: pd.NaT,
        "missing": lambda: pd.NA,
        "duration": lambda: pd.Timedelta(5, "s"),
        "period": lambda: pd.Period("2024-01"),
        "interval": lambda: pd.Interval(0, 1),
        "series": lambda: pd.Series([1, 2]),
        "series_one": lambda: pd.Series([1]),
        "index": lambda: pd.Index([1, 2]),
        "categories": lambda: pd.Categorical(["a", "b"]),
        "extension": lambda: pd.array([1, None]),
        "frame_in_list": lambda: [pd.DataFrame({"a": [1]})],
        "cell": lambda: pd.DataFrame({"a": [1.5]}).loc[0, "a"],
        "mean": lambda: pd.Series([1.0, 2.0]).mean(),
    }


def jax_values() -> dict[str, Callable[[], Any]]:
    pytest.importorskip("jax")
    import jax
    import jax.numpy
    import ml_dtypes

    jnp: Any = jax.numpy
    types_: Any = ml_dtypes
    return {
        "number": lambda: jnp.float32(1.5),
        "bfloat16": lambda: jnp.bfloat16(1.5),
        "nan": lambda: jnp.array(jnp.nan),
        "bool": lambda: jnp.array(True),
        "complex": lambda: jnp.array(1 + 2j),
        "one": lambda: jnp.array([2.5]),
        "small": lambda: jnp.arange(3),
        "small_bfloat16": lambda: jnp.array([1.5, 2.5], jnp.bfloat16),
        "empty": lambda: jnp.array([]),
        "large": lambda: jnp.arange(40.0),
        "large_bfloat16": lambda: jnp.arange(40, dtype=jnp.bfloat16),
        "key": lambda: jax.random.key(0),
        "in_list": lambda: [jnp.float32(1.5)],
        "in_dict": lambda: {"a": jnp.float32(1.5)},
        "function": lambda: jnp.sin,
        "numpy_bfloat16": lambda: types_.bfloat16(1.5),
        "numpy_bfloat16_nan": lambda: types_.bfloat16("nan"),
        "numpy_bfloat16_array": lambda: np.array([1.5, 2.5], types_.bfloat16),
        "numpy_float8": lambda: np.array([1.5, 2], types_.float8_e4m3fn),
        "numpy_int4": lambda: np.array([1, 2], types_.int4),
    }


def torch_values() -> dict[str, Callable[[], Any]]:
    torch: Any = pytest.importorskip("torch")
    return {
        "number": lambda: torch.tensor(1.5),
        "int": lambda: torch.tensor(3),
        "nan": lambda: torch.tensor(math.nan),
        "bfloat16": lambda: torch.tensor(1.5, dtype=torch.bfloat16),
        "gradient": lambda: torch.tensor([1.5, 2], requires_grad=True),
        "one": lambda: torch.tensor([2.5]),
        "small": lambda: torch.arange(3),
        "half": lambda: torch.tensor([0.1, 0.2]).half(),
        "empty": lambda: torch.tensor([]),
        "large": lambda: torch.arange(40.0),
        "sparse": lambda: torch.eye(2).to_sparse(),
        "size": lambda: torch.Size([1, 2]),
        "dtype": lambda: torch.float32,
        "device": lambda: torch.device("cpu"),
        "in_list": lambda: [torch.tensor(1.5)],
    }
