# Frames, rows and cells of pandas in rows, summary and configuration.
import numpy as np
import pandas as pd
from confhelp import attempt, sdk

run = sdk.init(project="conf", id="frames", name="m", mode="offline")
df = pd.DataFrame({"i": [1, 2], "f": [1.5, np.nan], "s": ["a", None], "b": [True, False]})
attempt("plain", run.log, {"plain": df})
attempt("nest", run.log, {"out": {"in": df[["i"]]}})
attempt("two", run.log, {"a": df[["i"]], "b": df[["b"]]})
attempt(
    "dates", run.log, {"dates": pd.DataFrame({"d": pd.to_datetime(["2024-01-02", "2024-01-03"])})}
)
attempt("cat", run.log, {"cat": pd.DataFrame({"c": pd.Categorical(["a", "b"])})})
attempt("na", run.log, {"na": pd.DataFrame({"n": pd.array([1, None], dtype="Int64")})})
attempt("idx", run.log, {"idx": pd.DataFrame({"n": [1, 2]}, index=["x", "y"])})
attempt(
    "multi",
    run.log,
    {"multi": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")]))},
)
attempt("intcols", run.log, {"intcols": pd.DataFrame([[1, 2]])})
attempt("empty", run.log, {"empty": pd.DataFrame()})
attempt("emptyrows", run.log, {"emptyrows": pd.DataFrame({"a": []})})
attempt("groupby", run.log, {"gb": df.groupby("b")})
attempt("describe", run.log, {"desc": df.describe()})
attempt("todict", run.log, {"d": df.to_dict()})
attempt("rec", run.log, {"r": df.to_dict("records")})
attempt("row", run.log, df.iloc[0])
attempt("rowdict", run.log, df.iloc[0].to_dict())
attempt("vals", run.log, {"v": df[["i", "f"]].values})
attempt(
    "tonp",
    run.log,
    {
        "tn": df["i"].to_numpy(),
        "lst": df["f"].tolist(),
        "item": df["i"].iloc[0],
        "mx": df["f"].max(),
        "md": df["i"].mode()[0],
    },
)
attempt("sumdf", run.summary.update, {"sdf": df[["i"]]})
attempt(
    "cfgdf",
    run.config.update,
    {
        "cdf": df[["i"]],
        "cs": df["i"],
        "ts": pd.Timestamp("2024-01-02"),
        "cell": df["i"].iloc[0],
        "na": pd.NA,
        "nat": pd.NaT,
    },
)
run.finish()
