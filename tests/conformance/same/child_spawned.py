# A spawned process logs into the run that it was given.
import multiprocessing as mp

from confhelp import obs, sdk


def work(run, n):
    run.log({"c": n})
    obs("id", run.id)
    obs("step_ge", run.step >= 0)


def main():
    run = sdk.init(project="conf", id="mps", mode="offline")
    run.log({"p": 0})
    for n in range(3):
        p = mp.get_context("spawn").Process(target=work, args=(run, n))
        p.start()
        p.join()
        obs("code", p.exitcode)
    run.log({"p": 4})
    run.finish()


if __name__ == "__main__":
    main()
