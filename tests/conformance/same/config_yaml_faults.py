# Configuration files: forms, faults, several of them, keys to keep or leave out.
from confhelp import attempt, obs, sdk, write

write("a.yaml", "wandb_version: 1\nx:\n  value: 1\ny:\n  desc: d\n  value: {p: 1}\n")
write("b.yaml", "x:\n  value: 2\nz:\n  value: [1, 2]\n")
write("v2.yaml", "wandb_version: 2\nx:\n  value: 2\n")
write("plain.yaml", "x: 2\n")
write("noval.yaml", "x: {desc: 1}\n")
write("list.yaml", "- 1\n")
write("empty.yaml", "")
write("broken.yaml", "x: [1,\n")
write("scan.yaml", "x: 'a\n")
for n in ("v2", "plain", "noval", "list", "empty", "broken", "scan"):
    attempt(n, sdk.init, project="conf", id="y" + n, mode="offline", config=n + ".yaml")
    sdk.finish()
attempt("settings_list", sdk.Settings, config_paths=["a.yaml"])
run = sdk.init(
    project="conf",
    id="y1",
    mode="offline",
    config={"x": 9, "w": 1, "y": {"q": 2}},
    settings=sdk.Settings(config_paths=("a.yaml", "b.yaml")),
)
obs("init_paths", dict(run.config))
run.finish()
sdk.teardown()
sdk.setup(sdk.Settings(config_paths=("a.yaml", "b.yaml", "nothere.yaml"), mode="offline"))
run = sdk.init(project="conf", id="y2", config={"x": 9, "w": 1, "y": {"q": 2}})
obs("setup_paths", dict(run.config))
run.finish()
run = sdk.init(project="conf", id="y3", config="b.yaml", config_include_keys=["x"])
obs("include", dict(run.config))
run.finish()
run = sdk.init(project="conf", id="y4", config={"k": 1, "l": 2}, config_exclude_keys=["k"])
obs("exclude", dict(run.config))
run.finish()
attempt(
    "both",
    sdk.init,
    project="conf",
    id="y5",
    config={"k": 1},
    config_exclude_keys=["k"],
    config_include_keys=["k"],
)
obs("parse", sdk.helper.parse_config({"a": 1, "b": 2}, exclude=("a",)))
attempt("parse_both", sdk.helper.parse_config, {"a": 1}, exclude=("a",), include=("b",))
obs("parse_file", sdk.helper.parse_config("a.yaml"))
