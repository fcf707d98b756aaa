# sys.exit caught, then normal end; finish(0) after
import sys
from confhelp import sdk

run = sdk.init(project="conf", id="c1", mode="offline")
try:
    sys.exit(3)
except SystemExit:
    pass
run.log({"a": 1})
run.finish(0)
run = sdk.init(project="conf", id="c2", mode="offline")
run.log({"a": 1})
run.finish()
run = sdk.init(project="conf", id="c3", mode="offline")
try:
    sys.exit(4)
except SystemExit:
    pass
run2 = sdk.init(project="conf", id="c4", mode="offline", reinit="create_new")
run2.finish()
run.finish()
