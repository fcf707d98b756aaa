# define_metric: nested names, globs, step sync.
from confhelp import attempt, obs, sdk

run = sdk.init(project="conf", id="defedges", mode="offline")
d = run.define_metric
d("epoch")
d("val/*", step_metric="epoch")
d("val/acc", summary="max")
d("a.b", step_metric="epoch", step_sync=False)
d("a\\.c", summary="min")
d("x.*", hidden=True, summary="mean")
d("tr*", step_metric="ts", summary="last")
run.log({"val/loss": 1})
run.log({"epoch": 3, "val/loss": 2, "val/acc": 0.1})
run.log({"val/acc": 0.2, "a": {"b": 1}, "a.c": 4})
run.log({"train": 1, "x": {"y": 1}})
run.log({"ts": 5})
run.log({"train": 2}, commit=False)
run.log({"ts": 9})
d("val/loss", step_metric="other", overwrite=True)
run.log({"val/loss": 3})
d("val/loss", summary="none")
d("val/loss", summary="max")
d("val/acc", hidden=True)
d("val/acc", hidden=False)
for n, a, k in [
    ("empty", ("",), {}),
    ("star", ("a*b",), {}),
    ("starstar", ("a**",), {}),
    ("none", (None,), {}),
    ("int", (5,), {}),
    ("sum", ("q",), dict(summary="avg")),
    ("sumsp", ("q",), dict(summary="min, max")),
    ("case", ("q1",), dict(summary="MIN,Max")),
    ("goal", ("q",), dict(goal="minimize")),
    ("best", ("q",), dict(summary="best")),
    ("copy", ("q2",), dict(summary="copy")),
    ("stepint", ("q",), dict(step_metric=5)),
    ("hid", ("q",), dict(hidden="yes")),
    ("sync", ("q",), dict(step_sync=1)),
    ("stepglob", ("q3",), dict(step_metric="s*")),
    ("under", ("_x",), {}),
    ("sumlist", ("q",), dict(summary=["min"])),
    ("emptysum", ("q4",), dict(summary="")),
    ("dotstar", ("n.*",), dict(summary="max")),
]:
    attempt(n, d, *a, **k)
m = d("obj", step_metric=d("st"))
obs("m", [m.name, m.step_metric, m.step_sync, m.hidden, m.summary])
run.log({"obj": 1, "n": {"o": 1, "p": {"q": 2}}, "_under": 3})
run.log({"st": "text", "obj": 2})
run.log({"st": 2.5})
run.log({"obj": 3})
run.finish()
