# Settings of a run after init, and what init refuses.
import os

from confhelp import attempt, obs, sdk

os.makedirs("sub", exist_ok=True)
run = sdk.init(
    project="conf",
    id="rs1",
    mode="offline",
    tags=["abc"],
    config={"a": 1},
    settings={"console": "off"},
    group="g",
    job_type="j",
    save_code=True,
    dir="sub",
)
s = run.settings


def base(value):
    return (
        None if value is None else str(value).replace(os.getcwd(), "CWD").replace("wandb", "trackd")
    )


NAMES = (
    *("program", "program_relpath", "program_abspath", "root_dir", "run_id", "project"),
    *("entity", "run_group", "run_job_type", "run_tags", "mode", "console"),
    *("save_code", "allow_val_change", "git_root", "x_label", "docker", "notebook_name"),
    *("resume", "reinit", "run_name", "disable_git", "settings_system", "quiet"),
    *("sweep_id", "wandb_dir", "run_mode", "resumed", "disable_code", "symlink"),
    *("x_sync_dir_suffix"),
)
obs("s", {name: base(getattr(s, name)) for name in NAMES})
obs("dirs", [os.path.basename(s.files_dir), s.sync_dir == os.path.dirname(run.dir)])
obs("timespec", [len(s.timespec), s.x_start_time is not None, s._offline, s._noop])
attempt("mut", run.settings.__setattr__, "project", "x")
obs("after", [run.project, run.settings.project])
attempt("chg", run.config.update, {"a": 2})
run.finish()
run = sdk.init(mode="disabled", config={"z": 1})
obs(
    "dis",
    [
        run.project,
        run.entity,
        run.name.startswith("dummy-"),
        run.settings.mode,
        run.settings.project,
        run.settings.entity,
        dict(run.config),
    ],
)
run.config.update({"z": 2})
run.config["q"] = 3
obs("dis2", dict(run.config))
run.finish()
attempt("nokw", lambda: sdk.init("ent", "proj", mode="disabled").finish())
r = sdk.init(project="a" * 128, id="rs3", mode="offline")
r.finish()
attempt("toolong", sdk.init, project="a" * 129, mode="offline")
attempt("badproj", sdk.init, project="a/b", mode="offline")
attempt("badid", sdk.init, id="a/b", mode="offline")
attempt("badtags", sdk.init, tags=["x" * 65], mode="offline")
attempt("badmode", sdk.init, mode="bad")
attempt("badset", sdk.init, mode="offline", settings={"nope": 1})
attempt("badreinit", sdk.init, mode="offline", reinit="nah")
attempt("badresume", sdk.init, mode="offline", resume="nah")
attempt("badname", sdk.init, mode="offline", name=5)
attempt("badkw", lambda: sdk.init(nope=1))
attempt("badconfig", sdk.init, mode="offline", config=[1])
attempt("both", sdk.init, mode="offline", resume="allow", resume_from="a?_step=1")
attempt("forkself", sdk.init, mode="offline", id="a", fork_from="a?_step=1")
attempt("rewother", sdk.init, mode="offline", id="a", resume_from="b?_step=1")
