# Children made by fork, directly and by multiprocessing, use the run of their parent.
import multiprocessing as mp
import os

from confhelp import obs, sdk


def work(run, n):
    run.log({"c": n})
    run.config.update({f"c{n}": n}, allow_val_change=True)
    run.summary[f"s{n}"] = n
    obs(f"id_{n}", run.id)


def pooled(n):
    sdk.log({"pooled": n})
    return n


def main():
    run = sdk.init(project="conf", id="forks", mode="offline")
    run.log({"p": 0})
    pid = os.fork()
    if pid == 0:
        run.log({"c": 1})
        run.log({"c": 2}, commit=False)
        run.summary["from_child"] = 1
        run.config["of_child"] = 5
        os._exit(0)
    os.waitpid(pid, 0)
    run.log({"p": 3})
    for n in range(2):
        process = mp.get_context("fork").Process(target=work, args=(run, n))
        process.start()
        process.join()
        obs(f"code_{n}", process.exitcode)
    with mp.get_context("fork").Pool(1) as pool:
        obs("pooled", pool.map(pooled, range(3)))
    run.log({"p": 4})
    run.finish()


main()
