# SIGINT arrives while the script computes.
import os
import signal
import time

from confhelp import obs, sdk

run = sdk.init(project="conf", id="sigint", mode="offline")
run.log({"x": 1})
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
except KeyboardInterrupt:
    obs("caught", True)
    run.log({"x": 2})
run.finish(exit_code=7)
obs("exc", 1)
raise SystemExit(4)
