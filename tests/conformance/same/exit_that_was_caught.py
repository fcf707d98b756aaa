# An exit code that the script caught is none of a run that is finished explicitly.
import contextlib
import sys

from confhelp import sdk

run = sdk.init(project="conf", id="c1", mode="offline")
with contextlib.suppress(SystemExit):
    sys.exit(3)
run.log({"a": 1})
run.finish(0)
run = sdk.init(project="conf", id="c2", mode="offline")
run.log({"a": 1})
run.finish()
run = sdk.init(project="conf", id="c3", mode="offline")
with contextlib.suppress(SystemExit):
    sys.exit(4)
other = sdk.init(project="conf", id="c4", mode="offline", reinit="create_new")
other.finish()
run.finish()
