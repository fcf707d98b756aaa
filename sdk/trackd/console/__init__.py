"""Console capture: what the process prints becomes records of the run.

Owns the tap on `sys.stdout` and `sys.stderr` (`feed`), the one on the file descriptors
(`descriptors`), captured loggers, and which run hears what (`capture`). Text is kept raw; the
agent understands carriage returns and escape sequences.
"""

from __future__ import annotations

from trackd.console.capture import ConsoleCapture, write_logs
from trackd.console.loggers import check_levels

__all__ = ["ConsoleCapture", "check_levels", "write_logs"]
