# reinit in all forms, global functions, nested with blocks, setup.
import threading

from confhelp import attempt, obs, sdk

sdk.setup(settings=sdk.Settings(run_group="setupgroup"))
a = sdk.init(project="conf", id="re1", mode="offline")
obs("group", a.group)
b = sdk.init(project="conf", id="re2", mode="offline", reinit="finish_previous")
obs("b", [b is a, sdk.run is b])
attempt("a_log", a.log, {"x": 1})
c = sdk.init(project="conf", id="re3", mode="offline", reinit="create_new")
obs("c", [sdk.run is b, c is b])
sdk.log({"g": 1})
c.log({"c": 1})
d = sdk.init(project="conf", id="re4", mode="offline", reinit="return_previous")
obs("d", [d is c, d is b])
attempt("must", sdk.init, project="conf", id="re5", mode="offline", resume="must")
e = sdk.init(project="conf", id="re6", mode="offline", reinit=True)
obs("e", [sdk.run is e, sdk.run.id])
attempt("c_after", c.log, {"x": 1})
with sdk.init(project="conf", id="re7", mode="offline", reinit="create_new") as f:
    f.log({"f": 1})
    obs("in_with", sdk.run is e)
    with sdk.init(project="conf", id="re8", mode="offline", reinit="create_new") as g:
        g.log({"g": 1})
obs("after_with", sdk.run is e)


def t():
    e.log({"thread": 1})
    sdk.config["fromthread"] = 1


th = threading.Thread(target=t)
th.start()
th.join()
e.finish()
obs("none", sdk.run is None)
h = sdk.init(project="conf", id="re9", mode="offline", resume="allow")
obs("resumed", [h.resumed, h.starting_step])
h.finish()
attempt(
    "fork",
    lambda: sdk.init(project="conf", id="re10", mode="offline", fork_from="re9?_step=3").finish(),
)
attempt(
    "rewind",
    lambda: sdk.init(project="conf", id="re9", mode="offline", resume_from="re9?_step=3").finish(),
)
attempt(
    "rewind_other",
    lambda: sdk.init(project="conf", id="re11", mode="offline", resume_from="re9?_step=3").finish(),
)
attempt(
    "fork_self",
    lambda: sdk.init(project="conf", id="re9", mode="offline", fork_from="re9?_step=3").finish(),
)
attempt("auto", lambda: sdk.init(project="conf", mode="offline", resume="auto", id="re12").finish())
attempt("dir", lambda: sdk.init(project="conf", id="re13", mode="offline", dir="sub/deep").finish())
obs("login", sdk.login(key="a" * 40, verify=False) if False else True)
