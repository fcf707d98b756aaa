"""Keras 3: metrics, checkpoints and predictions, whatever backend Keras computes with.

model.fit(x, y, callbacks=[WandbMetricsLogger(), WandbModelCheckpoint("model.keras")])
"""

from __future__ import annotations

import abc
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trackd import libraries
from trackd.artifacts import Artifact
from trackd.integration.active import active_run, training_goes_on
from trackd.tables import Table
from trackd.terminal import Terminal

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

_keras: Any = libraries.load("keras", "trackd.integration.keras", "keras")
_Callback: Any = _keras.callbacks.Callback
_ModelCheckpoint: Any = _keras.callbacks.ModelCheckpoint


class WandbMetricsLogger(_Callback):
    """Records what Keras reports, with the learning rate.

    Per epoch the keys are `epoch/<metric>` over `epoch/epoch`; per batch `batch/<metric>` over
    `batch/batch_step`.

    Args:
        log_freq: `epoch`, `batch`, or every so many batches.
        initial_global_step: batches that were trained before this call of `fit`.

    Raises:
        Error: there is no run.
    """

    def __init__(
        self, log_freq: Literal["epoch", "batch"] | int = "epoch", initial_global_step: int = 0
    ) -> None:
        _Callback.__init__(self)
        self._run = active_run("WandbMetricsLogger()")
        every = 1 if log_freq == "batch" else log_freq
        self.logging_batch_wise = isinstance(every, int)
        self._every = every if isinstance(every, int) else 1
        self.global_batch = 0
        self.global_step = initial_global_step
        self._said_no_rate = False
        axis, group = ("batch/batch_step", "batch") if self.logging_batch_wise else _EPOCHS
        self._run.define_metric(axis)
        self._run.define_metric(f"{group}/*", step_metric=axis)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Record an epoch."""
        self._log("epoch", {"epoch/epoch": epoch}, logs)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Record a batch, if its turn is due."""
        self.global_step += 1
        if self.logging_batch_wise and batch % self._every == 0:
            self._log("batch", {"batch/batch_step": self.global_batch}, logs)
            self.global_batch += self._every

    def _log(self, group: str, axis: dict[str, int], logs: Mapping[str, Any] | None) -> None:
        row: dict[str, Any] = {f"{group}/{name}": value for name, value in (logs or {}).items()}
        row |= axis
        if (rate := self._learning_rate()) is not None:
            row[f"{group}/learning_rate"] = rate
        self._run.log(row)

    def _learning_rate(self) -> float | None:
        """Return the rate in force; None, said once, where the optimizer does not tell it."""
        try:
            rate = self.model.optimizer.learning_rate
            if callable(rate) and not hasattr(rate, "dtype"):  # a schedule
                rate = rate(self.global_step)
            return float(_keras.ops.convert_to_numpy(rate))
        except Exception as error:  # noqa: BLE001 - optimizers of users; training goes on
            if not self._said_no_rate:
                self._said_no_rate = True
                Terminal(self._run.settings).warn(f"the learning rate is not recorded: {error}")
            return None


_EPOCHS = ("epoch/epoch", "epoch")


class WandbModelCheckpoint(_ModelCheckpoint):
    """Keras' `ModelCheckpoint` that logs each saved file as a version of `run_<id>_model`.

    Takes all arguments of `keras.callbacks.ModelCheckpoint`.

    Raises:
        Error: there is no run.
    """

    def __init__(self, filepath: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        self._run = active_run("WandbModelCheckpoint()")
        self._stamp: tuple[str, int, int] | None = None
        _ModelCheckpoint.__init__(self, filepath, *args, **kwargs)
        if self.save_best_only and not _has_placeholder(str(self.filepath)):
            Terminal(self._run.settings).warn(
                "WandbModelCheckpoint(save_best_only=True): name the file with {epoch} or a "
                "metric, so that versions can be told apart"
            )

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Save and log, if it is this batch's turn."""
        _ModelCheckpoint.on_train_batch_end(self, batch, logs)
        if self.save_freq != "epoch":
            epoch = self._current_epoch
            path = self._get_file_path(epoch, batch, logs)
            self._log_if_saved(path, [f"epoch_{epoch}_batch_{batch}"])

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Save and log, if epochs are saved."""
        _ModelCheckpoint.on_epoch_end(self, epoch, logs)
        if self.save_freq == "epoch":
            self._log_if_saved(self._get_file_path(epoch, None, logs), [f"epoch_{epoch}"])

    def _log_if_saved(self, path: str, aliases: list[str]) -> None:
        """Log a file that was written since the last time; not the best one of before again."""
        try:
            facts = Path(path).stat()
        except FileNotFoundError:
            return
        stamp = (path, facts.st_mtime_ns, facts.st_size)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        with training_goes_on(self._run, "the model"):
            artifact = Artifact(f"run_{self._run.id}_model", type="model")
            add = artifact.add_dir if Path(path).is_dir() else artifact.add_file
            add(path)
            self._run.log_artifact(artifact, aliases=["latest", *aliases])


class WandbEvalCallback(_Callback, abc.ABC):
    """Records tables of predictions; derive from it and say what goes into them.

    Args:
        data_table_columns: of the table of true values, filled once.
        pred_table_columns: of the table of predictions, made anew each epoch.

    Raises:
        Error: there is no run.
    """

    def __init__(
        self, data_table_columns: Sequence[str], pred_table_columns: Sequence[str]
    ) -> None:
        _Callback.__init__(self)
        self._run = active_run("WandbEvalCallback()")
        self.data_table_columns: list[Any] = list(data_table_columns)
        self.pred_table_columns: list[Any] = list(pred_table_columns)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Fill and log the table of true values."""
        self.init_data_table(self.data_table_columns)
        self.add_ground_truth(logs)
        self.log_data_table()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Fill and log a table of predictions."""
        self.init_pred_table(self.pred_table_columns)
        self.add_model_predictions(epoch, logs)
        self.log_pred_table()

    @abc.abstractmethod
    def add_ground_truth(self, logs: Mapping[str, Any] | None = None) -> None:
        """Fill `self.data_table`."""

    @abc.abstractmethod
    def add_model_predictions(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Fill `self.pred_table`; `self.data_table_ref` has the true values."""

    def init_data_table(self, column_names: list[Any]) -> None:
        """Make an empty table of true values."""
        self.data_table = Table(columns=column_names, allow_mixed_types=True)

    def init_pred_table(self, column_names: list[Any]) -> None:
        """Make an empty table of predictions."""
        self.pred_table = Table(columns=column_names)

    def log_data_table(
        self, name: str = "val", type: str = "dataset", table_name: str = "val_data"
    ) -> None:
        """Log the table of true values as an artifact."""
        with training_goes_on(self._run, f"the table {table_name!r}"):
            artifact = Artifact(name, type=type)
            artifact.add(self.data_table, table_name)
            self._run.log_artifact(artifact)
        self.data_table_ref = self.data_table

    def log_pred_table(
        self,
        type: str = "evaluation",
        table_name: str = "eval_data",
        aliases: list[str] | None = None,
    ) -> None:
        """Log the table of predictions as a version of `run_<id>_pred`."""
        with training_goes_on(self._run, f"the table {table_name!r}"):
            artifact = Artifact(f"run_{self._run.id}_pred", type=type)
            artifact.add(self.pred_table, table_name)
            self._run.log_artifact(artifact, aliases=aliases or ["latest"])


def _has_placeholder(path: str) -> bool:
    return any(field is not None for _, field, _, _ in string.Formatter().parse(path))
