# Two runs and an open row at an uncaught exception.
from confhelp import sdk

a = sdk.init(project="conf", id="m1", mode="offline", reinit="create_new")
b = sdk.init(project="conf", id="m2", mode="offline", reinit="create_new")
a.log({"a": 1})
b.log({"b": 1})
a.log({"a": 2}, commit=False)
[][0]
