"""Artifacts among the values of a configuration: they mean that the run uses them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.run_methods import RunArtifacts

_SCHEME = "wandb-artifact://"
_BY_ID = "_id/"
#: `_type` of what stands for an artifact in a stored configuration.
_STORED = "artifactVersion"


def use_artifacts(
    values: Mapping[str, Any], use: Callable[[Any], Artifact] | None
) -> dict[str, Artifact]:
    """Let the run use the artifacts among the top-level values; return them by key.

    Args:
        values: as the user gave them.
        use: takes an artifact, its address or what stands for it in a stored configuration;
            None: there is no run yet.

    Raises:
        TypeError: there is no run that could use one.
        ValueError: one is nested in a value, where it cannot be used.
    """
    used: dict[str, Artifact] = {}
    for key, value in values.items():
        if is_artifact(value) or (use is not None and _stands_for_one(value)):
            if use is None:
                raise TypeError(
                    f"config: {key!r} is an artifact, and only an open run can use one: set "
                    "run.config, or record its name, config[...] = artifact.name"
                )
            used[key] = use(value)
        elif _holds(value):
            raise ValueError(
                f"config: {key!r} holds an artifact: artifacts can only be top-level values"
            )
    return used


def is_artifact(value: object) -> bool:
    """Tell whether a value is an artifact, without loading their class."""
    module = sys.modules.get("trackd.artifacts.artifact")
    return module is not None and isinstance(value, module.Artifact)


def recorded(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with what stands for artifacts in a stored configuration."""
    return {
        key: value.json_encode() if is_artifact(value) else value for key, value in changes.items()
    }


def use(run: RunArtifacts, value: Any) -> Artifact:
    """Let a run use an artifact, by its address or by what stands for it, too.

    Raises:
        TypeError: the run is offline.
        ValueError: there is no such artifact.
        CommError: the server refuses, or does not answer.
    """
    from trackd.artifacts import crossing, logging_calls

    found: Any = value
    if run.offline:
        return logging_calls.use(run, found, None, None)
    if isinstance(value, Mapping):
        found = crossing.artifact_of(run.remote, cast("Mapping[str, Any]", value)["id"])
    elif isinstance(value, str):
        place = value.removeprefix(_SCHEME)
        if place.startswith(_BY_ID):
            found = crossing.artifact_of(run.remote, place.removeprefix(_BY_ID))
        else:
            found = place
    return logging_calls.use(run, found, None, None)


def _stands_for_one(value: object) -> bool:
    if isinstance(value, str):
        return value.startswith(_SCHEME)
    if not isinstance(value, Mapping):
        return False
    return cast("Mapping[str, Any]", value).get("_type") == _STORED


def _holds(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    items = cast("Mapping[Any, Any]", value).values()
    return any(is_artifact(item) or _holds(item) for item in items)
