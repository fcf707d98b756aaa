"""Artifacts among the values of a configuration: they mean that the run uses them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, cast


def refuse_artifacts(values: Mapping[str, Any]) -> None:
    """Refuse artifacts in a configuration: to use one takes a server.

    Args:
        values: as the user gave them.

    Raises:
        TypeError: a value is an artifact.
        ValueError: one is nested in a value, where it could not be used either.
    """
    module = sys.modules.get("trackd.artifacts.artifact")
    if module is None:  # then there is no artifact in this process
        return
    for key, value in values.items():
        if isinstance(value, module.Artifact):
            raise TypeError(
                f"config: {key!r} is an artifact, and using one needs a server: "
                f"record its name, config[{key!r}] = artifact.name"
            )
        if _holds(value, module.Artifact):
            raise ValueError(
                f"config: {key!r} holds an artifact: artifacts can only be top-level values"
            )


def _holds(value: object, kind: type) -> bool:
    if not isinstance(value, Mapping):
        return False
    items = cast("Mapping[Any, Any]", value).values()
    return any(isinstance(item, kind) or _holds(item, kind) for item in items)
