"""Apple silicon: the probe, which is started on a Mac only."""

from __future__ import annotations

import platform

from trackd_agent.monitor.readers.probe import ProbeReader


def apple_probe() -> ProbeReader:
    """Return the reader; elsewhere than on macOS it starts no process."""
    return ProbeReader(
        "apple",
        missing=lambda: "" if platform.system() == "Darwin" else "this is no Mac",
    )
