# A user hook for uncaught exceptions runs behind the traceback.
import sys

from confhelp import obs, sdk


def hook(*a):
    obs("hook", a[0].__name__)
    print("user hook ran")


sys.excepthook = hook
run = sdk.init(project="conf", id="h1", mode="offline")
run.log({"a": 1})
print("out")
raise ValueError("boom")
