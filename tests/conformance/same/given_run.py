# A run that another process was given: by a spawned process, by a pickle, by deepcopy.
import copy
import multiprocessing as mp
import pickle
import subprocess
import sys

from confhelp import attempt, obs, sdk


def work(run, q):
    try:
        run.log({"child": 1})
        q.put(["ok", run.id])
    except BaseException as e:
        q.put([type(e).__name__, ""])


def in_turn(run, n):
    run.log({"c": n})
    obs(f"spawned_{n}", [run.id, run.step >= 0])


def spawned():
    run = sdk.init(project="conf", id="childspawn", mode="offline")
    run.log({"parent": 1})
    ctx = mp.get_context("spawn")
    q = ctx.Queue()
    p = ctx.Process(target=work, args=(run, q))
    p.start()
    r = q.get(timeout=240)
    p.join()
    obs("child", r)
    obs("exit", p.exitcode)
    run.log({"parent": 2})
    attempt("pickle_same", lambda: pickle.loads(pickle.dumps(run)))
    obs("deepcopy", copy.deepcopy(run) is run)
    run.finish()


def spawned_in_turn():
    run = sdk.init(project="conf", id="mps", mode="offline")
    run.log({"p": 0})
    for n in range(2):
        p = mp.get_context("spawn").Process(target=in_turn, args=(run, n))
        p.start()
        p.join()
        obs(f"code_{n}", p.exitcode)
    run.log({"p": 4})
    run.finish()


def pickled():
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


if __name__ == "__main__" and len(sys.argv) > 1:
    given = pickle.loads(bytes.fromhex(sys.argv[1]))
    obs("id", given.id)
    given.log({"c": 1})
    given.log({"c": 2}, step=10)
elif __name__ == "__main__":
    spawned()
    spawned_in_turn()
    pickled()
