"""Fills a project for the comparison of both `Api`s; run with the real client.

Usage: seed.py PROJECT REGISTRY
"""

import sys
import tempfile
from pathlib import Path

import wandb

project, registry_name = sys.argv[1:3]
folder = Path(tempfile.mkdtemp())


def version(name, kind, text, **facts):
    path = folder / "weights.txt"
    path.write_text(text)
    made = wandb.Artifact(name, kind, **facts)
    made.add_file(str(path))
    return made


def settle(run, artifact, **options):
    return run.log_artifact(artifact, **options).wait()


# What is told of the machine comes when it comes: perhaps not within so short a run.
silent = {"silent": True, "x_disable_stats": True, "x_disable_meta": True}
quiet = wandb.Settings(console="off", **silent)
with wandb.init(project=project, id="maker", settings=quiet) as run:
    for number in range(5):
        data = version(
            "data", "dataset", f"rows {number}", description=f"take {number}",
            metadata={"number": number, "loss": number / 10},
        )  # fmt: skip
        settle(run, data, aliases=["best"] if number == 2 else [], tags=[f"t{number % 2}"])
    model = settle(run, version("model", "model", "weights"), aliases=["good"])
    run.link_artifact(data, f"{project}/shown", aliases=["linked"])

noisy = wandb.Settings(console="wrap", **silent)
config = {"lr": 0.1, "opt": {"name": "adam"}}
facts = {"name": "rich", "group": "g", "tags": ["a", "b"], "config": config}
with wandb.init(project=project, id="rich", settings=noisy, **facts) as run:
    print("line 1")
    for step in range(6):
        row = {"loss": 1 / (step + 1)} | ({"half": step} if step % 2 else {"deep": {"er": step}})
        run.log(row)
    settle(run, version("of-rich", "dataset", "rich"))
    print("line 2")

registry = wandb.Api().create_registry(
    registry_name, "organization", description="what we serve", artifact_types=["model"]
)
with wandb.init(project=project, id="taker", settings=quiet) as run:
    used = run.use_artifact(f"{project}/data:best")
    run.link_artifact(
        wandb.Api().artifact(f"{project}/model:good"),
        f"wandb-registry-{registry_name}/served",
        aliases=["production"],
    )
    settle(run, version("report", "result", "all is well"))
