# Ctrl-C and sys.exit inside a with block.
import sys

from confhelp import obs, sdk


def interrupt():
    raise KeyboardInterrupt


try:
    with sdk.init(project="conf", id="i3", mode="offline") as run:
        run.log({"a": 1})
        interrupt()
except KeyboardInterrupt:
    obs("caught", True)
try:
    with sdk.init(project="conf", id="i4", mode="offline") as run:
        run.log({"a": 1})
        sys.exit(5)
except SystemExit as error:
    obs("exit", error.code)
