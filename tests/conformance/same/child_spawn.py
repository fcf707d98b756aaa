# A spawned child gets the run by pickle.
import multiprocessing as mp

from confhelp import attempt, obs, sdk


def work(run, q):
    try:
        run.log({"child": 1})
        q.put(["ok", run.id])
    except BaseException as e:
        q.put([type(e).__name__, ""])


if __name__ == "__main__":
    run = sdk.init(project="conf", id="childspawn", mode="offline")
    run.log({"parent": 1})
    ctx = mp.get_context("spawn")
    q = ctx.Queue()
    p = ctx.Process(target=work, args=(run, q))
    p.start()
    r = q.get(timeout=60)
    p.join()
    obs("child", r)
    obs("exit", p.exitcode)
    run.log({"parent": 2})
    import copy
    import pickle

    attempt("pickle_same", lambda: pickle.loads(pickle.dumps(run)))
    obs("deepcopy", copy.deepcopy(run) is run)
    run.finish()
