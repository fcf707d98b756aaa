"""How much goes on at the same time towards one server.

Each server has lanes of its own: saves that wait for one that is away, for days if need be, hold
up none of those to another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from trackd_agent.artifacts.config import ArtifactsConfig


class Lanes:
    """The bounds of all saves to one server.

    Args:
        config: settings of the room.
    """

    def __init__(self, config: ArtifactsConfig) -> None:
        #: Saves that go on.
        self.saves = anyio.Semaphore(config.parallel_saves)
        #: Files that travel in requests of their own.
        self.transfers = anyio.Semaphore(config.parallel_files)
        #: Pieces of files in memory.
        self.windows = anyio.Semaphore(config.parallel_windows)
