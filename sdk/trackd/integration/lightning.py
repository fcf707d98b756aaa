"""PyTorch Lightning: a logger for `Trainer(logger=WandbLogger(project="mnist"))`.

Works with both names of the package, `lightning` and `pytorch_lightning`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from trackd import libraries
from trackd.artifacts import Artifact
from trackd.errors import UsageError
from trackd.integration.active import training_goes_on
from trackd.media.audio import Audio
from trackd.media.image import Image
from trackd.media.video import Video
from trackd.session import init, session
from trackd.tables import Table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from trackd.runs.run import Run

_PACKAGE = "pytorch_lightning" if "pytorch_lightning" in sys.modules else "lightning.pytorch"
_loggers: Any = libraries.load(f"{_PACKAGE}.loggers.logger", __name__, "lightning")
_ranks: Any = libraries.load(f"{_PACKAGE}.utilities.rank_zero", __name__, "lightning")
_AXIS = "trainer/global_step"
#: Facts of a `ModelCheckpoint` that are kept with what it saved.
_CHECKPOINT_FACTS = ("monitor", "mode", "save_last", "save_top_k", "save_weights_only")


class WandbLogger(_loggers.Logger):
    """Records what a `LightningModule` logs; only the process of rank zero does.

    Args:
        name: of the run.
        save_dir: where the run folder is made.
        version: id of the run; an earlier one is continued.
        offline: upload nothing.
        dir: same as `save_dir`.
        id: same as `version`.
        anonymous: accepted, has no effect.
        project: of the run; default `WANDB_PROJECT`, or `lightning_logs`.
        log_model: log checkpoints as artifacts: at the end (True), when saved (`all`), or never.
        experiment: a run to record into.
        prefix: put before each key, with a dash.
        checkpoint_name: of the artifact; default `model-<run id>`.
        add_file_policy: `immutable` saves a copy where the file will not change.
        **kwargs: further arguments of `trackd.init`.

    Raises:
        UsageError: `log_model` and `offline` are both set.
    """

    LOGGER_JOIN_CHAR = "-"

    def __init__(  # noqa: PLR0913 - the signature of the reference
        self,
        name: str | None = None,
        save_dir: str | os.PathLike[str] = ".",
        version: str | None = None,
        offline: bool = False,
        dir: str | os.PathLike[str] | None = None,
        id: str | None = None,
        anonymous: bool | None = None,
        project: str | None = None,
        log_model: Literal["all"] | bool = False,
        experiment: Run | None = None,
        prefix: str = "",
        checkpoint_name: str | None = None,
        add_file_policy: Literal["mutable", "immutable"] = "mutable",
        **kwargs: Any,
    ) -> None:
        _loggers.Logger.__init__(self)
        del anonymous
        if offline and log_model:
            raise UsageError(
                f"WandbLogger(log_model={log_model!r}, offline=True): an offline run uploads no "
                "checkpoints; leave one of them out"
            )
        self.add_file_policy = add_file_policy
        self._run = experiment
        self._log_model = log_model
        self._prefix = f"{prefix}{self.LOGGER_JOIN_CHAR}" if prefix else ""
        self._checkpoint_name = checkpoint_name
        self._logged_s: dict[str, float] = {}
        self._waiting: dict[int, Any] = {}
        self._arguments: dict[str, Any] = {
            "name": name,
            "project": project or os.environ.get("WANDB_PROJECT", "lightning_logs"),
            "dir": os.fspath(save_dir or dir or "."),
            "id": version or id,
            "resume": "allow",
            **({"mode": "offline"} if offline else {}),
            **kwargs,
        }

    @property
    @_ranks.rank_zero_only
    def experiment(self) -> Any:
        """The run: the global one, or a new one; None in other processes than that of rank zero."""
        if self._run is None:
            self._run = session().run or self._begin()
        return self._run

    def _begin(self) -> Run:
        run = init(**self._arguments)
        if self._arguments.get("sync_tensorboard"):
            run.define_metric("*", step_metric="global_step")
        else:
            run.define_metric(_AXIS)
            run.define_metric("*", step_metric=_AXIS, step_sync=True)
        return run

    def __getstate__(self) -> dict[str, Any]:
        """Let launchers that spawn processes have a logger that joins this run."""
        _ = self.experiment
        return self.__dict__.copy()  # a run is pickled as the way to join it

    # --- recording ---------------------------------------------------------------------------

    @_ranks.rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Record values of one step of the trainer."""
        row = {f"{self._prefix}{key}": value for key, value in metrics.items()}
        if step is not None and not self._arguments.get("sync_tensorboard"):
            row[_AXIS] = step
        self.experiment.log(row)

    @_ranks.rank_zero_only
    def log_hyperparams(self, params: Mapping[str, Any] | argparse.Namespace) -> None:
        """Put hyperparameters into the configuration; callables as what they return."""
        values: Any = vars(params) if hasattr(params, "__dict__") else params
        plain = {str(key): _value_of(value) for key, value in dict(values or {}).items()}
        self.experiment.config.update(plain, allow_val_change=True)

    @_ranks.rank_zero_only
    def log_table(
        self,
        key: str,
        columns: Any = None,
        data: list[list[Any]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Record a table, from rows or from a data frame."""
        self.log_metrics({key: Table(columns=columns, data=data, dataframe=dataframe)}, step)

    def log_text(
        self,
        key: str,
        columns: list[str] | None = None,
        data: list[list[str]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Record texts as a table."""
        self.log_table(key, columns, data, dataframe, step)

    def log_image(
        self, key: str, images: Sequence[Any], step: int | None = None, **kwargs: Any
    ) -> None:
        """Record images; each further argument is a list with a value for each."""
        self._log_media(Image, key, images, step, kwargs)

    def log_audio(
        self, key: str, audios: Sequence[Any], step: int | None = None, **kwargs: Any
    ) -> None:
        """Record sounds; each further argument is a list with a value for each."""
        self._log_media(Audio, key, audios, step, kwargs)

    def log_video(
        self, key: str, videos: Sequence[Any], step: int | None = None, **kwargs: Any
    ) -> None:
        """Record videos; each further argument is a list with a value for each."""
        self._log_media(Video, key, videos, step, kwargs)

    @_ranks.rank_zero_only
    def _log_media(
        self, kind: Any, key: str, media: Any, step: int | None, options: dict[str, Any]
    ) -> None:
        if not isinstance(media, list):
            raise TypeError(f"{key}: expected a list of media, got {type(media).__name__}")
        items = cast("list[Any]", media)
        for name, values in options.items():
            if len(values) != len(items):
                raise ValueError(
                    f"{key}: {name} has {len(values)} values for {len(items)} items: "
                    "give one for each"
                )
        rows = [{name: values[i] for name, values in options.items()} for i in range(len(items))]
        made = [kind(item, **row) for item, row in zip(items, rows, strict=True)]
        self.log_metrics({key: made}, step)

    def watch(
        self,
        model: Any,
        log: str | None = "gradients",
        log_freq: int = 100,
        log_graph: bool = True,
    ) -> None:
        """Record gradients and parameters; see `Run.watch`."""
        if self.experiment is not None:
            self.experiment.watch(model, log=log, log_freq=log_freq, log_graph=log_graph)

    # --- facts -------------------------------------------------------------------------------

    @property
    def save_dir(self) -> str | None:
        """Where the run folder is made."""
        return self._arguments["dir"]

    @property
    def name(self) -> str | None:
        """Project of the run, which Lightning calls the name of the experiment."""
        return self._arguments["project"]

    @property
    def version(self) -> str | None:
        """Id of the run."""
        return self._run.id if self._run is not None else self._arguments["id"]

    # --- checkpoints -------------------------------------------------------------------------

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Log a checkpoint now, or note it for the end."""
        keeps_all = checkpoint_callback.save_top_k == -1
        if self._log_model == "all" or (self._log_model is True and keeps_all):
            self._log_checkpoints(checkpoint_callback)
        elif self._log_model is True:
            self._waiting[id(checkpoint_callback)] = checkpoint_callback

    @_ranks.rank_zero_only
    def finalize(self, status: str) -> None:
        """Log the checkpoints that wait, if all went well."""
        if status == "success" and self._run is not None:
            for callback in self._waiting.values():
                self._log_checkpoints(callback)

    @_ranks.rank_zero_only
    def _log_checkpoints(self, callback: Any) -> None:
        """Log what a callback saved since the last time."""
        scores = dict(callback.best_k_models)
        scores[callback.last_model_path] = callback.current_score
        scores[callback.best_model_path] = callback.best_model_score
        found = [(Path(path).stat().st_mtime, path) for path in scores if Path(path).is_file()]
        for saved_s, path in sorted(found):
            if self._logged_s.get(path, 0.0) >= saved_s:
                continue
            self._logged_s[path] = saved_s
            is_best = path == callback.best_model_path
            facts = {k: getattr(callback, k) for k in _CHECKPOINT_FACTS if hasattr(callback, k)}
            metadata = {
                "score": _value_of(scores[path]),
                "original_filename": Path(path).name,
                callback.__class__.__name__: facts,  # the callback may be a weak proxy
            }
            with training_goes_on(self.experiment, "a checkpoint"):
                name = self._checkpoint_name or f"model-{self.experiment.id}"
                artifact = Artifact(name, type="model", metadata=metadata)
                artifact.add_file(path, name="model.ckpt", policy=self.add_file_policy)
                self.experiment.log_artifact(artifact, aliases=["latest", *["best"] * is_best])


def _value_of(value: Any) -> Any:
    """Return a hyperparameter or score as it is recorded."""
    if callable(value):
        name = getattr(value, "__name__", str(value))
        try:
            made = value()
        except Exception:  # noqa: BLE001 - it wants arguments: its name says what it is
            return name
        return name if callable(made) else made
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value
