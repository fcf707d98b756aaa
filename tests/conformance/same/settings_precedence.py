# Settings: files, environment, code, arguments; later changes; refusals.
import os

from confhelp import attempt, obs, sdk

os.environ["WANDB_PROJECT"] = "envproj"
os.environ["WANDB_TAGS"] = "a,b"
os.environ["WANDB_NOTES"] = "envnotes"
os.environ["WANDB_RUN_GROUP"] = "envgroup"
os.environ["WANDB_JOB_TYPE"] = "envjob"
os.environ["WANDB_NAME"] = "envname"
os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB__LABEL"] = "lab"
run = sdk.init(
    id="setprec",
    settings=sdk.Settings(run_notes="codenotes", run_group="codegroup"),
    group="arggroup",
)
obs(
    "s",
    [
        run.project,
        list(run.tags),
        run.notes,
        run.group,
        run.job_type,
        run.name,
        run.settings.x_label,
        run.settings.mode,
    ],
)
os.environ["WANDB_NOTES"] = "changed"
run.finish()
run = sdk.init(id="setprec2", tags=["x"], notes="")
obs("s2", [run.project, list(run.tags), run.notes, run.group])
run.finish()
for kw in [
    dict(project="a/b"),
    dict(project="x" * 129),
    dict(id="a:b"),
    dict(id=""),
    dict(id=" a"),
    dict(tags=[""]),
    dict(tags=["x" * 65]),
    dict(mode="nope"),
    dict(resume="sure"),
    dict(reinit="what"),
    dict(name=5),
    dict(resume="allow", resume_from="a?_step=1"),
    dict(fork_from="abc"),
    dict(settings={"nope": 1}),
    dict(settings={"x_stats_sampling_interval": 0.01}),
    dict(settings={"console": "zzz"}),
    dict(settings={"init_timeout": "abc"}),
    dict(settings={"_label": "u"}),
    dict(settings={"x_primary_node": False}),
    dict(settings={"base_url": "noturl"}),
    dict(settings={"api_key": " x"}),
    dict(settings={"x_skip_transaction_log": True}),
    dict(job_type=""),
    dict(group=""),
    dict(notes=None),
    dict(settings={"console_chunk_max_bytes": -1}),
    dict(settings={"quiet": "true"}),
    dict(settings={"x_service_wait": -1}),
]:
    name = "-".join(f"{k}={v}"[:30] for k, v in kw.items())

    def go(kw=kw):
        kw = dict(kw)
        kw.setdefault("id", "set" + "".join(c for c in str(kw) if c.isalnum())[:40])
        r = sdk.init(**kw)
        obs(
            "ok " + str(kw)[:40],
            [r.project, list(r.tags), r.group, r.job_type, r.name if "name" in kw else None],
        )
        r.finish()

    attempt(name, go)
sdk.finish()
s = sdk.Settings()
attempt("assign_bad", lambda: setattr(s, "mode", "zz"))
attempt("assign_ok", lambda: setattr(s, "mode", "dryrun"))
attempt("assign_unknown", lambda: setattr(s, "foo", 1))
attempt("tags", lambda: sdk.Settings(run_tags="solo").run_tags)
obs("tagsv", list(sdk.Settings(run_tags="solo").run_tags))
obs("glob", list(sdk.Settings(ignore_globs=["*.x"]).ignore_globs))
obs("offline", s._offline)
obs("reinit", sdk.Settings(reinit=True).reinit if True else 0)
