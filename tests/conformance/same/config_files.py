# config-defaults.yaml, config_paths and the argument together.
from confhelp import attempt, obs, sdk, write

write(
    "config-defaults.yaml",
    "wandb_version: 1\nlr:\n  desc: rate\n  value: 0.5\nonly_default:\n  value: [1, 2]\nshared:\n  value:\n    d: 1\n",
)
write("one.yaml", "lr:\n  value: 1\none:\n  value: 1\nshared:\n  value: {o: 1}\n")
write("two.yaml", "lr:\n  value: 2\ntwo:\n  value: 2\n")
run = sdk.init(
    project="conf",
    id="cfgfiles",
    mode="offline",
    config={"lr": 3, "arg": 4, "shared": {"a": 1}},
    settings={"config_paths": ["one.yaml", "two.yaml"]},
)
obs("cfg", {k: v for k, v in dict(run.config).items()})
run.finish()
write("bad.yaml", "wandb_version: 2\nlr:\n  value: 1\n")
attempt("badversion", sdk.init, project="conf", id="cfgbad", mode="offline", config="bad.yaml")
write("flat.yaml", "lr: 1\n")
attempt(
    "flat",
    lambda: sdk.init(project="conf", id="cfgflat", mode="offline", config="flat.yaml").finish(),
)
write("broken.yaml", "a: [1\n")
attempt(
    "broken",
    lambda: sdk.init(project="conf", id="cfgbroken", mode="offline", config="broken.yaml").finish(),
)
sdk.finish()
