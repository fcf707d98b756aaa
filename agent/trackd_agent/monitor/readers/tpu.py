"""Google TPUs: which chips are on the PCI bus, and the two sources of what they do."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.readers.probe import ProbeReader
from trackd_agent.monitor.readers.tpu_library import TpuLibraryReader
from trackd_agent.monitor.readers.tpu_runtime import TpuRuntimeReader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trackd_agent.monitor.config import MonitorConfig

_GOOGLE = "0x1ae0"
#: How long the result of looking at the bus holds, in seconds.
LOOK_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class TpuModel:
    """A generation of chips."""

    name: str
    hbm_gib: int  # of a chip
    devices_per_chip: int  # as programs count them
    numbered_per_chip: int  # as metrics number them: 7x has one number for both of its devices


#: Generations by PCI device; v2 and v3 share one and differ in the subsystem.
_MODELS = {
    "0x005e": TpuModel("v4", 32, 1, 1),
    "0x0063": TpuModel("v5e", 16, 1, 1),
    "0x0062": TpuModel("v5p", 95, 1, 1),
    "0x006f": TpuModel("v6e", 32, 1, 1),
    "0x0076": TpuModel("7x", 192, 2, 1),
}
_OLD_DEVICE = "0x0027"
_OLD_MODELS = {"0x004e": TpuModel("v2", 8, 2, 2), "0x004f": TpuModel("v3", 16, 2, 2)}


@dataclass(frozen=True, slots=True)
class TpuChips:
    """The chips of this machine."""

    model: TpuModel
    count: int


class TpuReader:
    """Everything about TPUs; without chips on the bus, no library is loaded and nobody asked."""

    def __init__(
        self,
        sys_root: Path,
        runtime: TpuRuntimeReader,
        library: TpuLibraryReader,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.runtime = runtime
        self.library = library
        self._bus = sys_root / "bus" / "pci" / "devices"
        self._clock = clock
        self._chips: TpuChips | None = None
        self._looked_s = float("-inf")

    @classmethod
    def of(cls, config: MonitorConfig) -> TpuReader:
        """Return the reader below the configured roots."""
        library = TpuLibraryReader(ProbeReader("tpu"))
        return cls(config.sys_root, TpuRuntimeReader(config.tpu_runtime_address), library)

    def chips(self) -> TpuChips:
        """Return the chips on the PCI bus.

        Raises:
            NoDataError: There are none.
        """
        if self._clock() >= self._looked_s + LOOK_AGAIN_S:
            self._chips = find_chips(self._bus)
            self._looked_s = self._clock()
        if self._chips is None:
            raise NoDataError(f"no TPU: no chip of Google's (vendor {_GOOGLE}) in {self._bus}")
        return self._chips

    def close(self) -> None:
        """Close the connection and end the library's process."""
        self.runtime.close()
        self.library.close()


def find_chips(bus: Path) -> TpuChips | None:
    """Return the TPU chips among the devices of a PCI bus: the most frequent model, if several."""
    try:
        devices = sorted(bus.iterdir())
    except OSError:  # a machine without PCI
        return None
    found = Counter(model for model in map(_model, devices) if model)
    return TpuChips(*found.most_common(1)[0]) if found else None


def _model(device: Path) -> TpuModel | None:
    if _attribute(device, "vendor") != _GOOGLE:
        return None
    number = _attribute(device, "device")
    if number == _OLD_DEVICE:
        return _OLD_MODELS.get(_attribute(device, "subsystem_device"))
    return _MODELS.get(number)


def _attribute(device: Path, name: str) -> str:
    try:
        return (device / name).read_text(encoding="ascii", errors="replace").strip().lower()
    except OSError:  # a device that is just being removed
        return ""
