# Children made by fork use the parent's run.
import multiprocessing as mp

from confhelp import obs, sdk


def work(run, i):
    run.log({"child": i})
    run.config.update({f"c{i}": i}, allow_val_change=True)
    run.summary[f"s{i}"] = i


if __name__ == "__main__":
    run = sdk.init(project="conf", id="childproc", mode="offline")
    run.log({"parent": 1})
    ctx = mp.get_context("fork")
    for i in range(2):
        p = ctx.Process(target=work, args=(run, i))
        p.start()
        p.join()
        obs(f"exit{i}", p.exitcode)
    run.log({"parent": 2})
    run.finish()
