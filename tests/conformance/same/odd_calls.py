# Odd arguments of log() and config: kinds of mappings, steps, keys, equal values.
import argparse
import collections
import enum
import threading
import types

import numpy as np
from confhelp import attempt, obs, sdk

run = sdk.init(
    project="conf",
    id="bar",
    name="m",
    mode="offline",
    config=argparse.Namespace(lr=np.float32(0.1), names={0: "a", 1: "b"}, fn=len, en=None),
)
obs("names", sorted(run.config["names"]))
attempt("chg", run.config.update, {"names": {0: "z"}})
run.config.update({"names": {0: "z"}}, allow_val_change=True)
run.config["arr"] = np.arange(3)
run.config["arr"] = [0, 1, 2]
attempt("same_tuple", run.config.update, {"arr": (0, 1, 2)})
run.config["nan"] = float("nan")
attempt("nan_again", run.config.update, {"nan": float("nan")})
run.config["f"] = 1
attempt("float_same", run.config.update, {"f": 1.0})
attempt("bool_same", run.config.update, {"f": True})
obs("lr", type(run.config["lr"]).__name__)
obs("fn", run.config["fn"])
obs("as_dict", {k: repr(v) for k, v in run.config.as_dict().items() if not k.startswith("_")})


class Up(dict):
    pass


run.log(Up(a=1))
run.log(collections.OrderedDict(b=2))
attempt("proxy", run.log, types.MappingProxyType({"c": 3}))
attempt("chain", run.log, collections.ChainMap({"d": 1}))
attempt("ud", run.log, collections.UserDict({"e": 1}))
attempt("listpairs", run.log, [("a", 1)])
attempt("none", run.log, None)
attempt("str", run.log, "x")
attempt("kw", lambda: run.log(data={"kw": 1}, step=None, commit=None))
attempt("stepfloat", run.log, {"s": 1}, step=2.5)
attempt("stepstr", run.log, {"s": 1}, step="3")
attempt("stepnp", run.log, {"s": 1}, step=np.int64(20))
attempt("stepbool", run.log, {"s": 1}, step=True)
attempt("stepneg", run.log, {"s": 1}, step=-1)
attempt("sync", lambda: run.log({"a": 1}, sync=True))


class S(enum.StrEnum):
    K = "skey"


run.log({S.K: 1, np.str_("npk"): 2})
d = {"x": 1}
run.log(d)
obs("unmod", d)


def th():
    for i in range(5):
        run.log({"th": i})


t = threading.Thread(target=th)
t.start()
t.join()
run.finish()
