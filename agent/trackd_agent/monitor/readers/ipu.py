"""Graphcore IPUs: the probe, and what its text means."""

from __future__ import annotations

import importlib.util
import json
from typing import Any, cast

from trackd_agent.monitor.readers.probe import ProbeReader


class DevicesError(Exception):
    """What gcipuinfo said of its devices is not what it is documented to say."""


def ipu_probe() -> ProbeReader:
    """Return the reader; it starts no process where the Poplar SDK is not on Python's path."""
    return ProbeReader(
        "ipu",
        missing=lambda: (
            ""
            if importlib.util.find_spec("gcipuinfo")
            else "no Poplar SDK: there is no Python module gcipuinfo"
        ),
    )


def parse_devices(text: str) -> list[dict[str, str]]:
    """Return the fields of each device that has a number; what is no device is skipped.

    Raises:
        DevicesError: The text is no JSON list.
    """
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DevicesError(f"gcipuinfo printed broken JSON: {error}") from error
    if not isinstance(found, list):
        raise DevicesError("gcipuinfo printed no list of devices")
    devices = [
        {name: str(value).strip() for name, value in cast("dict[str, Any]", each).items()}
        for each in cast("list[object]", found)
        if isinstance(each, dict)
    ]
    return [device for device in devices if device.get("id")]
