# Tables with arrays, scalars of numpy and DataFrames.
# volatile: npz

import numpy as np
import pandas as pd
from confhelp import attempt, obs, sdk

T = sdk.Table
run = sdk.init(project="p", id="np", name="s", mode="offline")
run.log({"arr": T(columns=["a", "b"], data=np.array([[1, 2], [3, 4]]))})
run.log({"farr": T(columns=["a", "b"], data=np.array([[1, np.nan], [3, 4]]))})
t = T(columns=["v"], data=[[np.zeros(3)], [np.ones(3)]])
run.log({"vec": t})
t = T(columns=["v", "n"], data=[[np.zeros(200), 1], [np.ones(200), 2]])
run.log({"longvec": t})
t = T(columns=["mx"], data=[[np.zeros((2, 2))], [np.ones((2, 2))]])
run.log({"mat": t})
attempt("shape", t.add_data, np.zeros((3, 2)))
t = T(columns=["m"], data=[[np.zeros((2, 2))], [None]])
attempt("matnone", run.log, {"matnone": t})
s = T(columns=["i", "f", "b", "d", "dns", "s", "cx", "td"])
attempt(
    "row",
    s.add_data,
    np.int8(1),
    np.float16(1.5),
    np.bool_(True),
    np.datetime64("2024-01-02"),
    np.datetime64("2024-01-02T03:04:05.123456789"),
    np.str_("x"),
    np.complex64(1 + 2j),
    np.timedelta64(1, "s"),
)
attempt("scalars", run.log, {"scalars": s})
s = T(columns=["i", "f", "b", "d", "dns", "s"])
attempt(
    "row",
    s.add_data,
    np.int8(1),
    np.float16(1.5),
    np.bool_(True),
    np.datetime64("2024-01-02"),
    np.datetime64("2024-01-02T03:04:05.123456789"),
    np.str_("x"),
)
attempt("row2", s.add_data, 2, np.float64("nan"), False, None, None, "y")
attempt("scalars", run.log, {"scalars2": s})
df = pd.DataFrame(
    {
        "a": [1, 2, 3],
        "b": [1.5, None, 3],
        "s": ["x", None, "z"],
        "t": pd.to_datetime(["2024-01-01", "2024-01-02", None]),
        "c": pd.Categorical(["u", "v", "u"]),
        "bo": [True, False, True],
    }
)
attempt("df", T, dataframe=df)
df2 = df.drop(columns=["s"])
t = T(dataframe=df2)
obs("dfrows", [list(map(str, r)) for r in t.data])
attempt("logdf", run.log, {"df": t})
attempt("logdf2", run.log, {"dfraw": df2})
t = T(data=df2[["a"]])
run.log({"df3": t})
run.log({"df4": T(dataframe=pd.DataFrame({"s": ["x", "y"]}))})
run.log({"df5": T(dataframe=pd.DataFrame({"s": ["x", None]}, dtype=object))})
run.log({"df6": T(dataframe=pd.DataFrame([[1, 2], [3, 4]]))})
attempt("df7", T, dataframe=pd.DataFrame({("a", "b"): [1]}))
attempt("df8", T, dataframe=pd.DataFrame({"i": pd.array([1, None], dtype="Int64")}))
attempt("dfo", T, dataframe=pd.DataFrame({"i": pd.to_datetime(["2024-01-01"]).tz_localize("UTC")}))
run.log({"emptydf": T(dataframe=pd.DataFrame({"a": []}))})
t = T(columns=["ts"], data=[[pd.Timestamp("2024-01-02 03:04:05")]])
attempt("ts", run.log, {"ts": t})
g = T(columns=["a", "b"], data=[[1, "x"], [2, "y"]])
obs("frame", g.get_dataframe().to_dict("list"))
obs("npcol", g.get_column("a", convert_to="numpy").tolist())
g.add_column("np", np.array([1.5, 2.5]))
g.add_column("np2", np.array([[1, 2], [3, 4]]))
run.log({"g": g})
obs("types", [type(x).__name__ for x in g.data[0]])
run.finish()
