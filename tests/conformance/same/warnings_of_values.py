# Warnings about values that are lines of the console: images, videos, tables; labels of files.
import os
import time

import numpy as np

from confhelp import attempt, obs, sdk

sdk.Table.MAX_ROWS = 3
sdk.Table.MAX_ARTIFACT_ROWS = 4
run = sdk.init(project="conf", id="warnvals", mode="offline")
small, large = np.zeros((2, 2), np.uint8), np.zeros((3, 3), np.uint8)
run.log({"sizes": [sdk.Image(small), sdk.Image(large)]})
run.log({"many": [sdk.Image(small)] * 109})
table = sdk.Table(columns=["a"], data=[[i] for i in range(6)])
table.add_row(7)
run.log({"table": table})
run.define_metric("p/*", step_metric="s", summary="min", hidden=True)
run.log({"p/a": 3, "s": 1})
run.define_metric("p/a", summary="max")
run.define_metric("p/a", summary="mean")
run.define_metric("old", summary="copy,min")
run.log({"p/a": 5})
run.finish()
strict = sdk.Settings(table_raise_on_max_row_limit_exceeded=True)
run = sdk.init(project="conf", id="warnvals2", mode="offline", settings=strict)
attempt("too_long", run.log, {"t": sdk.Table(columns=["a"], data=[[i] for i in range(6)])})
run.finish()
for number, label in enumerate(("a:b*c", ".", "..", " x ", ".a", "a.", "\u3000a", "r/1")):
    settings = sdk.Settings(x_label=label)
    run = sdk.init(project="conf", id=f"label{number}", mode="offline", settings=settings)
    print("hello")
    folder = run.dir
    run.finish()
    names, tries = [], 2400  # an agent may write the file right after the end of the run
    while not names and tries:
        names, tries = [name for name in os.listdir(folder) if name.startswith("output")], tries - 1
        time.sleep(0 if names else 0.1)
    obs(label, names)
