"""Traffic of a network namespace, from `/proc/<pid>/net`: that of the agent, or a container's.

Read here and not with psutil, which knows only the namespace of its own process.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Columns of `/proc/net/dev` behind the name: bytes received, and sent.
_RECEIVED, _SENT = 0, 8


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went through interfaces since they came up, in bytes."""

    received_bytes: int
    sent_bytes: int


class NetworkReader:
    """Reads counters of network namespaces."""

    def __init__(self, proc_root: Path, sys_root: Path) -> None:
        self._proc = str(proc_root)
        self._sys = str(sys_root)

    def place(self, pid: int) -> int:
        """Return a process to read the traffic of another by: 0, or itself in its own namespace."""
        try:
            theirs = os.readlink(f"{self._proc}/{pid}/ns/net")  # noqa: PTH115 (text, no path)
            ours = os.readlink(f"{self._proc}/self/ns/net")  # noqa: PTH115
        except OSError:  # not ours to see, or gone
            return 0
        return 0 if theirs == ours else pid

    def traffic(self, place: int = 0) -> Traffic | None:
        """Return the sum over the interfaces that lead outside, each byte counted once.

        Without the loopback, and without members of a bond or bridge: their master counts them
        (sysfs shows that for our own namespace alone). None where there is no interface at all.

        Raises:
            OSError: They cannot be read; the namespace is gone.
        """
        interfaces = parse_devices(self._text(place, "dev"))
        if not interfaces:
            return None
        outside = [
            traffic
            for name, traffic in interfaces.items()
            if name != "lo" and (place or not self._has_master(name))
        ]
        return Traffic(
            sum(each.received_bytes for each in outside), sum(each.sent_bytes for each in outside)
        )

    def tcp_retransmits(self, place: int = 0) -> int | None:
        """Return how many TCP segments were sent again; None where the kernel does not count."""
        try:
            return parse_retransmits(self._text(place, "snmp"))
        except OSError:
            return None

    def _has_master(self, name: str) -> bool:
        return os.path.lexists(f"{self._sys}/class/net/{name}/master")

    def _text(self, place: int, name: str) -> str:
        folder = f"{self._proc}/{place}" if place else self._proc
        with open(f"{folder}/net/{name}", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 (hot)
            return file.read()


def parse_devices(text: str) -> dict[str, Traffic]:
    """Return the counters of `/proc/net/dev` by interface; a line that is none is left out."""
    found: dict[str, Traffic] = {}
    for line in text.splitlines():
        name, separator, rest = line.rpartition(":")
        columns = rest.split()
        if not separator or len(columns) <= _SENT:
            continue
        received, sent = columns[_RECEIVED], columns[_SENT]
        if received.isdecimal() and sent.isdecimal():
            found[name.strip()] = Traffic(int(received), int(sent))
    return found


def parse_retransmits(text: str) -> int | None:
    """Return `RetransSegs` of `/proc/net/snmp`: a line of names, then one of values."""
    rows = [line.split() for line in text.splitlines() if line.startswith("Tcp:")]
    if len(rows) < 2:
        return None
    value = dict(zip(rows[0], rows[1], strict=False)).get("RetransSegs", "")
    return int(value) if value.isdecimal() else None
