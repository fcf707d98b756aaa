# A run travels to another process as a pickle.
import pickle
import subprocess
import sys

from confhelp import obs, sdk

if len(sys.argv) > 1:
    run = pickle.loads(bytes.fromhex(sys.argv[1]))
    obs("id", run.id)
    run.log({"c": 1})
    run.log({"c": 2}, step=10)
    sys.exit(0)
run = sdk.init(project="conf", id="ps", mode="offline", config={"a": 1})
run.log({"p": 0})
r = subprocess.run(
    [sys.executable, __file__, pickle.dumps(run).hex()], capture_output=True, text=True
)
obs("rc", r.returncode)
if r.returncode:
    print(r.stderr[-1500:], file=sys.__stderr__)
run.log({"p": 3})
run.finish()
