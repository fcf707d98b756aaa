"""Callbacks that log models, in online runs: they are recorded though no server answers yet."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import trackd
from trackd_proto.records import ArtifactLogged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.sdk.small_agent import SmallAgent

    from trackd.runs.run import Run

X = np.arange(60.0).reshape(20, 3) % 7
Y = (X.sum(1) > 9).astype(int)


def recorded(agent: SmallAgent) -> list[str]:
    """Return the types of the artifacts that arrived, but for those of charts."""
    types = [each.type for each in agent.records() if isinstance(each, ArtifactLogged)]
    return [type_ for type_ in types if type_ != "run_table"]


@pytest.fixture
def online(agent: SmallAgent) -> Iterator[Run]:
    del agent
    run = trackd.init(project="p", id="r")
    yield run
    run.finish()


def test_xgboost(online: Run, agent: SmallAgent) -> None:
    xgboost: Any = pytest.importorskip("xgboost")
    from trackd.integration.xgboost import WandbCallback

    data = xgboost.DMatrix(X, Y)
    options = {"evals": [(data, "train")], "verbose_eval": False, "num_boost_round": 2}
    for _ in range(2):
        xgboost.train({}, data, callbacks=[WandbCallback(log_model=True)], **options)
    online.finish()
    assert recorded(agent) == ["model", "model"]


def test_lightgbm(online: Run, agent: SmallAgent) -> None:
    lightgbm: Any = pytest.importorskip("lightgbm")
    from trackd.integration.lightgbm import log_summary

    booster = lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, Y), num_boost_round=2)
    log_summary(booster, save_model_checkpoint=True)
    online.finish()
    assert recorded(agent) == ["model"]


def test_lightning(online: Run, place: Path, agent: SmallAgent) -> None:
    pytest.importorskip("lightning")
    from trackd.integration.lightning import WandbLogger

    (place / "x.ckpt").write_text("weights")
    saved = SimpleNamespace(
        save_top_k=1, best_k_models={}, last_model_path="", current_score=1.0,
        best_model_path=str(place / "x.ckpt"), best_model_score=np.float32(1),
    )  # fmt: skip
    WandbLogger(log_model="all", experiment=online).after_save_checkpoint(saved)
    online.finish()
    assert recorded(agent) == ["model"]


def test_transformers(
    online: Run, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    transformers: Any = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from trackd.integration.transformers import WandbCallback

    monkeypatch.setenv("WANDB_LOG_MODEL", "checkpoint")
    online.name = "a name that no artifact may have"
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = transformers.BertModel(transformers.BertConfig(vocab_size=9, **sizes))
    args = transformers.TrainingArguments(str(place / "out"), run_name="x", report_to="none")
    state = transformers.TrainerState(epoch=1.0)
    callback = WandbCallback()
    callback.on_train_begin(args, state, None, model)
    callback.on_save(args, state, None)
    callback.on_train_end(args, state, None, model)
    said = capfd.readouterr().err
    for what in ("the architecture of the model", "a checkpoint", "the trained model"):
        assert f"{what} is not recorded: " in said


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_keras(online: Run, place: Path, agent: SmallAgent) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras: Any = pytest.importorskip("keras")
    from trackd.integration.keras import WandbEvalCallback, WandbModelCheckpoint

    class Evaluation(WandbEvalCallback):
        def add_ground_truth(self, logs: Any = None) -> None:
            self.data_table.add_data(1)

        def add_model_predictions(self, epoch: int, logs: Any = None) -> None:
            self.pred_table.add_data(self.data_table_ref.data[0][0])

    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    callbacks = [WandbModelCheckpoint(place / "m{epoch}.keras"), Evaluation(["i"], ["i"])]
    model.fit(X, Y, epochs=2, verbose=0, callbacks=callbacks)
    online.finish()
    assert {"model", "dataset"} <= set(recorded(agent))
