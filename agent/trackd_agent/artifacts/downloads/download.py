"""One download: manifest, then what is here already, then what a server has to bring."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
import structlog

from trackd_agent.artifacts.downloads import manifest as kinds
from trackd_agent.artifacts.downloads.addresses import Addresses
from trackd_agent.artifacts.downloads.fetching import Address, Fetcher
from trackd_agent.artifacts.downloads.open_manifest import QUESTION_S, OpenManifest
from trackd_agent.artifacts.downloads.placing import Placing, Stopped
from trackd_agent.artifacts.downloads.progress import DownloadOptions, Progress
from trackd_agent.artifacts.downloads.root import Root
from trackd_agent.artifacts.downloads.store import OwnStore
from trackd_agent.core.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from trackd_agent.artifacts.downloads.entries import Entry
    from trackd_agent.artifacts.downloads.placing import Placed
    from trackd_agent.artifacts.downloads.tools import Tools

log = structlog.get_logger()
T = TypeVar("T")

_BATCH = 256
_REFERENCES_AT_ONCE = 1000


class Download:
    """One download; `run` does it, the rest tells how it goes.

    Args:
        tools: what downloads share.
        options: what is wanted.
    """

    def __init__(self, tools: Tools, options: DownloadOptions) -> None:
        self.progress = Progress()
        #: Why it ended early; None: it did not.
        self.error: AgentError | None = None
        self.is_over = anyio.Event()
        self.has_manifest = anyio.Event()
        self._tools = tools
        self._options = options
        self._scope = anyio.CancelScope()
        self._manifest: OpenManifest | None = None
        self._placing: Placing | None = None

    @property
    def arriving_bytes(self) -> int:
        """Bytes of files that are being written."""
        files = self._placing.open_files.copy() if self._placing is not None else ()
        return sum(file.written_bytes for file in files)

    def cancel(self) -> None:
        """Nobody waits for it any more; whole files stay."""
        self._stop_threads()
        self._scope.cancel()

    async def references(self) -> AsyncGenerator[list[Entry]]:
        """Yield the references among the entries, once the manifest is there."""
        await self.has_manifest.wait()
        if self._manifest is None or not self.progress.references:
            return
        async with aclosing(
            self._manifest.batches(kinds.REFERENCES, _REFERENCES_AT_ONCE)
        ) as batches:
            async for batch in batches:
                yield batch

    async def run(self) -> None:
        """Do it when it is its turn; what goes wrong is told in `error`."""
        try:
            with self._scope:
                async with self._tools.slots:
                    await self._do()
        except* AgentError as group:
            self.error = _first(group)
        except* Stopped:
            pass
        except* Exception as group:
            log.exception("download_failed", artifact_id=self._options.version.artifact_id)
            self.error = _first(group)
        finally:
            self.has_manifest.set()
            self.is_over.set()

    async def _do(self) -> None:
        options = self._options
        root = await self._tools.in_thread(
            Root, options.root, options.root_device, options.root_inode
        )
        try:
            cache = None if options.skip_cache else self._tools.cache
            self._placing = Placing(root, cache, self._tools.known, self._tools.hashers)
            await self._open_manifest()
            if await self._settle(self._placing):
                await self._fetch(self._placing)
        finally:
            with anyio.CancelScope(shield=True):
                await self._tools.in_thread(root.close)

    async def close(self) -> None:
        """Let go of the manifest; called when it is over and nobody reads references."""
        await self.is_over.wait()
        if self._manifest is not None:
            await self._manifest.close()
            self._manifest = None

    async def _open_manifest(self) -> None:
        options, progress = self._options, self.progress
        manifest = await OpenManifest.fetch(self._tools, options.version, options.filter)
        self._manifest = manifest
        table = manifest.manifest
        progress.files_total, progress.bytes_total = await manifest.ask(table.count_files)
        progress.references = await manifest.ask(table.count_references)
        self.has_manifest.set()

    # -- without the server ------------------------------------------------------------------

    async def _settle(self, placing: Placing) -> int:
        """Place what is here already; return how many files are missing."""
        assert self._manifest is not None
        manifest, missing = self._manifest, 0

        async def work(batch: list[Entry]) -> None:
            nonlocal missing
            placed, lacking = await self._tools.in_thread(placing.settle, batch)
            self._note(placed)
            if lacking:
                missing += len(lacking)
                await manifest.ask(partial(manifest.manifest.set_missing, lacking, missing=True))

        async with aclosing(manifest.batches(kinds.FILES, _BATCH)) as batches:
            await self._in_parallel(batches, work, self._tools.config.writing_threads)
        return missing

    # -- with the server ---------------------------------------------------------------------

    async def _fetch(self, placing: Placing) -> None:
        assert self._manifest is not None
        manifest, version = self._manifest, self._options.version
        store = await OwnStore.find(version, placing, self._tools)
        if store is not None:
            await self._from_store(store)
        fetcher = Fetcher(
            version.upstream, version.manner, placing, self._tools.config, self._tools.threads
        )
        addresses = Addresses(
            version.upstream, version.manner, version.artifact_id, version.listing, QUESTION_S
        )
        config = manifest.manifest.storage_config

        async def fetch(job: tuple[Entry, str]) -> None:
            entry, url = job

            async def renew() -> str:
                return await addresses.renewed(entry, config)

            address = Address(url or await addresses.of_entry(entry, config), renew)
            placed = await fetcher.fetch(entry, address, in_ranges=self._goes_in_ranges(entry))
            self.progress.bytes_fetched = fetcher.fetched_bytes + (
                store.fetched_bytes if store else 0
            )
            self._note([placed])

        # Files of our own server need no address: it serves them under their digest.
        asks_for_addresses = store is None and not self._options.filter.paths
        async with aclosing(self._jobs(addresses, asks_for_addresses)) as jobs:
            await self._in_parallel(jobs, fetch, self._tools.config.parallel_fetches)

    async def _from_store(self, store: OwnStore) -> None:
        assert self._manifest is not None
        manifest = self._manifest

        async def work(batch: list[Entry]) -> None:
            placed = await store.place(batch)
            self._note(placed)
            self.progress.bytes_fetched = store.fetched_bytes
            done = [each.entry for each in placed]
            await manifest.ask(partial(manifest.manifest.set_missing, done, missing=False))

        async with aclosing(manifest.batches(kinds.MISSING, _BATCH)) as batches:
            await self._in_parallel(batches, work, self._tools.config.writing_threads)

    async def _jobs(
        self, addresses: Addresses, asks_for_addresses: bool
    ) -> AsyncGenerator[tuple[Entry, str]]:
        """Yield the missing files, with their addresses where the server lists them."""
        assert self._manifest is not None
        manifest = self._manifest
        if asks_for_addresses:
            pages = addresses.pages(self._tools.config.address_page)
            async with aclosing(pages):
                async for page in pages:
                    found = await manifest.ask(manifest.manifest.missing, list(page))
                    await manifest.ask(partial(manifest.manifest.set_missing, found, missing=False))
                    for entry in found:
                        yield entry, page[entry.path]
        async with aclosing(manifest.batches(kinds.MISSING, _BATCH)) as batches:
            async for batch in batches:
                for entry in batch:
                    yield entry, ""

    def _goes_in_ranges(self, entry: Entry) -> bool:
        wanted = self._options.multipart
        if wanted is None:
            return (entry.size or 0) >= self._tools.config.multipart_bytes
        return wanted

    def _note(self, placed: list[Placed]) -> None:
        for each in placed:
            self.progress.note(each)

    async def _in_parallel(
        self, jobs: AsyncGenerator[T], work: Callable[[T], Awaitable[None]], workers: int
    ) -> None:
        """Do jobs as they come, so many at a time; none is made before it can be begun."""
        lock = anyio.Lock()

        async def worker() -> None:
            try:
                while (job := await _next(jobs, lock)) is not None:
                    await work(job)
            except BaseException:
                self._stop_threads()
                raise

        async with anyio.create_task_group() as tasks:
            for _ in range(workers):
                tasks.start_soon(worker)

    def _stop_threads(self) -> None:
        if self._placing is not None:
            self._placing.is_stopped = True


async def _next(jobs: AsyncGenerator[T], lock: anyio.Lock) -> T | None:
    async with lock:
        return await anext(jobs, None)


def _first(group: BaseExceptionGroup[Exception]) -> AgentError:
    """Return one of the errors of a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if isinstance(error, AgentError):
        return error
    return AgentError("INTERNAL", f"the download failed: {error!r}")
