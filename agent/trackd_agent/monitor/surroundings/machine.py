"""The machine itself: processors and memory, also inside a container, which has only a share."""

from __future__ import annotations

import re
from typing import Any

import psutil

#: Processor cores by `CPU implementer` and `CPU part` of /proc/cpuinfo: kernels for ARM give no
#: name. From the reference manuals of the cores that servers have.
_ARM_CORES = {
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4f"): "Neoverse-V2",
    ("0x41", "0xd83"): "Neoverse-V3AE",
    ("0x41", "0xd84"): "Neoverse-V3",
    ("0x41", "0xd8e"): "Neoverse-N3",
    ("0xc0", "0xac3"): "Ampere-1",
    ("0xc0", "0xac4"): "Ampere-1a",
}
_LINE = re.compile(r"^(model name|CPU implementer|CPU part|cpu)[ \t]*:[ \t]*(.*\S)", re.MULTILINE)


def machine_of(cpuinfo: str) -> dict[str, Any]:
    """Return `cpu_count` (cores), `cpu_count_logical`, `cpu.model` and `memory.total`.

    Bytes are text, as all sizes in the metadata. What the machine does not tell is left out.

    Args:
        cpuinfo: the beginning of /proc/cpuinfo.
    """
    cores, threads = psutil.cpu_count(logical=False), psutil.cpu_count()
    facts: dict[str, Any] = {"memory": {"total": str(psutil.virtual_memory().total)}}
    if cores:
        facts["cpu_count"] = cores
    if threads:
        facts["cpu_count_logical"] = threads
    if model := model_of(cpuinfo):
        facts["cpu"] = {"model": model}
    return facts


def model_of(cpuinfo: str) -> str:
    """Return what the first processor is called; empty where nothing says it."""
    said: dict[str, str] = {}
    for name, value in _LINE.findall(cpuinfo):
        said.setdefault(name, value)
    core = _ARM_CORES.get((said.get("CPU implementer", ""), said.get("CPU part", "")), "")
    return said.get("model name") or core or said.get("cpu", "")
