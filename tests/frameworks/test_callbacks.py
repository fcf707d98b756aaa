"""What the reference has no like of, or not for the framework as it is today."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.twins import needs, ours

if TYPE_CHECKING:
    from pathlib import Path


KERAS = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import sdk
import numpy as np, keras
from trackd.integration.keras import WandbEvalCallback, WandbMetricsLogger, WandbModelCheckpoint
run = sdk.init(project="k", id="k1")
model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
rate = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
model.compile(optimizer=keras.optimizers.Adam(rate), loss="mse", metrics=["mae"])
x = np.random.rand(20, 3)
y = x.sum(1)
class Evaluation(WandbEvalCallback):
    def add_ground_truth(self, logs=None):
        for i in range(3):
            self.data_table.add_data(i, float(y[i]))
    def add_model_predictions(self, epoch, logs=None):
        for i, found in enumerate(self.model.predict(x[:3], verbose=0)):
            self.pred_table.add_data(epoch, self.data_table_ref.data[i][0], float(found[0]))
model.fit(x, y, epochs=2, batch_size=5, validation_data=(x, y), verbose=0, callbacks=[
    WandbMetricsLogger(), WandbModelCheckpoint("m{epoch}.keras"),
    Evaluation(["i", "y"], ["e", "i", "p"])])
model.fit(x, y, batch_size=5, verbose=0, callbacks=[WandbMetricsLogger(log_freq=2)])
run.summary["graph"] = sdk.Graph.from_keras(model)
run.finish()
"""

HANDLER = """
import sdk
import logging
from trackd.integration.logging import RunHandler
log = logging.getLogger("training")
log.setLevel("INFO")
log.addHandler(RunHandler())
log.error("before there is a run")
run = sdk.init(project="l", id="l1")
log.info("began with %s", "adam")
log.info("one step", extra={"metrics": {"loss": 0.5}})
log.info("odd", extra={"metrics": {"bad": object()}})
logging.raiseExceptions = False
run.finish()
log.error("after the run")
"""

LATE_HOOKS = """
import sdk, torch
net = torch.nn.Linear(2, 1)
run = sdk.init(project="w", id="w1")
run.watch(net, log="all", log_freq=1, log_graph=True)
run.finish()
assert not net._forward_hooks  # a run that is over leaves no hooks
net(torch.ones(1, 2)).sum().backward()
run.unwatch(net)
with sdk.init(project="w", id="w2") as second:
    second.watch(net, log="gradients", log_freq=1)
    net(torch.ones(1, 2)).sum().backward()
    second.log({"n": 1})
"""

PLUGINS = """
import sdk
import numpy as np, tensorboard.summary.writer.event_file_writer as files
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.histogram import summary_v2 as histogram
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.plugins.scalar import summary_v2 as scalar
from tensorboard.plugins.text import summary_v2 as text
from tensorboard.plugins.image import summary_v2 as image
run = sdk.init(project="tb", id="tb", sync_tensorboard=True, config={"lr": 1.0})
writer = files.EventFileWriter("logs/x")
def write(step, summary):
    writer.add_event(event_pb2.Event(step=step, wall_time=1.0, summary=summary))
write(1, scalar.scalar_pb("loss", 0.25))
write(2, histogram.histogram_pb("weights", np.arange(10.0), buckets=3))
write(3, text.text_pb("note", "hello"))
write(4, hparams.hparams_pb({"lr": 0.5, "layers": 3, "name": "net", "deep": True}, trial_id="t"))
run.finish()  # what the writer holds is flushed
"""


TENSORBOARDX = """
import sdk
from tensorboardX import SummaryWriter
run = sdk.init(project="tb", id="tbx", sync_tensorboard=True)
one, two = SummaryWriter("logs/a"), SummaryWriter("logs/b")
one.add_scalar("loss", 1.5, 1)
two.add_text("note", "hello", 2)
run.finish()  # what the writers hold is flushed
"""


async def test_keras_metrics_checkpoints_and_predictions(tmp_path: Path) -> None:
    needs("keras", "torch")
    document = await ours(tmp_path, KERAS)
    epochs = [row for row in document["history"] if "epoch/epoch" in row]
    assert [row["epoch/epoch"] for row in epochs] == [0, 1, 0]
    names = {f"epoch/{name}" for name in ("loss", "mae", "val_loss", "val_mae", "learning_rate")}
    assert names <= epochs[0].keys()
    assert epochs[0]["epoch/learning_rate"] > epochs[1]["epoch/learning_rate"]
    batches = [row for row in document["history"] if "batch/batch_step" in row]
    assert [row["batch/batch_step"] for row in batches] == [0, 2]
    axes = {m["name"]: m["step_metric"] for m in document["metrics"]}
    assert (axes["epoch/*"], axes["batch/*"]) == ("epoch/epoch", "batch/batch_step")
    logged = [(a["name"], a["aliases"]) for a in document["artifacts"]]
    assert logged == [
        ("val", ["latest"]),
        ("run_k1_model", ["epoch_0", "latest"]),
        ("run_k1_pred", ["latest"]),
        ("run_k1_model", ["epoch_1", "latest"]),
        ("run_k1_pred", ["latest"]),
    ]
    [graph] = [f["json"] for f in document["files"] if f["name"].endswith(".graph.json")]
    assert [node["class_name"] for node in graph["nodes"]] == ["Dense", "Dense"]
    assert len(graph["edges"]) == 1


async def test_messages_of_logging_are_lines_and_rows(tmp_path: Path) -> None:
    document = await ours(tmp_path, HANDLER)
    lines = [line.partition(": ")[2] for line in document["console"] if "training" in line]
    assert lines == ["began with adam", "one step", "odd"]
    assert [row["loss"] for row in document["history"] if "loss" in row] == [0.5]


async def test_hooks_of_a_run_that_is_over_raise_nothing(tmp_path: Path) -> None:
    needs("torch")
    document = await ours(tmp_path, LATE_HOOKS, "w2")
    [row] = document["history"]
    assert {"gradients/weight", "gradients/bias", "n"} <= row.keys()


async def test_values_of_tensorboards_plugins(tmp_path: Path) -> None:
    needs("tensorboard")
    document = await ours(tmp_path, PLUGINS)
    rows = {row["global_step"]: row for row in document["history"]}
    assert rows[1]["loss"] == 0.25
    assert rows[2]["weights"]["values"] == [3.0, 3.0, 4.0]
    assert rows[2]["weights"]["bins"] == [0.0, 3.0, 6.0, 9.0]
    assert rows[3]["note"] == "hello"
    # What the script set counts; what it did not, comes from the hyperparameters.
    assert document["config"] == {"lr": 1.0, "layers": 3, "name": "net", "deep": True}


async def test_writers_of_tensorboardx_are_followed(tmp_path: Path) -> None:
    needs("tensorboard", "tensorboardX")
    document = await ours(tmp_path, TENSORBOARDX)
    rows = [{k: v for k, v in row.items() if k[0] != "_"} for row in document["history"]]
    assert rows == [
        {"a/loss": 1.5, "global_step": 1},
        {"b/note/text_summary": "hello", "global_step": 2},
    ]
    assert [file["name"].partition("/")[0] for file in document["files"]] == ["a", "b"]
