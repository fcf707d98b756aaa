# Odd ways to fill and to read the configuration.
import collections
import datetime
import types

from confhelp import attempt, obs, sdk, write

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
