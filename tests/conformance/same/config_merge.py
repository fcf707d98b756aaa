# Nested configuration: merges, locks, deletions, odd keys.
import argparse

from confhelp import attempt, obs, sdk

ns = argparse.Namespace(lr=0.1, opt={"name": "adam", "betas": (0.9, 0.99)})
run = sdk.init(project="conf", id="cfgmerge", mode="offline", config=ns)
run.config.update({"opt": {"wd": 0.1}}, allow_val_change=True)
obs("opt", run.config["opt"])
run.config.update({"a": {"b": {"c": 1}}})
run.config.update({"a": {"b": {"d": 2}}}, allow_val_change=True)
run.config["e"] = {}
run.config["f"] = {"g": {}}
attempt("same", run.config.update, {"lr": 0.1})
attempt("other", run.config.update, {"lr": 0.2})


def seti(k, v):
    run.config[k] = v


def seta(k, v):
    setattr(run.config, k, v)


attempt("item_change", seti, "lr", 0.3)
attempt("attr_change", seta, "lr", 0.3)
attempt("dash", seti, "--dashed-key-", 1)
attempt("intkey", seti, 5, 1)
attempt("under", seti, "_private", 1)
attempt("dotted", seti, "x.y", 1)
attempt("slash", seti, "x/y", 1)
obs("keys", sorted(str(k) for k in run.config.keys()))
obs("dict", sorted(str(k) for k in dict(run.config)))
obs("in", "lr" in run.config)
obs("len_items", len(list(run.config.items())))
obs("get", run.config.get("nope", 7))
attempt("missing", lambda: run.config["nope"])
attempt("missing_attr", lambda: run.config.nope)
run.config.setdefaults({"lr": 9, "newdef": 1, "opt": {"name": "sgd", "extra": 2}})
obs("opt2", run.config["opt"])
run.config["a"]["b"]["local"] = 1
run.config.update({"a": {"z": 1}}, allow_val_change=True)
run.config.setdefault("sd", 4) if hasattr(run.config, "setdefault") else None
run.config.update(None) if False else None
attempt("upd_list", run.config.update, [("k", 1)])
attempt("upd_none", run.config.update, None)
attempt("upd_kw", lambda: run.config.update(kw=1))
attempt("upd_obj", run.config.update, ns)
attempt("del", lambda: run.config.__delitem__("lr"))
attempt("locked", run.config.update_locked, {"lock": 1}, "sweep")
attempt("locked2", run.config.update_locked, {"lr": 5}, "sweep")
attempt("locked_write", seti, "lock", 2)
obs("lock", run.config["lock"])
obs("lr", run.config["lr"])
attempt("static", lambda: setattr(run.config_static, "lr", 1))
obs("static_lr", run.config_static.lr if hasattr(run.config_static, "lr") else None)
obs("asdict", sorted(run.config.as_dict()))
obs("repr", isinstance(repr(run.config), str))
run.config.update(
    {
        "nanv": float("nan"),
        "infv": float("inf"),
        "none": None,
        "s": {
            3,
        },
        "t": (1, 2),
        "long": "x" * 3000,
    }
)
run.finish()
attempt("after", seti, "late", 1)
