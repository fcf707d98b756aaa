"""Devices on the PCI bus, as sysfs shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class PciReader:
    """Reads `/sys/bus/pci/devices`."""

    def __init__(self, sys_root: Path) -> None:
        self._devices = sys_root / "bus" / "pci" / "devices"

    def numa_node(self, bus_id: str) -> int | None:
        """Return which NUMA node a device is attached to, None where the machine has no such.

        The kernel writes domains with four digits and small letters (`0000:1b:00.0`), NVML with
        eight and capitals.
        """
        domain, _, rest = bus_id.lower().partition(":")
        try:
            text = (self._devices / f"{domain[-4:]}:{rest}" / "numa_node").read_text()
            return node if (node := int(text)) >= 0 else None
        except (OSError, ValueError):
            return None
