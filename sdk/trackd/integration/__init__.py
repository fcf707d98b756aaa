"""Frameworks: callbacks and loggers that record what a framework tells them, a module each.

Owns: the names that users of each framework expect. Every module imports its framework, so it is
imported by those who use it. Knows the public API of this package only.

| module | for |
|---|---|
| `tensorboard` | event files: `SummaryWriter` of PyTorch and TensorBoard, tensorboardX |
| `keras` | Keras 3: `WandbMetricsLogger`, `WandbModelCheckpoint`, `WandbEvalCallback` |
| `lightning` | PyTorch Lightning: `WandbLogger` |
| `transformers` | Hugging Face `Trainer`: `WandbCallback` |
| `xgboost`, `lightgbm` | `WandbCallback`, `wandb_callback`, `log_summary` |
| `logging` | `RunHandler`, a handler of Python's `logging` |
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = frozenset(
    {"keras", "lightgbm", "lightning", "logging", "tensorboard", "transformers", "xgboost"}
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
