"""LightGBM: `lgb.train(..., callbacks=[wandb_callback()])`, and `log_summary` afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackd import libraries
from trackd.artifacts import Artifact
from trackd.errors import Error
from trackd.integration.active import active_run, best_of, training_goes_on
from trackd.integration.importance import log_importance

if TYPE_CHECKING:
    from collections.abc import Callable

_lightgbm: Any = libraries.load("lightgbm", __name__, "lightgbm")

MINIMIZE_METRICS = frozenset(
    {"l1", "l2", "rmse", "mape", "huber", "fair", "poisson", "gamma", "binary_logloss"}
)
MAXIMIZE_METRICS = frozenset({"map", "auc", "average_precision"})
#: Length of a result of one data set; those of cross-validation have a deviation, too.
_PLAIN_RESULT = 4


class _Recorder:
    """What `wandb_callback` returns; LightGBM calls it after each iteration."""

    order = 20
    before_iteration = False

    def __init__(self, log_params: bool, define_metric: bool) -> None:
        self._run = active_run("wandb_callback()")
        self._log_params = log_params
        self._define_metric = define_metric

    def __call__(self, env: Any) -> None:
        results = dict(pair for item in env.evaluation_result_list for pair in _values_of(item))
        if env.iteration == env.begin_iteration:
            self._begin(env, results)
        self._run.log({**results, "iteration": env.iteration})

    def _begin(self, env: Any, results: dict[str, float]) -> None:
        if self._log_params:
            self._run.config.update(env.params)
        if self._define_metric:
            for item in env.evaluation_result_list:
                name = item[1].split()[-1]
                best = best_of(name, MINIMIZE_METRICS, MAXIMIZE_METRICS)
                for key, _ in _values_of(item) if best else ():
                    self._run.define_metric(key, summary=best)
        del results


def _values_of(item: Any) -> list[tuple[str, float]]:
    """Return keys and values of one result."""
    if len(item) == _PLAIN_RESULT:
        return [(f"{item[0]}_{item[1]}", item[2])]
    data, name = item[1].split() if " " in item[1] else (item[0], item[1])
    return [(f"{data}_{name}-mean", item[2]), (f"{data}_{name}-stdv", item[4])]


def wandb_callback(log_params: bool = True, define_metric: bool = True) -> Callable[[Any], None]:
    """Return a callback that records the metrics of each iteration.

    Args:
        log_params: put the parameters of the training into the configuration.
        define_metric: let the summary hold the best value of each metric, not the last.

    Raises:
        Error: there is no run.
    """
    return _Recorder(log_params, define_metric)


def log_summary(
    model: Any, feature_importance: bool = True, save_model_checkpoint: bool = False
) -> None:
    """Record what a trained booster knows about itself.

    Args:
        model: a `lightgbm.Booster`.
        feature_importance: log a bar chart of the features' importance.
        save_model_checkpoint: log the best iteration of the booster as an artifact.

    Raises:
        Error: there is no run, or `model` is no booster.
    """
    run = active_run("log_summary()")
    if not isinstance(model, _lightgbm.Booster):
        raise Error(f"log_summary(): expected a lightgbm.Booster, got {type(model).__name__}")
    run.summary["best_iteration"] = model.best_iteration
    run.summary["best_score"] = model.best_score
    if feature_importance:
        names, scores = model.feature_name(), model.feature_importance()
        rows = [[name, int(score)] for name, score in zip(names, scores, strict=True)]
        log_importance(run, rows, commit=False)
    if save_model_checkpoint:
        with training_goes_on(run, "the model"):
            path = Path(run.dir) / f"model_ckpt_{model.best_iteration}.txt"
            model.save_model(path, num_iteration=model.best_iteration)
            artifact = Artifact(f"model_{run.id}", type="model")
            artifact.add_file(str(path))
            run.log_artifact(artifact, aliases=["best"])
