# What another init does, in every form; disabled runs among real ones; with blocks; setup.
import threading

from confhelp import attempt, obs, sdk

a = sdk.init(project="conf", id="r1", mode="offline", config={"x": 1})
b = sdk.init(project="other", id="r2", name="zzz", config={"y": 2}, mode="offline")
obs("same", a is b)
obs("cfg", dict(a.config))
attempt("must", sdk.init, project="conf", id="r1", resume="must", mode="offline")
c = sdk.init(project="conf", id="r3", mode="offline", reinit="create_new")
obs("glob", sdk.run is a)
sdk.log({"g": 1})
c.log({"c": 1})
d = sdk.init(project="conf", id="r4", mode="offline")
obs("d_is_c", d is c)
obs("glob2", sdk.run is a)
c.finish()
obs("glob3", sdk.run is a)
e = sdk.init(project="conf", id="r5", mode="offline", reinit="finish_previous")
obs("glob4", sdk.run is e)
attempt("a_log", a.log, {"q": 1})
f = sdk.init(project="conf", id="r6", mode="offline", reinit=True)
obs("glob5", [sdk.run is f, sdk.run.id])
g = sdk.init(project="conf", id="r7", mode="offline", reinit=False)
obs("same2", g is f)
h = sdk.init(project="conf", id="r8", mode="offline", reinit="create_new")
f.finish()
obs("glob6", sdk.run is None)
i = sdk.init(project="conf", id="r9", mode="offline")
obs("i_is_h", i is h)
obs("glob7", sdk.run is h)
obs("glob7n", sdk.run is None)
attempt("bad", sdk.init, project="conf", mode="offline", reinit="what")
h.finish()
j = sdk.init(project="conf", id="r10", mode="disabled")
k = sdk.init(project="conf", id="r11", mode="offline")
obs("k_is_j", k is j)
last = sdk.init(project="conf", id="r12", mode="disabled", reinit="create_new")
obs("l", sdk.run is last)
sdk.teardown()

sdk.setup(settings=sdk.Settings(run_group="setupgroup"))
b = sdk.init(project="conf", id="re2", mode="offline")
obs("group", b.group)
c = sdk.init(project="conf", id="re3", mode="offline", reinit="create_new")
d = sdk.init(project="conf", id="re4", mode="offline", reinit="return_previous")
obs("returned", [d is c, d is b])
attempt("must_other", sdk.init, project="conf", id="re5", mode="offline", resume="must")
e = sdk.init(project="conf", id="re6", mode="offline", reinit=True)
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
for name, options in {
    "fork": {"id": "re10", "fork_from": "re9?_step=3"},
    "rewind": {"id": "re9", "resume_from": "re9?_step=3"},
    "rewind_other": {"id": "re11", "resume_from": "re9?_step=3"},
    "fork_self": {"id": "re9", "fork_from": "re9?_step=3"},
    "auto": {"id": "re12", "resume": "auto"},
    "dir": {"id": "re13", "dir": "sub/deep"},
}.items():
    attempt(name, lambda o=options: sdk.init(project="conf", mode="offline", **o).finish())
