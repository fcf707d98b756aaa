"""Words to systemd (sd_notify): one datagram each, nothing where no systemd listens."""

from __future__ import annotations

import os
import socket

import structlog

log = structlog.get_logger()


class Notifier:
    """Tells the service manager how the agent is."""

    def __init__(self, address: str, watchdog_usec: str = "") -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        #: Longest silence that the service manager takes, in seconds; 0: any.
        self.watchdog_s = int(watchdog_usec) / 1e6 if watchdog_usec.isdigit() else 0.0

    @classmethod
    def from_environment(cls) -> Notifier:
        """Return the notifier that the environment asks for; children do not inherit it."""
        address = os.environ.pop("NOTIFY_SOCKET", "")
        watchdog_usec = os.environ.pop("WATCHDOG_USEC", "")
        pid = os.environ.pop("WATCHDOG_PID", "")
        return cls(address, watchdog_usec if pid in ("", str(os.getpid())) else "")

    @property
    def is_supervised(self) -> bool:
        """Whether a service manager listens."""
        return bool(self._address)

    def tell(self, *facts: str) -> None:
        """Send facts such as `READY=1`; a problem is logged and changes nothing."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.connect(self._address)
                out.send("\n".join(facts).encode())
        except OSError as error:
            log.warning("notify_failed", problem=str(error))
