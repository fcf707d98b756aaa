# KeyboardInterrupt in with
from confhelp import obs, sdk

try:
    with sdk.init(project="conf", id="i3", mode="offline") as run:
        run.log({"a": 1})
        raise KeyboardInterrupt
except KeyboardInterrupt:
    obs("caught", True)
try:
    with sdk.init(project="conf", id="i4", mode="offline") as run:
        run.log({"a": 1})
        raise SystemExit(5)
except SystemExit as e:
    obs("exit", e.code)
