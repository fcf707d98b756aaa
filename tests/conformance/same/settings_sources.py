# Settings: files, environment, setup, code, arguments: which one wins; refusals; later changes.
import os

from confhelp import attempt, obs, sdk, write

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

sdk.teardown()
for name in ("PROJECT", "TAGS", "NOTES", "RUN_GROUP", "JOB_TYPE", "NAME", "MODE", "_LABEL"):
    del os.environ[f"WANDB_{name}"]
conf = os.environ["WANDB_CONFIG_DIR"]
write(
    conf + "/settings",
    "[default]\nproject = user\nentity = user\nrun_group = user\nrun_name = user\n"
    "ignore_globs = a,b\nrun_tags = x,y\nmode = offline\nquiet = true\nx_label = lab\n",
)
write("wandb/settings", "[default]\nproject = work\nentity = work\n")
os.environ["WANDB_PROJECT"] = "env"
os.environ["WANDB_NOTES"] = "envnotes"
os.environ["WANDB_TAGS"] = "p,q"
os.environ["WANDB__LABEL"] = "envlabel"
os.environ["WANDB_IGNORE_GLOBS"] = "*.x,*.y"
os.environ["WANDB_HTTP_TIMEOUT"] = "33"
os.environ["WANDB_FILE_PUSHER_TIMEOUT"] = "34"
os.environ["WANDB_NONSENSE"] = "34"
os.environ["WANDB_JOB_TYPE"] = "jt"
os.environ["WANDB_X_STATS_GPU_DEVICE_IDS"] = "[1, 2]"
os.environ["WANDB_X_EXTRA_HTTP_HEADERS"] = '{"h": "v"}'
run = sdk.init(id="p1", settings={"run_group": "init", "run_notes": "initset"}, notes="arg")


def show(name):
    s = run.settings
    obs(
        name,
        [
            run.project,
            run.entity,
            run.group,
            run.name,
            run.notes,
            run.tags,
            run.job_type,
            s.x_label,
            list(s.ignore_globs),
            s.x_graphql_timeout_seconds,
            s.x_file_transfer_timeout_seconds,
            s.quiet,
            s.mode,
            s.x_stats_gpu_device_ids,
            s.x_extra_http_headers,
        ],
    )


show("one")
run.finish()
os.environ["WANDB_PROJECT"] = "env2"
run = sdk.init(id="p2")
show("two")
run.finish()
sdk.setup({"run_group": "setup"} if False else sdk.Settings(run_group="setup", project="setup"))
run = sdk.init(id="p3")
show("three")
run.finish()
sdk.teardown()
run = sdk.init(id="p4", settings=sdk.Settings(project="obj"), project=None)
show("four")
run.finish()
own = sdk.Settings(project="obj", mode="offline")
run = sdk.init(id="p5", settings=own, project="arg", name="nm")
show("five")
obs("inplace", [own.project, own.run_name, own.run_id])
run.settings.project = "changed"
obs("copy", run.settings.project)
run.finish()
sdk.teardown()
os.remove("wandb/settings")
write(conf + "/settings", "[default]\nmode = sideways\nproject = zz\n")
os.environ.pop("WANDB_PROJECT")
run = sdk.init(id="p6", mode="offline")
show("six")
run.finish()
sdk.teardown()
write(
    conf + "/settings",
    "[default]\nmode = offline\nroot_dir = /nowhere\nsettings_system = /x\nunknown = 1\n",
)
run = sdk.init(id="p7", mode="offline")
show("seven")
run.finish()
sdk.teardown()
write(
    conf + "/settings",
    "[default]\nmode = offline\nroot_dir = /nowhere\nanonymous = must\nrun_group=fine\n",
)
run = sdk.init(id="p8", mode="offline")
show("eight")
run.finish()
sdk.teardown()
os.environ["WANDB_MODE"] = "sideways"
attempt("badenv", sdk.init, id="p9")
os.environ["WANDB_MODE"] = "offline"
sdk.teardown()
os.environ["WANDB_RUN_ID"] = "envid"
os.environ["WANDB_RESUME"] = "allow"
sdk.teardown()
run = sdk.init()
obs("nine", [run.id, run.settings.resume])
run.finish()
