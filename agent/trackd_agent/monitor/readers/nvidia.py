"""Where NVIDIA GPUs are asked, and why a machine has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_agent.monitor.readers.pci import PciReader
from trackd_agent.monitor.readers.probe import ProbeReader

if TYPE_CHECKING:
    from trackd_agent.monitor.config import MonitorConfig
    from trackd_agent.monitor.readers.library import Libraries

LIBRARY = "libnvidia-ml.so.1"
_VENDOR = "0x10de"
#: How many deadlines of a tick the probe has before it counts as stuck: to be slow is no reason
#: to kill it.
_PATIENCE = 2.5
#: Part of a tick's deadline after which it answers without those GPUs that hang.
_SHARE = 0.6


def nvidia_probe(config: MonitorConfig, libraries: Libraries) -> ProbeReader:
    """Return the reader of NVML; it starts no process where there is no driver."""
    pci = PciReader(config.sys_root)

    def missing() -> str:
        if libraries.find(LIBRARY):
            return ""
        if pci.has_gpu(_VENDOR):
            return (
                f"there is an NVIDIA GPU, but not the driver's library {LIBRARY}: install the "
                "driver, or name the library's folder in monitor.library_path"
            )
        return f"no NVIDIA driver: there is no {LIBRARY}"

    return ProbeReader(
        "nvidia",
        {"patience_s": _SHARE * config.deadline_s},
        environment=libraries.environment,
        missing=missing,
        answer_s=_PATIENCE * config.deadline_s,
    )
