"""What all downloads of an agent share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trackd_agent.artifacts.cache import FileCache
    from trackd_agent.artifacts.config import ArtifactsConfig
    from trackd_agent.artifacts.contents import KnownFiles

T = TypeVar("T")


class Tools:
    """What all downloads share.

    Args:
        config: limits.
        cache: file contents of earlier downloads.
        known: digests of files that did not change.
        folder: for unnamed files of manifests.
    """

    def __init__(
        self, config: ArtifactsConfig, cache: FileCache, known: KnownFiles, folder: Path
    ) -> None:
        self.config = config
        self.cache = cache
        self.known = known
        self.folder = folder
        #: Downloads that go on at the same time.
        self.slots = anyio.Semaphore(config.parallel_downloads)
        self.threads = anyio.CapacityLimiter(config.writing_threads)
        self.hashers = ThreadPoolExecutor(config.writing_threads, "trackd-hash")

    async def in_thread(self, function: Callable[..., T], *args: object) -> T:
        """Do something that blocks."""
        return await anyio.to_thread.run_sync(function, *args, limiter=self.threads)
