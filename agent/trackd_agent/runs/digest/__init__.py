"""What a run shows when it ends.

Owns the sample of its rows. Knows nothing of files and servers.
"""

from __future__ import annotations

from trackd_agent.runs.digest.sample import HistorySample

__all__ = ["HistorySample"]
