# log_code with filters and names.
from confhelp import attempt, obs, sdk, write

for p in (
    "src/a.py",
    "src/b.txt",
    "src/sub/c.py",
    "src/wandb/x.py",
    "src/Dockerfile",
    "src/requirements.txt",
    "src/.hidden.py",
    "src/n.ipynb",
):
    write(p, "x")
run = sdk.init(project="conf", id="codeart", mode="offline")
obs("n1", (run.log_code("src") or type("n", (), {"name": None})).name)
attempt("n2", run.log_code, "src", name="my code!", include_fn=lambda p: p.endswith(".txt"))
attempt(
    "n3",
    run.log_code,
    "src",
    include_fn=lambda p, root: True,
    exclude_fn=lambda p, root: "sub" in p,
)
attempt("none", run.log_code, "src", include_fn=lambda p: False)
attempt("noroot", run.log_code, "nodir")
art = sdk.Artifact("tbl", type="ds")
art.add(sdk.Table(columns=["a"], data=[[1]]), "tab")
run.log_artifact(art)
attempt("path_missing", run.log_artifact, "nofile")
attempt("badobj", run.log_artifact, 5)
attempt("bad_alias", run.log_artifact, "src/a.py", name="ok", aliases=["a/b"])
attempt("bad_name", run.log_artifact, "src/a.py", name="a b")
attempt("bad_tag", run.log_artifact, "src/a.py", name="tg", tags=["good", "b@d"])
attempt("uri", run.log_artifact, "depot://x/y", name="u", type="t")
attempt("model", run.log_model, "src/a.py", name="mod", aliases=["p"])
attempt("upsert", run.upsert_artifact, "src/a.py", name="up", type="t")
attempt("ups_id", run.upsert_artifact, "src/a.py", name="up", type="t", distributed_id="d1")
attempt("fin_id", run.finish_artifact, "src/a.py", name="up", type="t", distributed_id="d1")
attempt("linkm", run.link_model, "src/a.py", "a/b")
run.finish()
