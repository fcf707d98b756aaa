"""XGBoost: `xgb.train(..., callbacks=[WandbCallback()])`, also for the scikit-learn classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackd import libraries
from trackd.artifacts import Artifact
from trackd.integration.active import active_run, best_of, training_goes_on
from trackd.integration.importance import log_importance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_callback: Any = libraries.load("xgboost.callback", __name__, "xgboost")

MINIMIZE_METRICS = frozenset(
    {"rmse", "rmsle", "mae", "mape", "mphe", "logloss", "error", "error@t", "merror"}
)
MAXIMIZE_METRICS = frozenset({"auc", "aucpr", "ndcg", "map", "ndcg@n", "map@n"})


class WandbCallback(_callback.TrainingCallback):
    """Records the metrics of each iteration, the parameters, and what the booster learned from.

    Args:
        log_model: log the trained booster as an artifact.
        log_feature_importance: log a bar chart of the features' importance.
        importance_type: `weight`, `gain`, `cover`, `total_gain` or `total_cover`.
        define_metric: let the summary hold the best value of each metric, not the last.

    Raises:
        Error: there is no run.
    """

    def __init__(
        self,
        log_model: bool = False,
        log_feature_importance: bool = True,
        importance_type: str = "gain",
        define_metric: bool = True,
    ) -> None:
        _callback.TrainingCallback.__init__(self)
        self._run = active_run("WandbCallback()")
        self.log_model = log_model
        self.log_feature_importance = log_feature_importance
        self.importance_type = importance_type
        self.define_metric = define_metric

    def before_training(self, model: Any) -> Any:
        """Put the parameters into the configuration."""
        self._run.config.update(json.loads(model.save_config()))
        return model

    def after_iteration(
        self, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, list[Any]]]
    ) -> bool:
        """Record the metrics of an iteration; never stops the training."""
        del model
        row: dict[str, Any] = {"epoch": epoch}
        for data, metrics in evals_log.items():
            for name, values in metrics.items():
                key = f"{data}-{name}"
                best = best_of(name, MINIMIZE_METRICS, MAXIMIZE_METRICS)
                if self.define_metric and best:
                    self._run.define_metric(key, summary=best)
                row[key] = values[-1]
        self._run.log(row)
        self.define_metric = False
        return False

    def after_training(self, model: Any) -> Any:
        """Record the model, the importance of features and the best iteration."""
        if self.log_model:
            self._log_model(model)
        if self.log_feature_importance:
            scores = model.get_score(importance_type=self.importance_type)
            log_importance(self._run, [[name, score] for name, score in scores.items()])
        if model.attr("best_score") is not None:
            self._run.log(
                {
                    "best_score": float(model.attr("best_score")),
                    "best_iteration": int(model.attr("best_iteration")),
                }
            )
        return model

    def _log_model(self, model: Any) -> None:
        with training_goes_on(self._run, "the model"):
            name = f"{self._run.id}_model.json"
            path = Path(self._run.dir) / name
            model.save_model(str(path))
            artifact = Artifact(name, type="model")
            artifact.add_file(str(path))
            self._run.log_artifact(artifact)


def wandb_callback() -> Callable[[Any], None]:
    """Return a callback for XGBoost before 1.3; newer ones want `WandbCallback`."""
    run = active_run("wandb_callback()")

    def record(env: Any) -> None:
        run.log(dict(env.evaluation_result_list))

    return record
