# A KeyboardInterrupt ends the script.
from confhelp import sdk

run = sdk.init(project="conf", id="interrupt", mode="offline")
run.log({"x": 1})
print("before")
raise KeyboardInterrupt
