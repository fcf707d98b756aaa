# The same id again: a run of its own.
from confhelp import obs, sdk

a = sdk.init(project="conf", id="twice", mode="offline", config={"a": 1})
a.log({"x": 1})
b = sdk.init(project="conf", id="twice", mode="offline", config={"b": 1})
obs("same", a is b)
b.log({"x": 2})
b.finish()
c = sdk.init(project="conf", id="twice", mode="offline", name="second")
c.log({"y": 1})
obs("step", c.step)
c.finish()
