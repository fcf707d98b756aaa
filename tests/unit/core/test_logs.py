"""The agent's log, where it cannot be written."""

from __future__ import annotations

import errno
import io

import structlog

from trackd_agent.core.logs import LogConfig, configure


class FullDisk(io.StringIO):
    def write(self, text: str, /) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", text[:10])


def test_a_log_on_a_full_disk_fails_nobody() -> None:
    before = structlog.get_config()
    try:
        configure(LogConfig(format="json"), FullDisk())
        structlog.get_logger().warning("journal_full")
    finally:
        structlog.configure(**before)
