# teardown finishes all open runs; init works afterwards.
from confhelp import attempt, obs, sdk

a = sdk.init(project="conf", id="tear1", mode="offline")
a.log({"x": 1})
b = sdk.init(project="conf", id="tear2", mode="offline", reinit="create_new")
b.log({"y": 1}, commit=False)
sdk.teardown(exit_code=3)
obs("run", sdk.run is a)
attempt("twice", sdk.teardown)
c = sdk.init(project="conf", id="tear3", mode="offline")
obs("glob", sdk.run is c)
c.log({"z": 1})
sdk.finish(exit_code=0)
obs("none", sdk.run is None)
attempt("fin2", sdk.finish)
