# Exit forms: text, None, nested with, finish codes.
import sys

from confhelp import obs, sdk


def w(i, e):
    with sdk.init(project="conf", id=f"exit{i}", mode="offline") as r:
        r.log({"i": i})
        raise e


for i, e in enumerate(
    [ValueError("x"), SystemExit(0), SystemExit(5), SystemExit("t"), KeyboardInterrupt()]
):
    try:
        w(i, e)
    except BaseException as x:
        obs(f"e{i}", type(x).__name__)
r = sdk.init(project="conf", id="exitf0", mode="offline")
r.finish(0)
r = sdk.init(project="conf", id="exitf300", mode="offline")
r.finish(300)
r = sdk.init(project="conf", id="exitfneg", mode="offline")
r.finish(-1)
r = sdk.init(project="conf", id="exitlast", mode="offline")
r.log({"a": 1}, commit=False)
sys.exit("message")
