"""A script as users of wandb write it: every line must be fine for a type checker."""

import argparse
from datetime import timedelta
from pathlib import Path
from typing import assert_type

import numpy as np

import trackd as wandb


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1)
    return parser.parse_args()


def train() -> None:
    run = wandb.init(
        project="digits",
        config=parse(),
        tags=["baseline"],
        group="sweep",
        job_type="train",
        settings=wandb.Settings(console="off", x_stats_sampling_interval=5.0),
    )
    assert_type(run, wandb.Run)
    assert_type(run.id, str)
    assert_type(run.name, str | None)
    assert_type(run.tags, tuple[str, ...])
    assert_type(run.url, str | None)
    assert_type(run.offline, bool)
    run.tags += ("late",)
    run.notes = "with notes"
    lr = run.config.lr + run.config["lr"]
    run.config.update({"layers": [1, 2, 3]}, allow_val_change=True)
    run.define_metric("val/*", step_metric="epoch", summary="min,max")
    for step in range(10):
        run.log({"loss": lr / (step + 1), "nested": {"a": np.float32(1.0)}}, step=step)
        run.log({"histogram": np.zeros(100)}, commit=False)
    images = [wandb.Image(np.zeros((4, 4, 3)), caption=f"{n}") for n in range(3)]
    table = wandb.Table(columns=["id", "score"], data=[["a", 0.5]])
    table.add_data("b", 0.25)
    run.log({"images": images, "table": table, "audio": wandb.Audio(np.zeros(9), sample_rate=9)})
    run.log({"html": wandb.Html("<b>x</b>"), "distribution": wandb.Histogram([1, 2, 3])})
    run.log({"chart": wandb.plot.line(table, x="id", y="score", title="scores")})
    run.log({"matrix": wandb.plot.confusion_matrix(y_true=[0, 1], preds=[1, 0])})
    run.alert("diverged", "loss is up", level=wandb.AlertLevel.WARN, wait_duration=timedelta(1))
    run.save("*.txt", base_path=Path(), policy="now")
    run.log_code(".", include_fn=lambda path: path.endswith(".py"))
    run.summary["best"] = 1.0
    run.summary.update({"second": 2})
    run.mark_preempting()
    run.finish(exit_code=0)


def globals_as_well() -> None:
    with wandb.init(mode="offline", reinit="finish_previous", resume="allow", id="abc") as run:
        wandb.log({"x": 1})
        wandb.config["y"] = 2
        wandb.summary["z"] = 3
        wandb.define_metric("x", summary="max")
        wandb.alert(title="t", text="u")
        if wandb.run is not None:
            assert_type(wandb.run, wandb.Run)
        run.log({})
    try:
        wandb.init(project="a/b")
    except wandb.UsageError as error:
        print(error)
    wandb.finish()


if __name__ == "__main__":
    train()
    globals_as_well()
