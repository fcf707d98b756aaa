"""The downloads of this agent: a component, which owns their tasks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self

import anyio

from trackd_agent.artifacts.cache import cache_of
from trackd_agent.artifacts.contents import KnownFiles
from trackd_agent.artifacts.downloads.download import Download
from trackd_agent.artifacts.downloads.open_manifest import OpenManifest
from trackd_agent.artifacts.downloads.tools import Tools

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from anyio.abc import TaskGroup

    from trackd_agent.artifacts.cache import CacheState, Cleaned
    from trackd_agent.artifacts.config import ArtifactsConfig
    from trackd_agent.artifacts.downloads.entries import Filter
    from trackd_agent.artifacts.downloads.progress import DownloadOptions, Version


class Downloads:
    """Async context manager; downloads go on while it is entered.

    Args:
        data: the data directory.
        config: limits, place of the cache.
    """

    def __init__(self, data: Path, config: ArtifactsConfig) -> None:
        self._config = config
        self._folder = data / "agent" / "artifacts" / "tmp"
        self._cache = cache_of(data, config)
        self._known = KnownFiles(config.known_files)
        self._tools: Tools | None = None
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tools = Tools(self._config, self._cache, self._known, self._folder)
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        assert self._tasks is not None
        assert self._tools is not None
        self._tasks.cancel_scope.cancel()
        try:
            return await self._tasks.__aexit__(kind, error, trace)
        finally:
            self._tools.hashers.shutdown(wait=False)

    def begin(self, options: DownloadOptions) -> Download:
        """Start a download; whoever starts it cancels it when nobody waits any more."""
        assert self._tools is not None
        assert self._tasks is not None
        download = Download(self._tools, options)
        self._tasks.start_soon(download.run, name="download")
        return download

    async def manifest(self, version: Version, wanted: Filter) -> OpenManifest:
        """Read the manifest of a version; whoever gets it closes it.

        Raises:
            AgentError: the server has none, does not answer, or refuses.
        """
        assert self._tools is not None
        return await OpenManifest.fetch(self._tools, version, wanted)

    async def cache_state(self) -> CacheState:
        """Return what the cache holds."""
        assert self._tools is not None
        return await self._tools.in_thread(self._cache.state)

    async def clean_cache(self, target_bytes: int, *, remove_temporary: bool) -> Cleaned:
        """Shrink the cache."""
        assert self._tools is not None
        clean = partial(self._cache.clean, target_bytes, remove_temporary=remove_temporary)
        return await self._tools.in_thread(clean)
