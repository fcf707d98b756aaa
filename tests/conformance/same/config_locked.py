# Parameters of a sweep and of a launcher are locked.
import json
import os

from confhelp import obs, sdk, write

write("sweep.yaml", "wandb_version: 1\nlr:\n  value: 0.7\nnest:\n  value: {a: 1}\n")
os.environ["WANDB_SWEEP_PARAM_PATH"] = "sweep.yaml"
os.environ["WANDB_SWEEP_ID"] = "sw1"
os.environ["WANDB_PROJECT"] = "fromenv"
os.environ["WANDB_RUN_ID"] = "swept"
run = sdk.init(
    project="conf", entity="me", mode="offline", config={"lr": 0.1, "nest": {"b": 2}, "o": 1}
)
obs("cfg", dict(run.config))
obs("proj", [run.project, run.entity, run.sweep_id])
run.config.update({"lr": 0.9, "o": 1})
run.config["lr"] = 5
run.config.lr = 6
obs("cfg2", dict(run.config))
run.finish()
sdk.teardown()
del os.environ["WANDB_SWEEP_PARAM_PATH"], os.environ["WANDB_SWEEP_ID"]
os.environ["WANDB_LAUNCH"] = "true"
os.environ["WANDB_CONFIG"] = json.dumps({"lr": 3, "deep": {"x": 1}})
os.environ["WANDB_RUN_ID"] = "fixed"
run = sdk.init(project="conf", mode="offline", config={"lr": 0.1, "deep": {"y": 2}})
obs("launch", [dict(run.config), run.project, run.id])
run.config.update({"deep": 1})
run.finish()
