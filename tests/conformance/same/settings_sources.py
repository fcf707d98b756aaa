# Settings files, environment, setup, init: which one wins, and what becomes of bad ones.
import os

from confhelp import attempt, obs, sdk, write

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
