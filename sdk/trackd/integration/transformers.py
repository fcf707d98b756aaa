"""Hugging Face `Trainer`: metrics, configuration, model and checkpoints.

    Trainer(model, args, callbacks=[WandbCallback()], ...)   # with report_to="none" in args

Environment, as with the callback of the reference: `WANDB_PROJECT`, `WANDB_WATCH` (`gradients`,
`parameters`, `all`), `WANDB_LOG_MODEL` (`end`, `checkpoint`).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackd import libraries
from trackd.artifacts import Artifact
from trackd.integration.active import training_goes_on
from trackd.session import init, session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd.runs.run import Run

_transformers: Any = libraries.load("transformers", __name__, "transformers")

_AXIS = "train/global_step"
#: Facts about a whole training: they go into the summary, not into rows.
_TOTALS = frozenset(
    {"train_runtime", "train_samples_per_second", "train_steps_per_second"}
    | {"train_loss", "total_flos"}
)
_LEAST_WATCH_STEPS = 100
_ARCHITECTURE = "model_architecture.txt"


class WandbCallback(_transformers.TrainerCallback):
    """Records a training; only the main process does. Begins a run where there is none."""

    def __init__(self) -> None:
        self._run: Run | None = None
        self._log_model = os.environ.get("WANDB_LOG_MODEL", "false").lower()
        self._logs_model = self._log_model in ("end", "checkpoint")

    def setup(self, args: Any, state: Any, model: Any, **kwargs: Any) -> None:
        """Begin: called once, by the first event of a training."""
        del kwargs
        if self._run is not None or not state.is_world_process_zero:
            return
        name = state.trial_name or args.run_name
        group = (args.run_name or args.output_dir) if state.trial_name else None
        project = os.environ.get("WANDB_PROJECT", "huggingface")
        run = session().run or init(project=project, name=name, group=group)
        self._run = run
        run.config.update(_configuration(args, model), allow_val_change=True)
        run.define_metric(_AXIS)
        run.define_metric("*", step_metric=_AXIS, step_sync=True)
        watched = os.environ.get("WANDB_WATCH", "false").lower()
        if watched in ("gradients", "parameters", "all"):
            run.watch(model, log=watched, log_freq=max(_LEAST_WATCH_STEPS, state.logging_steps))
        if self._logs_model and model is not None:
            with training_goes_on(run, "the architecture of the model"):
                self._log_architecture(args, model)

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        """Begin; each trial of a search has a run of its own."""
        del control
        if state.is_hyper_param_search and self._run is not None:
            self._run.finish()
            self._run = None
        self.setup(args, state, model, **kwargs)

    def on_log(
        self,
        args: Any,
        state: Any,
        control: Any,
        model: Any = None,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Record values; totals go into the summary."""
        del control, kwargs
        self.setup(args, state, model)
        if self._run is None or logs is None:
            return
        for key in _TOTALS.intersection(logs):
            self._run.summary[key] = logs[key]
        row = {key: value for key, value in logs.items() if key not in _TOTALS}
        self._run.log({**grouped(row), _AXIS: state.global_step})

    def on_predict(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any], **kwargs: Any
    ) -> None:
        """Record the metrics of a prediction."""
        del control
        self.setup(args, state, kwargs.get("model"))
        if self._run is not None:
            self._run.log(grouped(metrics))

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Log a checkpoint, if `WANDB_LOG_MODEL` is `checkpoint`."""
        del control, kwargs
        if self._log_model != "checkpoint" or self._run is None:
            return
        step = state.global_step
        with training_goes_on(self._run, "a checkpoint"):
            artifact = self._artifact(args, metadata=_numbers(dict(self._run.summary)))
            artifact.add_dir(str(Path(args.output_dir) / f"checkpoint-{step}"))
            aliases = [f"epoch_{round(state.epoch, 2)}", f"checkpoint_global_step_{step}"]
            self._run.log_artifact(artifact, aliases=aliases)

    def on_train_end(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        """Log the trained model, if `WANDB_LOG_MODEL` says so."""
        del control
        if not self._logs_model or self._run is None or model is None:
            return
        with training_goes_on(self._run, "the trained model"):
            self._log_trained(args, state, model, kwargs.get("processing_class"))

    def _log_trained(self, args: Any, state: Any, model: Any, processing: Any) -> None:
        """Log the trained model."""
        assert self._run is not None
        if args.load_best_model_at_end:
            metadata = {
                f"eval/{args.metric_for_best_model}": state.best_metric,
                "train/total_floss": state.total_flos,
            }
        else:
            metadata = _numbers(dict(self._run.summary))
        artifact = self._artifact(args, metadata={**metadata, "final_model": True})
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            if processing is not None:
                processing.save_pretrained(folder)
            _torch().save(args, Path(folder) / "training_args.bin")
            (Path(folder) / _ARCHITECTURE).write_text(str(model))
            artifact.add_dir(folder, policy="mutable")
            self._run.log_artifact(artifact, aliases=["final_model"])

    def _log_architecture(self, args: Any, model: Any) -> None:
        """Log how the model is made, before it is trained."""
        assert self._run is not None
        config: Any = getattr(model, "config", None)
        metadata = {
            "model_config": config.to_dict() if hasattr(config, "to_dict") else None,
            "num_parameters": self._run.config.get("model/num_parameters"),
            "initial_model": True,
        }
        artifact = self._artifact(args, metadata=metadata)
        with artifact.new_file(_ARCHITECTURE) as file:
            file.write(str(model))
        self._run.log_artifact(artifact, aliases=["base_model"])

    def _artifact(self, args: Any, metadata: dict[str, Any]) -> Artifact:
        assert self._run is not None
        is_named = args.run_name is not None and args.run_name != args.output_dir
        name = (self._run.name if is_named else None) or self._run.id
        return Artifact(f"model-{name}", type="model", metadata=metadata)


def grouped(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values under `eval/`, `test/` and `train/`, as their names begin."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        group, _, rest = key.partition("_")
        is_known = group in ("eval", "test") and bool(rest)
        found[f"{group}/{rest}" if is_known else f"train/{key}"] = value
    return found


def _configuration(args: Any, model: Any) -> dict[str, Any]:
    """Return the arguments of the training and the configuration of its model."""
    config: dict[str, Any] = {}
    if (own := getattr(model, "config", None)) is not None:
        config |= own if isinstance(own, dict) else own.to_dict()
    config |= args.to_dict()
    if hasattr(model, "num_parameters"):
        config["model/num_parameters"] = model.num_parameters()
    return config


def _torch() -> Any:
    return libraries.load("torch", __name__, "torch")


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if isinstance(v, int | float) and k[:1] != "_"}
