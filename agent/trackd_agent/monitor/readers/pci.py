"""Devices on the PCI bus, as sysfs shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class PciReader:
    """Reads `/sys/bus/pci/devices`."""

    def __init__(self, sys_root: Path) -> None:
        self._devices = sys_root / "bus" / "pci" / "devices"

    def has_gpu(self, vendor: str) -> bool:
        """Return whether there is a display or 3D controller of a vendor (`0x10de`: NVIDIA)."""
        try:
            devices = list(self._devices.iterdir())
        except OSError:  # no PCI bus, or a sandbox that hides it
            return False
        return any(
            _text(device / "vendor") == vendor and _text(device / "class").startswith("0x03")
            for device in devices
        )

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


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
