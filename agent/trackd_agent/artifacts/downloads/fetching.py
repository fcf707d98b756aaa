"""Files from a server to the root, through the network: retried, resumed, verified."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from trackd_agent.artifacts.downloads.placing import MISMATCH, Placed, Source
from trackd_agent.artifacts.downloads.root import Unwritable
from trackd_agent.artifacts.workers import work_through
from trackd_agent.core.errors import UpstreamUnavailable
from trackd_agent.upstream import Patience, RequestFailed, RetryClass

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

    from trackd_agent.artifacts.config import ArtifactsConfig
    from trackd_agent.artifacts.downloads.entries import Entry
    from trackd_agent.artifacts.downloads.placing import Placing, VerifiedFile
    from trackd_agent.upstream import Manner, Upstream

T = TypeVar("T")

_PIECE_BYTES = 1024 * 1024
_PARTIAL = 206
_EXPIRED = (401, 403)
#: Files of compressed media must arrive as they are stored.
_PLAIN = {"Accept-Encoding": "identity"}


@dataclass(slots=True)
class Address:
    """Where a file is, for now.

    Attributes:
        url: address, or path on the server itself.
        renew: returns another one when the server does not take this one any more.
        renewals: how often that was done.
    """

    url: str
    renew: Callable[[], Awaitable[str]]
    renewals: int = 0


class Fetcher:
    """Brings single files.

    Args:
        upstream: the server.
        manner: how requests go.
        placing: where files go.
        config: limits.
        threads: bound of the worker threads.
    """

    def __init__(
        self,
        upstream: Upstream,
        manner: Manner,
        placing: Placing,
        config: ArtifactsConfig,
        threads: anyio.CapacityLimiter,
    ) -> None:
        #: Bytes that arrived.
        self.fetched_bytes = 0
        self._upstream = upstream
        self._manner = manner
        self._placing = placing
        self._config = config
        self._threads = threads
        self._parts = anyio.Semaphore(config.parallel_ranges)
        self._failures_in_a_row = 0

    async def fetch(self, entry: Entry, address: Address, *, in_ranges: bool) -> Placed:
        """Bring one file; what is wrong with this file alone is told in the result.

        Raises:
            UpstreamUnavailable: the server does not deliver anything any more.
            DiskFull: there is no room.
        """
        try:
            goes_on = (entry.size or 0) >= self._config.resumed_bytes
            new = await self._in_thread(partial(self._placing.begin, entry, goes_on=goes_on))
            try:
                await self._fill(new, address, in_ranges=in_ranges and bool(entry.size))
            finally:
                with anyio.CancelScope(shield=True):
                    await self._in_thread(new.close)
        except Unwritable as failure:
            return Placed(entry, failure=failure)
        return Placed(entry, Source.NETWORK)

    async def _fill(self, new: VerifiedFile, address: Address, *, in_ranges: bool) -> None:
        if new.was_begun:
            try:
                await self._complete(new, address, in_ranges=in_ranges)
            except Unwritable as failure:
                if failure.code != MISMATCH:
                    raise
                await self._in_thread(new.begin_anew)
            else:
                return
        await self._complete(new, address, in_ranges=in_ranges)

    async def _complete(self, new: VerifiedFile, address: Address, *, in_ranges: bool) -> None:
        """Bring what is missing of a file, and give it its name."""
        if in_ranges and await self._fill_in_ranges(new, address):
            await self._in_thread(partial(new.finish_ranges, keep=True))
            return
        await self._in_thread(new.go_on)
        if not new.size_bytes or new.size_bytes != new.entry.size:
            await self._repeat(new.entry, address, lambda: self._append(new, address))
        await self._in_thread(partial(new.finish, keep=True))

    async def _append(self, new: VerifiedFile, address: Address) -> None:
        """Append what is missing of a file to it."""
        begin = new.size_bytes
        headers = {**_PLAIN, "Range": f"bytes={begin}-"} if begin else _PLAIN
        async with self._upstream.fetch(address.url, headers, self._manner) as response:
            skip = 0 if response.status_code == _PARTIAL else begin
            async for piece in response.aiter_bytes(_PIECE_BYTES):
                self._arrived(piece)
                wanted = memoryview(piece)[skip:]
                skip = max(0, skip - len(piece))
                if wanted:
                    await self._in_thread(new.append, wanted)

    async def _fill_in_ranges(self, new: VerifiedFile, address: Address) -> bool:
        """Fill a file in parts at the same time; return False where the server has no ranges."""
        step = self._config.range_bytes
        ranges = [
            (start, min(start + step, end))
            for begin, end in new.gaps()
            for start in range(begin, end, step)
        ]
        if ranges and not await self._part(new, address, *ranges[0]):
            return False

        async def fetch(at: tuple[int, int]) -> None:
            async with self._parts:
                if not await self._part(new, address, *at):
                    raise Unwritable(
                        "DOWNLOAD_FAILED",
                        f"{new.entry.path!r}: the server stopped answering ranges",
                    )

        await work_through(ranges[1:], fetch, self._config.parallel_ranges)
        return True

    async def _part(self, new: VerifiedFile, address: Address, start: int, end: int) -> bool:
        done = start

        async def attempt() -> bool:
            nonlocal done
            headers = {**_PLAIN, "Range": f"bytes={done}-{end - 1}"}
            async with self._upstream.fetch(address.url, headers, self._manner) as response:
                if response.status_code != _PARTIAL or not _begins_at(response, done):
                    return False
                async for piece in response.aiter_bytes(_PIECE_BYTES):
                    self._arrived(piece)
                    wanted = piece[: end - done]
                    await self._in_thread(new.write_at, wanted, done)
                    done += len(wanted)
            if done < end:
                problem = f"the answer ends {end - done} bytes before the end of its range"
                raise RequestFailed(RetryClass.TRANSIENT, problem)
            return True

        return await self._repeat(new.entry, address, attempt)

    async def _repeat(
        self, entry: Entry, address: Address, attempt: Callable[[], Awaitable[T]]
    ) -> T:
        """Repeat while that may help; each attempt goes on where the last one ended.

        Raises:
            Unwritable: this file does not come.
            UpstreamUnavailable: no file comes.
        """
        patience = Patience(self._upstream.config, manner=self._manner)
        failures = 0
        while True:
            before = self.fetched_bytes
            try:
                return await attempt()
            except RequestFailed as failure:
                failures = 1 if self.fetched_bytes > before else failures + 1
                self._failures_in_a_row += 1
                if self._failures_in_a_row > self._config.download_attempts * 8:
                    raise UpstreamUnavailable(
                        "UPSTREAM_UNAVAILABLE",
                        f"no file arrives any more: {failure.problem}",
                    ) from failure
                if failure.status in _EXPIRED and address.renewals < self._config.renewals:
                    address.renewals += 1
                    address.url = await address.renew()
                    continue
                may_help = failure.retry_class is RetryClass.TRANSIENT
                if not may_help or failures >= self._config.download_attempts:
                    raise Unwritable(
                        "DOWNLOAD_FAILED", f"{entry.path!r}: {failure.problem}"
                    ) from failure
                await anyio.sleep(patience.wait_s(failure))

    def _arrived(self, piece: bytes) -> None:
        self.fetched_bytes += len(piece)
        self._failures_in_a_row = 0

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        return await anyio.to_thread.run_sync(function, *args, limiter=self._threads)


def _begins_at(response: httpx.Response, offset: int) -> bool:
    """Whether a partial answer is about the range that was asked for."""
    return response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
