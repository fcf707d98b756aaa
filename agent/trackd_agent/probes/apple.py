"""Apple silicon: CPU, GPU and Neural Engine of a Mac, without root.

From IOReport (energy and clocks, `apple_power`), the system management controller (temperatures
and power, `apple_sensors`), and the kernel (memory, `sysctl`). A source that a machine lacks
leaves its facts out. Facts of `read`: `seconds`, `energy` and `residency` of the time since the
last read, `clocks` in MHz by kind of unit, `cpu_c`, `gpu_c` (a list each), `system_w`,
`gpu_memory_bytes`, `memory` and `swap` (`used_bytes`, `total_bytes`).
"""

from __future__ import annotations

import ctypes
import platform
import struct
from typing import Any

from trackd_agent.probes import AbsentError, apple_power
from trackd_agent.probes.apple_frameworks import CoreFoundation, IoKit, Paths, declare
from trackd_agent.probes.apple_sensors import Sensors

#: `vm_statistics64`, up to the last field that is used.
_PAGES = struct.Struct("=4I9Q2I4Q4I")
_VM_INFO = 4  # HOST_VM_INFO64
_VM_WORDS = 64  # more than any version has
_TEXT_BYTES = 256


def open(options: dict[str, Any]) -> Apple:
    """Return the probe.

    Raises:
        AbsentError: This is no Mac with Apple silicon.
    """
    del options
    if (platform.system(), platform.machine()) != ("Darwin", "arm64"):
        raise AbsentError("this is no Mac with Apple silicon")
    return Apple()


class Apple:
    """This Mac."""

    def __init__(self, paths: Paths | None = None) -> None:
        paths = paths or Paths()
        self._foundation = CoreFoundation(paths)
        self._kernel = IoKit(self._foundation, paths)
        self._system = System(paths)
        self._clocks = apple_power.clocks(self._foundation, self._kernel)
        self._sensors = Sensors(self._kernel)
        self._power = apple_power.PowerReport(self._foundation, paths)

    def read(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the facts of now."""
        del request
        facts = {"clocks": self._clocks, **self._power.read(), **self._sensors.read()}
        facts |= {"memory": self._system.memory(), "swap": self._system.swap()}
        statistics = self._gpu_number("PerformanceStatistics", "In use system memory")
        return facts | ({} if statistics is None else {"gpu_memory_bytes": statistics})

    def describe(self) -> dict[str, Any]:
        """Return what the machine is, named as in `apple` of `wandb-metadata.json`."""
        facts = {
            "name": self._system.text("machdep.cpu.brand_string"),
            "macModel": self._system.text("hw.model"),
            "ecpuCores": self._system.number("hw.perflevel1.physicalcpu"),
            "pcpuCores": self._system.number("hw.perflevel0.physicalcpu"),
            "gpuCores": self._gpu_number("gpu-core-count"),
            "ramTotalBytes": self._system.number("hw.memsize"),
            "swapTotalBytes": self._system.swap().get("total_bytes"),
        }
        return {name: fact for name, fact in facts.items() if fact}

    def _gpu_number(self, name: str, part: str = "") -> int | None:
        """Return a number among the properties of the GPU, or in one that is a dictionary."""
        with (
            self._kernel.service("IOAccelerator") as gpu,
            self._kernel.property(gpu, name) as value,
        ):
            if value and part:
                value = self._foundation.value_of(value, part)
            return self._foundation.number_of(value)


class System:
    """Facts of the kernel: `sysctl` and memory."""

    def __init__(self, paths: Paths) -> None:
        library = ctypes.CDLL(paths.system)
        pointer, u32, number = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int
        self._sysctl = declare(
            library,
            "sysctlbyname",
            number,
            ctypes.c_char_p,
            pointer,
            pointer,
            pointer,
            ctypes.c_size_t,
        )
        self._host = declare(library, "mach_host_self", u32)()
        self._statistics = declare(
            library, "host_statistics64", number, u32, number, pointer, pointer
        )

    def text(self, name: str) -> str:
        """Return a text by its name, nothing for none."""
        return self._bytes(name).split(b"\0", 1)[0].decode(errors="replace")

    def number(self, name: str) -> int:
        """Return a number by its name, 0 for none."""
        return int.from_bytes(self._bytes(name), "little")

    def swap(self) -> dict[str, int]:
        """Return `used_bytes` and `total_bytes`, nothing where they are not known."""
        usage = self._bytes("vm.swapusage")  # `struct xsw_usage`: total, available, used
        if len(usage) < 24:
            return {}
        total, _, used = struct.unpack_from("<3Q", usage)
        return {"used_bytes": used, "total_bytes": total}

    def memory(self) -> dict[str, int]:
        """Return `used_bytes` as the activity monitor counts them, and `total_bytes`."""
        buffer, words = (ctypes.c_uint32 * _VM_WORDS)(), ctypes.c_uint32(_VM_WORDS)
        if self._statistics(self._host, _VM_INFO, buffer, ctypes.byref(words)):
            return {}
        pages = used_pages(bytes(buffer))
        return {
            "used_bytes": pages * self.number("hw.pagesize"),
            "total_bytes": self.number("hw.memsize"),
        }

    def _bytes(self, name: str) -> bytes:
        buffer = ctypes.create_string_buffer(_TEXT_BYTES)
        size = ctypes.c_size_t(_TEXT_BYTES)
        failed = self._sysctl(name.encode(), buffer, ctypes.byref(size), None, 0)
        return b"" if failed else buffer.raw[: size.value]


def used_pages(statistics: bytes) -> int:
    """Return pages in use from `vm_statistics64`: all but free, file backed and purgeable ones."""
    fields = _PAGES.unpack_from(statistics)
    _, active, inactive, wired = fields[:4]
    purgeable, speculative = fields[13:15]
    compressed, _, file_backed, _ = fields[19:23]
    return active + inactive + wired + speculative + compressed - purgeable - file_backed
