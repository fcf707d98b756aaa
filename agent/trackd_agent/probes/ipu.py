"""Graphcore IPUs, through the module `gcipuinfo` of the Poplar SDK."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

from trackd_agent.probes import AbsentError

_DESCRIBED = ("id", "board ipu index", "board type")


def open(options: dict[str, Any]) -> Ipus:
    """Return the probe.

    Raises:
        AbsentError: There is no such module.
    """
    del options
    try:
        module: Any = importlib.import_module("gcipuinfo")
    except ImportError as error:
        raise AbsentError(f"the module gcipuinfo cannot be imported ({error})") from error
    return Ipus(module)


class Ipus:
    """All IPUs of the machine."""

    def __init__(self, module: Any) -> None:
        self._info: Any = module.gcipuinfo()
        self._info.setUpdateMode(True)  # else it answers what it read first, again and again

    def read(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return `devices`, as the module says it: the text of a JSON list."""
        del request
        return {"devices": str(self._info.getDevicesAsJSON())}

    def describe(self) -> dict[str, Any]:
        """Return `devices`: what each of them is, as text."""
        devices = [_described(device) for device in self._info.getDevices()]
        if not devices:
            raise AbsentError("gcipuinfo lists no IPU")
        return {"devices": devices}


def _described(device: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _DESCRIBED:
        with contextlib.suppress(KeyError, IndexError, TypeError):  # it has no such field
            found[name] = str(device[name])
    return found
