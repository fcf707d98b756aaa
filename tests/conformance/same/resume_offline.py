# resume= has no effect offline.
from confhelp import attempt, obs, sdk

run = sdk.init(project="conf", id="same", config={"x": 1}, mode="offline", resume="allow")
obs("resumed", run.resumed)
run.log({"v": 1})
run.log({"v": 2})
run.finish()
run = attempt(
    "must", sdk.init, project="conf", id="same", config={"y": 2}, mode="offline", resume="must"
)
obs("step", run.step)
obs("resumed", run.resumed)
obs("starting", run.starting_step)
run.log({"w": 1})
run.finish()
run = attempt("never", sdk.init, project="conf", id="same", mode="offline", resume="never")
run.log({"w": 1})
run.finish()
