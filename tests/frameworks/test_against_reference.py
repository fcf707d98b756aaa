"""Frameworks: what their callbacks record with ours is what the reference's record.

The frameworks come with the extra `frameworks`; a test whose framework is missing is skipped.
Where the reference has a callback of its own for the framework as it is today, the same script
runs under both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.support.twins import artifacts, comparable, needs, ours, reference

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


WATCH = """
import sdk, torch
torch.manual_seed(0)
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
        self.emb = torch.nn.Embedding(5, 4, sparse=True)
        self.head = torch.nn.Linear(8, 2)
        self.head.bias.requires_grad_(False)
        self.scale = torch.nn.Parameter(torch.ones(8))
    def forward(self, x, i):
        return self.head(self.body(x + self.emb(i)) * self.scale)
run = sdk.init(project="w", id="w1")
net, other = Net(), torch.nn.Linear(4, 2)
sdk.watch(net, log="all", log_freq=2, log_graph=True)
sdk.watch(other, log="all", log_freq=1)
index = torch.tensor([0, 1, 2, 0, 1, 2])
for step in range(4):
    x = torch.ones(6, 4) * (step + 1)
    (net(x, index).pow(2).mean() + other(x).sum()).backward()
    sdk.log({"step": step})
run.unwatch(net)
run.unwatch()
net(torch.ones(6, 4), index).sum().backward()
odd = torch.nn.Linear(2, 2)
with torch.no_grad():
    odd.weight[0, 0], odd.weight[0, 1] = float("nan"), float("inf")
    odd.bias.fill_(float("nan"))
sdk.watch([odd, torch.nn.Linear(1, 1).half()], log="parameters", log_freq=1)
odd(torch.ones(1, 2))
sdk.log({"end": 1})
sdk.finish()
"""

TENSORBOARD = """
import sdk, time
import numpy as np
from torch.utils.tensorboard import SummaryWriter
run = sdk.init(project="tb", id="tb", sync_tensorboard=True)
w = SummaryWriter("logs")
for step in range(3):
    w.add_scalar("train/loss", 1 / (step + 1), step)
    w.add_scalar("acc", step, step)
    run.log({"own": step}, step=100 * step)
w.add_histogram("some", np.array([1.0, 2, 3, 4, 5, 6]), 3, bins="auto")
w.add_histogram("many", np.arange(100000.0) - 50000, 4)
w.add_image("im/x", np.zeros((3, 4, 5), dtype=np.float32), 5)
w.add_pr_curve("pr", np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.8, 0.3]), 6, num_thresholds=5)
w.add_scalar("late", 9.0, 2)
w.add_scalar("new", 3.5, 8, new_style=True)
w.add_tensor("tensor", __import__("torch").arange(5.0), 8)
w.add_scalar("c/x.y", float("nan"), 9)
w.close()
time.sleep(0.5)
run.finish()
"""

XGBOOST = """
import sdk
import numpy as np, xgboost as xgb
from INTEGRATION.xgboost import WandbCallback
np.random.seed(0)
sdk.init(project="k", id="x1")
x = np.random.rand(50, 3)
y = (x.sum(1) > 1.5).astype(int)
model = xgb.XGBClassifier(n_estimators=4, max_depth=2, eval_metric=["logloss", "auc"],
                          early_stopping_rounds=3, callbacks=[WandbCallback(log_model=True)])
model.fit(x, y, eval_set=[(x, y)], verbose=False)
sdk.finish()
"""

LIGHTGBM = """
import sdk
import numpy as np, lightgbm as lgb
from INTEGRATION.lightgbm import wandb_callback, log_summary
np.random.seed(0)
sdk.init(project="k", id="l1")
x = np.random.rand(100, 3)
y = (x.sum(1) > 1.5).astype(int)
data = lgb.Dataset(x, y)
params = {"objective": "binary", "metric": ["binary_logloss", "auc"], "verbose": -1}
booster = lgb.train(params, data, num_boost_round=4, valid_sets=[data], valid_names=["val"],
                    callbacks=[wandb_callback()])
log_summary(booster, save_model_checkpoint=True)
sdk.finish()
"""

LIGHTNING = """
import sdk
import torch, warnings
warnings.simplefilter("ignore")
import lightning.pytorch as pl
from LIGHTNING import WandbLogger
class Module(pl.LightningModule):
    def __init__(self, lr=0.1, act=torch.nn.ReLU):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(3, 1)
    def training_step(self, batch, index):
        loss = self.layer(batch[0]).pow(2).mean()
        self.log("train/loss", loss)
        return loss
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.hparams.lr)
pl.seed_everything(0)
data = torch.utils.data.TensorDataset(torch.rand(20, 3))
loader = torch.utils.data.DataLoader(data, batch_size=5)
logger = WandbLogger(project="pl", id="pl1", mode="offline", log_model="all", prefix="p")
module = Module()
logger.watch(module, log_freq=2)
pl.Trainer(max_epochs=2, logger=logger, log_every_n_steps=1, enable_progress_bar=False,
           enable_model_summary=False, accelerator="cpu").fit(module, loader)
logger.log_image("im", [torch.zeros(3, 4, 4)], caption=["c"])
logger.log_text("tx", columns=["a"], data=[["b"]])
assert (logger.name, logger.version) == ("pl", "pl1")
sdk.finish()
"""

TRANSFORMERS = """
import sdk
import os, torch
os.environ["WANDB_LOG_MODEL"] = "end"
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
from TRANSFORMERS import WandbCallback
torch.manual_seed(0)
model = BertForSequenceClassification(BertConfig(
    vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8))
data = [{"input_ids": torch.randint(0, 20, (5,)), "labels": torch.tensor(i % 2)} for i in range(16)]
arguments = TrainingArguments(
    "out", num_train_epochs=2, per_device_train_batch_size=4, logging_steps=1, use_cpu=True,
    eval_strategy="epoch", report_to="none", disable_tqdm=True, save_strategy="no")
trainer = Trainer(model, arguments, train_dataset=data, eval_dataset=data,
                  callbacks=[WandbCallback()])
trainer.train()
trainer.predict(data)
sdk.finish()
"""
#: Where the callbacks are: (in the reference, in ours), by the word in the script.
PLACES = {
    "INTEGRATION": ("wandb.integration", "trackd.integration"),
    "LIGHTNING": ("lightning.pytorch.loggers", "trackd.integration.lightning"),
    "TRANSFORMERS": ("transformers.integrations", "trackd.integration.transformers"),
}


async def both(tmp_path: Path, script: str) -> tuple[dict[str, Any], dict[str, Any]]:
    scripts = [script, script]
    for word, places in PLACES.items():
        scripts = [text.replace(word, places[i]) for i, text in enumerate(scripts)]
    found: list[dict[str, Any]] = [{}, {}]

    async def run(number: int, recorder: Callable[[Path, str], Awaitable[dict[str, Any]]]) -> None:
        found[number] = await recorder(tmp_path, scripts[number])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, 0, reference)
        tasks.start_soon(run, 1, ours)
    return found[0], found[1]


def same(expected: dict[str, Any], found: dict[str, Any]) -> None:
    for part in ("config", "metrics", "history", "summary"):
        assert comparable(found[part]) == comparable(expected[part]), part
    assert artifacts(found) == artifacts(expected)


@pytest.mark.parametrize(
    ("script", "modules"),
    [
        pytest.param(XGBOOST, ["xgboost"], id="xgboost"),
        pytest.param(LIGHTGBM, ["lightgbm"], id="lightgbm"),
        pytest.param(LIGHTNING, ["lightning"], id="lightning"),
        pytest.param(TRANSFORMERS, ["transformers", "accelerate", "torch"], id="transformers"),
        pytest.param(WATCH, ["torch"], id="watch"),
    ],
)
async def test_a_callback_records_what_that_of_the_reference_records(
    tmp_path: Path, script: str, modules: list[str]
) -> None:
    needs(*modules)
    same(*await both(tmp_path, script))


async def test_tensorboard_values_become_what_the_reference_makes_of_them(tmp_path: Path) -> None:
    needs("tensorboard", "torch")
    expected, found = await both(tmp_path, TENSORBOARD)
    same(expected, found)
    named = {file["name"].rsplit("_", 2)[0]: file["policy"] for file in found["files"]}
    saved = {name: policy for name, policy in named.items() if name.startswith("events.out")}
    assert list(saved.values()) == ["end"]
