# Values of jax, pandas and numpy.
import os
import warnings

warnings.simplefilter("ignore")
os.environ["JAX_PLATFORMS"] = "cpu"
import jax.numpy as jnp
import numpy as np
import pandas as pd
from confhelp import attempt, sdk

run = sdk.init(project="conf", id="jaxpandas", mode="offline")
vals = dict(
    j0=jnp.float32(1.5),
    j1=jnp.array([1, 2]),
    jb=jnp.array(2.5, dtype=jnp.bfloat16),
    jbv=jnp.array([1, 2], dtype=jnp.bfloat16),
    jbool=jnp.array(True),
    jlong=jnp.arange(40.0),
    jint=jnp.int32(3),
    j2=jnp.ones((2, 2)),
    s=pd.Series([1, 2, 3]),
    slong=pd.Series(np.arange(50)),
    sstr=pd.Series(["a", "b"]),
    ts=pd.Timestamp("2024-01-02 03:04:05"),
    tdelta=pd.Timedelta(seconds=3),
    na=pd.NA,
    nat=pd.NaT,
    idx=pd.Index([1, 2]),
    cat=pd.Categorical(["a", "b"]),
    i64=pd.Series([5])[0],
    f16=np.float16(0.1),
    f32=np.float32(0.1),
    i8=np.int8(-3),
    u64=np.uint64(2**63),
    b=np.bool_(True),
    s_=np.str_("x"),
    by=np.bytes_(b"q"),
    dt=np.datetime64("2024-01-01"),
    dts=np.datetime64("2024-01-01T01:02:03"),
    dtn=np.datetime64("2024-01-01T01:02:03.123456789"),
    tdn=np.timedelta64(5, "s"),
    nat_np=np.datetime64("NaT"),
    c=np.complex64(1 + 2j),
    z0=np.array(5),
    z1=np.array([7]),
    z2=np.array([[1, 2], [3, 4]]),
    e=np.array([]),
    l33=np.arange(33),
    l32=np.arange(32),
    nanlong=np.full(40, np.nan),
    somenan=np.r_[np.full(20, np.nan), np.arange(20)],
    inflong=np.r_[np.inf, np.arange(40)],
    strs=np.array(["a", "b"]),
    objs=np.array([1, "a", None], dtype=object),
    boolarr=np.array([True, False]),
    longbool=np.ones(40, bool),
    dtarr=np.array(["2024-01-01"], dtype="datetime64[D]"),
    dtarr2=np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[D]"),
    masked=np.ma.array([1, 2], mask=[0, 1]),
    struct=np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]),
    ld=np.longdouble(1.5),
    longstr=np.array(["a"] * 40),
    inlist=[np.float32(1), np.arange(3)],
    longinlist=[np.arange(40)],
    indict={"a": np.arange(40), "b": np.float64(2)},
    const=np.ones(50),
    negz=np.array([-0.0, 0.0]),
    lx=np.arange(40).reshape(8, 5),
    longint=[0] * 100,
    polys=np.matrix([[1, 2]]),
)
for n, v in vals.items():
    attempt("log_" + n, run.log, {n: v})
for n, v in vals.items():

    def f(n=n, v=v):
        run.summary["s_" + n] = v

    attempt("sum_" + n, f)
for n, v in vals.items():
    attempt("cfg_" + n, run.config.update, {"c_" + n: v})
df = pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [0.5, np.nan]})
attempt("df", run.log, {"df": df})
run.finish()
