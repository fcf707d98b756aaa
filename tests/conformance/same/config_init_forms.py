# What init(config=) accepts.
from confhelp import attempt, obs, sdk


class Obj:
    cls = 1

    def __init__(self):
        self.a = 1
        self._b = 2


for i, c in enumerate(
    [Obj(), {"x": {"y": 1}}, None, [1], "missing.yaml", 5, {1: 2}, {"k": object}]
):

    def go(c=c, i=i):
        r = sdk.init(project="conf", id=f"cfgform{i}", mode="offline", config=c)
        obs(f"cfg{i}", {k: str(v) for k, v in dict(r.config).items()})
        r.finish()

    attempt(f"form{i}", go)
attempt(
    "incl",
    lambda: sdk.init(
        project="conf",
        id="cfginc",
        mode="offline",
        config={"a": 1, "b": 2},
        config_include_keys=["a"],
    ).finish(),
)
attempt(
    "excl",
    lambda: sdk.init(
        project="conf",
        id="cfgexc",
        mode="offline",
        config={"a": 1, "b": 2},
        config_exclude_keys=["a"],
    ).finish(),
)
attempt(
    "both",
    lambda: sdk.init(
        project="conf",
        id="cfgboth",
        mode="offline",
        config={"a": 1},
        config_exclude_keys=["a"],
        config_include_keys=["b"],
    ).finish(),
)
sdk.finish()
obs("parse", sdk.helper.parse_config({"a": 1, "b": 2}, exclude=("a",)))
