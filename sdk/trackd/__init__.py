"""trackd: experiment tracking with one agent per node; nothing logged is lost.

    import trackd

    run = trackd.init(project="digits", config={"lr": 0.1})
    run.log({"loss": 0.5})
    run.finish()

Owns: the public API, argument checks, sequence numbers, the spool, reconnect and replay, console
capture, finding and starting the agent. Knows nothing of servers and of the meaning of what is
logged: the agent does. Importing this package loads the standard library only; everything else
loads at the first use of a name below.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from trackd import data_types as data_types
    from trackd import helper as helper
    from trackd import integration as integration
    from trackd import plot as plot
    from trackd.account.login import login
    from trackd.api import Api
    from trackd.artifacts import Artifact, ArtifactTTL
    from trackd.configuration import Config
    from trackd.errors import (
        AuthenticationError,
        CommError,
        ConfigError,
        Error,
        LabelInUseError,
        UnsupportedError,
        UsageError,
    )
    from trackd.integration import keras as keras
    from trackd.integration import lightgbm as lightgbm
    from trackd.integration import tensorboard as tensorboard
    from trackd.integration import xgboost as xgboost
    from trackd.media.audio import Audio
    from trackd.media.classes import Classes
    from trackd.media.graph import Graph
    from trackd.media.histogram import Histogram
    from trackd.media.html import Html
    from trackd.media.image import Image
    from trackd.media.molecule import Molecule
    from trackd.media.object3d import Object3D, box3d
    from trackd.media.plotly import Plotly
    from trackd.media.video import Video
    from trackd.messages.term import termerror, termlog, termsetup, termwarn
    from trackd.old_names import join, require
    from trackd.plot import plot_table, visualize
    from trackd.run_files.restoring import restore
    from trackd.runs.alerts import AlertLevel
    from trackd.runs.metrics import Metric
    from trackd.runs.run import Run
    from trackd.runs.summaries import Summary
    from trackd.session import finish, init, setup, teardown
    from trackd.settings import Settings
    from trackd.tables import EvalTable, JoinedTable, Table

    config: Config
    summary: Summary
    run: Run | None
    _any_run = cast("Run", None)
    log = _any_run.log
    save = _any_run.save
    define_metric = _any_run.define_metric
    watch = _any_run.watch
    unwatch = _any_run.unwatch
    alert = _any_run.alert
    mark_preempting = _any_run.mark_preempting
    pin_config_keys = _any_run.pin_config_keys
    log_artifact = _any_run.log_artifact
    use_artifact = _any_run.use_artifact
    log_model = _any_run.log_model
    use_model = _any_run.use_model
    link_model = _any_run.link_model

__version__ = "0.1.0"

__all__ = [
    "AlertLevel",
    "Api",
    "Artifact",
    "ArtifactTTL",
    "Audio",
    "AuthenticationError",
    "Classes",
    "CommError",
    "Config",
    "ConfigError",
    "Error",
    "EvalTable",
    "Graph",
    "Histogram",
    "Html",
    "Image",
    "JoinedTable",
    "LabelInUseError",
    "Metric",
    "Molecule",
    "Object3D",
    "Plotly",
    "Run",
    "Settings",
    "Summary",
    "Table",
    "UnsupportedError",
    "UsageError",
    "Video",
    "__version__",
    "alert",
    "box3d",
    "config",
    "data_types",
    "define_metric",
    "finish",
    "init",
    "integration",
    "join",
    "link_model",
    "log",
    "log_artifact",
    "log_model",
    "login",
    "mark_preempting",
    "pin_config_keys",
    "plot",
    "plot_table",
    "require",
    "restore",
    "run",
    "save",
    "setup",
    "summary",
    "teardown",
    "termerror",
    "termlog",
    "termsetup",
    "termwarn",
    "unwatch",
    "use_artifact",
    "use_model",
    "visualize",
    "watch",
]

_HOMES = {
    "AlertLevel": "trackd.runs.alerts",
    "Api": "trackd.api",
    "Artifact": "trackd.artifacts",
    "ArtifactTTL": "trackd.artifacts",
    "Audio": "trackd.media.audio",
    "AuthenticationError": "trackd.errors",
    "Classes": "trackd.media.classes",
    "CommError": "trackd.errors",
    "Config": "trackd.configuration",
    "ConfigError": "trackd.errors",
    "Error": "trackd.errors",
    "EvalTable": "trackd.tables",
    "Graph": "trackd.media.graph",
    "Histogram": "trackd.media.histogram",
    "Html": "trackd.media.html",
    "Image": "trackd.media.image",
    "JoinedTable": "trackd.tables",
    "LabelInUseError": "trackd.errors",
    "Metric": "trackd.runs.metrics",
    "Molecule": "trackd.media.molecule",
    "Object3D": "trackd.media.object3d",
    "Plotly": "trackd.media.plotly",
    "Run": "trackd.runs.run",
    "Settings": "trackd.settings",
    "Summary": "trackd.runs.summaries",
    "Table": "trackd.tables",
    "UnsupportedError": "trackd.errors",
    "UsageError": "trackd.errors",
    "Video": "trackd.media.video",
    "box3d": "trackd.media.object3d",
    "finish": "trackd.session",
    "init": "trackd.session",
    "keras": "trackd.integration",
    "lightgbm": "trackd.integration",
    "login": "trackd.account.login",
    "plot_table": "trackd.plot",
    "restore": "trackd.run_files.restoring",
    "setup": "trackd.session",
    "teardown": "trackd.session",
    "tensorboard": "trackd.integration",
    "termerror": "trackd.messages.term",
    "termlog": "trackd.messages.term",
    "termsetup": "trackd.messages.term",
    "termwarn": "trackd.messages.term",
    "visualize": "trackd.plot",
    "xgboost": "trackd.integration",
    "join": "trackd.old_names",
    "require": "trackd.old_names",
}
#: Modules that are there without being imported.
_MODULES = frozenset({"data_types", "helper", "integration", "plot"})
#: Belong to the global run; `trackd.session` puts the real ones here while there is one.
_NEED_A_RUN = frozenset(
    {"log", "save", "define_metric", "alert", "mark_preempting", "pin_config_keys"}
    | {"watch", "unwatch"}
    | {"link_model", "log_artifact", "log_model", "use_artifact", "use_model"}
)
_HOLDERS = frozenset({"config", "summary"})
#: What scripts for wandb use, and this package does not have: the error says that it is no typo.
_NOT_YET = frozenset({"agent", "controller", "sweep"})


def _find(name: str) -> Any:
    """Load the home of a public name, or say why there is no such name."""
    if home := _HOMES.get(name):
        value = globals()[name] = getattr(importlib.import_module(home), name)
        return value
    if name in _MODULES:
        return importlib.import_module(f"trackd.{name}")
    if name == "run":
        return None
    if name in _NEED_A_RUN or name in _HOLDERS:
        before = importlib.import_module("trackd.before_init")
        return before.function(name) if name in _NEED_A_RUN else before.Placeholder(name)
    why = ": of the names of wandb this one is not there yet" if name in _NOT_YET else ""
    raise AttributeError(f"module 'trackd' has no attribute {name!r}{why}")


if not TYPE_CHECKING:  # a type checker that saw it would believe in every name
    __getattr__ = _find


def __dir__() -> list[str]:
    return __all__
