# Tables in artifacts.
import datetime
import json
import pathlib

import numpy as np
from harness import case


def EL(env, l):
    return {k: env.error(v) for k, v in l}


def show(env, a, text=True):
    d = env.describe(a)
    if text:
        d["texts"] = {
            k: open(e.local_path).read()
            for k, e in sorted(a.manifest.entries.items())
            if k.endswith(".json") and e.local_path
        }
        for k, v in d["texts"].items():
            try:
                d["texts"][k] = json.dumps(json.loads(v)) == v and "same:" + v or v
            except Exception:
                pass
    return d


def one(env, obj, name="v", **k):
    a = env.artifact()
    e = a.add(obj, name, **k)
    return [str(e.path), show(env, a)]


@case("tables_types")
def _(env):
    T = env.sdk.Table
    out = {}

    def t(*x, **k):
        return lambda: one(env, T(*x, **k))

    import decimal

    day = datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    ds = {
        "int": [1],
        "float": [1.5],
        "str": ["x"],
        "none": [None],
        "bool": [True],
        "nan": [float("nan")],
        "inf": [float("inf")],
        "ninf": [float("-inf")],
        "list": [[1, 2]],
        "dict": [{"a": 1}],
        "nested": [{"a": [1, {"b": None}]}],
        "tuple": [(1, 2)],
        "set": [{1}],
        "dt": [day],
        "date": [datetime.date(2020, 1, 2)],
        "naive": [datetime.datetime(2020, 1, 2)],
        "npint": [np.int64(3)],
        "npf": [np.float32(0.5)],
        "npbool": [np.bool_(True)],
        "npdt": [np.datetime64("2020-01-02")],
        "arr": [np.arange(3)],
        "arr2": [np.ones((2, 2))],
        "arrbig": [np.zeros(200)],
        "empty": [[]],
        "emptyd": [{}],
        "mix": [1, "x"],
        "opt": [1, None],
        "intfloat": [1, 1.5],
        "boolint": [True, 1],
        "bytes": [b"x"],
        "dec": [decimal.Decimal("1")],
        "td": [datetime.timedelta(1)],
        "uni": ["ü😀"],
        "long": ["x" * 1000],
        "listmix": [[1, "a"]],
        "listnone": [[None]],
        "dictopt": [{"a": 1}, {"a": None}],
        "dictmiss": [{"a": 1}, {"b": 2}],
        "biglist": [[1], [1, 2, 3]],
        "npstr": [np.str_("a")],
        "complex": [1j],
        "obj": [object],
        "frozen": [frozenset([1])],
        "neg0": [-0.0],
        "big": [10**30],
        "type": [int],
    }
    for k, v in ds.items():
        out[k] = env.error(t(columns=["c"], data=[[x] for x in v]))
    for k, v in ds.items():
        out["mixed_" + k] = env.error(
            t(columns=["c"], data=[[x] for x in v], allow_mixed_types=True)
        )
    for k, v in ds.items():
        out["opt_" + k] = env.error(t(columns=["c"], data=[[x] for x in v], optional=False))
    return out


@case("tables_forms")
def _(env):
    T = env.sdk.Table
    import pandas as pd

    def t(*x, **k):
        return lambda: one(env, T(*x, **k))

    df = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    out = EL(
        env,
        [
            ("empty", t()),
            ("cols", t(columns=["a"])),
            ("nocols", t(data=[[1, 2, 3]])),
            ("rows", t(rows=[[1, 2, 3]])),
            ("df", t(dataframe=df)),
            ("df_data", t(data=df)),
            ("df_cols", t(data=df, columns=["b"])),
            ("np", t(data=np.arange(4).reshape(2, 2))),
            ("np_cols", t(data=np.arange(4).reshape(2, 2), columns=["x", "y"])),
            ("np_f32", t(data=np.ones((2, 2), np.float32), columns=["x", "y"])),
            ("np_1d", t(data=np.arange(3), columns=["x"])),
            ("intcols", t(columns=[1, 2], data=[[1, 2]])),
            ("dupcols", t(columns=["a", "a"], data=[[1, 2]])),
            ("short", t(columns=["a", "b"], data=[[1]])),
            ("dtype", t(columns=["a"], dtype=[int])),
            ("dtype1", t(columns=["a"], data=[[1]], dtype=float)),
            ("log_mode", t(columns=["a"], data=[[1]], log_mode="MUTABLE")),
            ("log_inc", t(columns=["a"], data=[[1]], log_mode="INCREMENTAL")),
            ("bad_mode", t(columns=["a"], log_mode="x")),
            ("colstr", t(columns="ab", data=[[1, 2]])),
            ("emptycol", t(columns=[""], data=[[1]])),
            ("dotcol", t(columns=["a.b", "c/d"], data=[[1, 2]])),
            ("tuplecols", t(columns=("a",), data=[(1,)])),
            ("npdt", t(dataframe=pd.DataFrame({"t": pd.to_datetime(["2020-01-01", None])}))),
            ("cat", t(dataframe=pd.DataFrame({"t": pd.Categorical(["a", "b"])}))),
            ("idx", t(dataframe=pd.DataFrame({"a": [1]}, index=["r"]))),
            ("multi", t(dataframe=pd.DataFrame({("a", "b"): [1]}))),
            ("dfmix", t(dataframe=pd.DataFrame({"a": [1, "x"]}))),
            ("dfnan", t(dataframe=pd.DataFrame({"a": [1, None]}))),
            ("dfnull", t(dataframe=pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}))),
            ("dfbool", t(dataframe=pd.DataFrame({"a": [True, False]}))),
            ("dfobj", t(dataframe=pd.DataFrame({"a": [[1], {"b": 2}]}))),
        ],
    )

    def inc():
        t = T(columns=["a"])
        t.add_data(1)
        t.add_row(2)
        t.add_column("b", [3, 4])
        t.add_computed_columns(lambda i, r: {"c": r["a"] + i})
        return one(env, t)

    out["grown"] = env.error(inc)

    def after():
        t = T(columns=["a"], data=[[1]])
        a = env.artifact()
        e = a.add(t, "v")
        t.add_data(2)
        b = env.artifact()
        f = b.add(t, "v")
        g = a.add(t, "v")
        h = a.add(t, "w", overwrite=True)
        return [e.size, f.size, g.size, str(h.path), sorted(a.manifest.entries)]

    out["after"] = env.error(after)
    return out


@case("table_keys")
def _(env):
    T = env.sdk.Table

    def pk():
        t = T(columns=["id", "v"], data=[["a", 1], ["b", 2]])
        t.set_pk("id")
        return one(env, t)

    def fk():
        t = T(columns=["id", "v"], data=[["a", 1], ["b", 2]])
        t.set_pk("id")
        u = T(columns=["k"], data=[["a"]])
        u.set_fk("k", t, "id")
        a = env.artifact()
        a.add(t, "t")
        a.add(u, "u")
        return show(env, a)

    def fk_first():
        t = T(columns=["id", "v"], data=[["a", 1]])
        t.set_pk("id")
        u = T(columns=["k"], data=[["a"]])
        u.set_fk("k", t, "id")
        a = env.artifact()
        a.add(u, "u")
        return show(env, a)

    def pki():
        t = T(columns=["id", "v"], data=[[1, 1], [2, 2]])
        t.set_pk("id")
        return one(env, t)

    def joined():
        a = env.artifact()
        t = T(columns=["id", "x"], data=[[1, 2]])
        u = T(columns=["id", "y"], data=[[1, 3]])
        a.add(t, "t")
        a.add(u, "u")
        a.add(env.sdk.JoinedTable(t, u, "id"), "j")
        return show(env, a)

    def joinedp():
        a = env.artifact()
        a.add(env.sdk.JoinedTable("t.table.json", "u.table.json", "id"), "j")
        return show(env, a)

    def joinedb():
        env.artifact().add(env.sdk.JoinedTable("t", "u", "id"), "j")

    def part(p="parts"):
        a = env.artifact()
        a.add(T(columns=["a"], data=[[1]]), "parts/1")
        a.add(T(columns=["a"], data=[[2]]), "parts/2")
        a.add(env.sdk.data_types.PartitionedTable(p), "whole")
        return show(env, a)

    return EL(
        env,
        [
            ("pk", pk),
            ("fk", fk),
            ("fk_first", fk_first),
            ("pki", pki),
            ("joined", joined),
            ("joinedp", joinedp),
            ("joinedb", joinedb),
            ("part", part),
            ("part2", lambda: part("parts/")),
            ("part3", lambda: part("nope")),
            ("part_pl", lambda: env.sdk.data_types.PartitionedTable(pathlib.Path("x"))),
            ("setpk_bad", lambda: T(columns=["a"], data=[[1]]).set_pk("zz")),
            ("setfk_bad", lambda: T(columns=["a"], data=[[1]]).set_fk("zz", T(columns=["a"]), "a")),
        ],
    )


@case("add_overwrite")
def _(env):
    T = env.sdk.Table
    out = {}
    a = env.artifact()
    t1 = T(columns=["a"], data=[[1]])
    t2 = T(columns=["a"], data=[[2]])
    e1 = a.add(t1, "t")
    e2 = a.add(t2, "t")
    out["kept"] = e1 is e2
    out["d"] = e2.digest == e1.digest
    out["ow"] = env.error(lambda: a.add(t2, "t", overwrite=True).digest)
    out["after"] = a.manifest.entries["t.table.json"].digest
    t3 = T(columns=["a"], data=[[3]])
    out["ow3"] = env.error(lambda: a.add(t3, "t", True).digest)
    out["paths"] = sorted(a.manifest.entries)
    out["t2again"] = env.error(lambda: [str(a.add(t2, "z").path), sorted(a.manifest.entries)])
    a.remove("t.table.json")
    out["removed_again"] = env.error(lambda: [str(a.add(t1, "t").path), sorted(a.manifest.entries)])
    b = env.artifact()
    b.add_file(env.write("f", "x"), name="t.table.json")
    out["over_file"] = env.error(lambda: b.add(t1, "t").size)
    out["over_file_ow"] = env.error(lambda: b.add(t1, "t", overwrite=True).size)
    c = env.artifact()
    c["k"] = t1
    out["set"] = sorted(c.manifest.entries)
    out["setret"] = env.error(c.__setitem__, "k2", t2).get("ok") is not None
    out["setbad"] = env.error(c.__setitem__, "k", 5)
    h = env.sdk.Html("x")
    d = env.artifact()
    d.add(h, "h")
    d.add(t1, "h")
    out["two"] = sorted(k.split("/")[0] for k in d.manifest.entries)
    out["local_name"] = [
        d.get_added_local_path_name(e.local_path) is not None
        for k, e in sorted(d.manifest.entries.items())
    ]
    out["skip"] = {
        k.split(".")[-2]: e.skip_cache
        for k, e in sorted(d.manifest.entries.items())
        if "/" not in k
    }
    f = env.artifact()
    f.finalize()
    out["final"] = env.error(f.add, 5, "x")
    return out
