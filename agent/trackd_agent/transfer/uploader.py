"""Uploads the files of one run to one server."""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import anyio
import anyio.abc
import anyio.to_thread
import msgspec
import structlog

from trackd_agent.transfer.reading import FileChanged, Reading, Stamp, stamp_of
from trackd_agent.upstream import Courier, Patience, RequestFailed, RetryClass, Wake, expect
from trackd_proto.wandb_http.operations import CREATE_RUN_FILES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd_agent.transfer.config import TransferConfig
    from trackd_agent.upstream import RunPath

log = structlog.get_logger()


class _UploadAddress(msgspec.Struct, rename="camel"):
    name: str
    upload_url: str | None = None


class _CreatedRunFiles(msgspec.Struct, rename="camel"):
    files: list[_UploadAddress]
    upload_headers: list[str] | None = None


def is_safe_name(name: str) -> bool:
    """Return whether a name stays below the folder it is relative to."""
    parts = PurePosixPath(name).parts
    bad = not name or name.startswith("/") or "\\" in name or any(ord(c) < 32 for c in name)
    return not bad and bool(parts) and ".." not in parts


def matches(name: str, pattern: str) -> bool:
    """Return whether a name fits a pattern; no wildcard stands for a slash."""
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


@dataclass(slots=True)
class _File:
    """What is known about one file of the run."""

    policy: str
    sent: Stamp | None = None
    md5: str = ""
    sent_at: float = 0.0
    is_waiting: bool = False
    is_settled: bool = False
    patience: Patience | None = None
    refusals: int = 0


class FileUploader:
    """Queue, watch and senders for the files of one run.

    Args:
        courier: the run's way to the server, for files only.
        path: the run there.
        root: the run's files folder; names are relative to it, links in it are followed.
        config: limits.
        headers: further headers of GraphQL calls.
        ignored: patterns of names that are not uploaded.
    """

    def __init__(
        self,
        courier: Courier,
        path: RunPath,
        root: Path,
        config: TransferConfig,
        headers: Mapping[str, str],
        ignored: tuple[str, ...] = (),
    ) -> None:
        self.dropped: dict[str, int] = {}
        self._courier = courier
        self._path = path
        self._root = root
        self._config = config
        self._headers = headers
        self._ignored = ignored
        self._files: dict[str, _File] = {}
        self._queue: list[str] = []
        self._uploaded: list[str] = []
        self._unfinished = 0
        self._wake = Wake()
        self._drained = Wake()
        self._slots = anyio.Semaphore(config.parallel)

    # -- what the run asks for -------------------------------------------------------------

    def add(self, name: str, policy: str) -> None:
        """Take a file into account: `now` and `live` go at once, `end` when `finish` is called."""
        if not is_safe_name(name):
            self._drop("file_name_refused", name)
            return
        if any(matches(name, pattern) for pattern in self._ignored):
            return
        known = self._files.get(name)
        if known is None:
            self._files[name] = _File(policy)
        else:
            known.policy = policy
            known.is_settled = False
        if policy != "end":
            self._enqueue(name)

    def finish(self, name: str) -> None:
        """Queue a file for the last time: nobody will write to it any more."""
        file = self._files.get(name)
        if file is not None and file.policy != "now":
            file.policy = "now"
            self._enqueue(name)

    def is_settled(self, name: str) -> bool:
        """Whether nothing is left to do for a file."""
        file = self._files.get(name)
        return file is None or (file.is_settled and file.policy == "now")

    @property
    def unfinished(self) -> int:
        """Files that wait or travel."""
        return self._unfinished

    @property
    def has_uploaded(self) -> bool:
        """Whether there are names to be told to the server."""
        return bool(self._uploaded)

    def take_uploaded(self) -> list[str]:
        """Return the names that arrived since the last call, to be told to the server."""
        names, self._uploaded = self._uploaded, []
        return names

    async def drained(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing waits or travels; return whether that came in time."""
        with anyio.move_on_after(timeout_s):
            while self._unfinished:
                await self._drained.wait()
        return not self._unfinished

    async def run(self) -> None:
        """Serve the queue until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch)
            while True:
                while self._queue:
                    await self._send_batch(tasks)
                await self._wake.wait()

    # -- queue -----------------------------------------------------------------------------

    def _enqueue(self, name: str) -> None:
        file = self._files[name]
        if not file.is_waiting:
            file.is_waiting = True
            self._unfinished += 1
            self._queue.append(name)
            self._wake.set()

    def _settle(self, name: str) -> None:
        file = self._files[name]
        file.is_settled = True
        file.patience = None
        file.refusals = 0
        self._unfinished -= 1
        if not self._unfinished:
            self._drained.set()

    def _drop(self, reason: str, name: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        log.warning("file_not_uploaded", reason=reason, name=name)

    async def _watch(self) -> None:
        """Queue files with policy `live` again when they change."""
        while True:
            await anyio.sleep(self._config.poll_s)
            live = [n for n, f in self._files.items() if f.policy == "live" and not f.is_waiting]
            if not live:
                continue
            paths = [self._root / name for name in live]
            stamps = await anyio.to_thread.run_sync(lambda p=paths: [stamp_of(x) for x in p])
            now = time.monotonic()
            for name, stamp in zip(live, stamps, strict=True):
                file = self._files[name]
                rested = now - file.sent_at >= self._config.live_interval_s
                if stamp is not None and stamp != file.sent and rested:
                    self._enqueue(name)

    async def _send_batch(self, tasks: anyio.abc.TaskGroup) -> None:
        batch = self._queue[: self._config.batch]
        del self._queue[: self._config.batch]
        wanted: dict[str, Stamp] = {}
        for name in batch:
            file = self._files[name]
            file.is_waiting = False
            stamp = await anyio.to_thread.run_sync(stamp_of, self._root / name)
            if stamp is None:
                self._drop("file_missing", name)
                self._settle(name)
            elif stamp == file.sent or await self._is_unchanged(name, stamp):
                file.sent = stamp
                self._settle(name)
            else:
                wanted[name] = stamp
        if not wanted:
            return
        headers, urls = await self._ask_for_addresses(list(wanted))
        for name, stamp in wanted.items():
            url = urls.get(name)
            if not url:  # the server does not want it
                self._settle(name)
                continue
            await self._slots.acquire()
            tasks.start_soon(self._send, name, stamp, url, headers)

    async def _is_unchanged(self, name: str, stamp: Stamp) -> bool:
        """Compare content where the stamp differs; only for files that were sent before."""
        file = self._files[name]
        if not file.md5 or file.sent is None or file.sent.size_bytes != stamp.size_bytes:
            return False
        reading = Reading(self._root / name, stamp, self._config.chunk_bytes)
        try:
            return await reading.exhaust() == file.md5
        except (OSError, FileChanged):
            return False

    async def _ask_for_addresses(self, names: list[str]) -> tuple[dict[str, str], dict[str, str]]:
        variables = {
            "entity": self._path.entity,
            "project": self._path.project,
            "run": self._path.run,
            "files": names,
        }

        async def attempt() -> _CreatedRunFiles:
            upstream = self._courier.upstream
            manner = self._courier.manner
            data = await upstream.graphql(CREATE_RUN_FILES, variables, self._headers, manner)
            return expect(data, "createRunFiles", _CreatedRunFiles)

        try:
            answer = await self._courier.deliver(attempt)
        except RequestFailed as failure:  # "too large" for names only: not a size that we can cut
            log.warning("upload_addresses_refused", problem=failure.problem)
            for name in names:
                self._drop("file_refused", name)
            return {}, {}
        headers = dict(_header(line) for line in answer.upload_headers or [])
        return headers, {file.name: file.upload_url or "" for file in answer.files}

    # -- one file --------------------------------------------------------------------------

    async def _send(self, name: str, stamp: Stamp, url: str, headers: dict[str, str]) -> None:
        file = self._files[name]
        reading = Reading(self._root / name, stamp, self._config.chunk_bytes)
        try:
            courier = self._courier
            async with aclosing(reading.chunks()) as chunks:
                await courier.upstream.put(url, headers, stamp.size_bytes, chunks, courier.manner)
        except (OSError, FileChanged) as error:
            self._slots.release()
            self._unreadable(name, error)
            return
        except RequestFailed as failure:
            self._slots.release()
            await self._failed(name, failure)
            return
        self._slots.release()
        self._courier.problem = ""
        file.sent, file.md5, file.sent_at = stamp, reading.md5, time.monotonic()
        self._uploaded.append(name)
        self._settle(name)
        after = await anyio.to_thread.run_sync(stamp_of, self._root / name)
        if after is not None and after != stamp and file.policy == "now":
            self._enqueue(name)  # written to meanwhile: the last state counts

    def _unreadable(self, name: str, error: Exception) -> None:
        changed = isinstance(error, FileChanged)
        self._settle(name)
        if changed:
            self._enqueue(name)
        else:
            self._drop("file_unreadable", name)

    async def _failed(self, name: str, failure: RequestFailed) -> None:
        """Wait and queue again with a fresh address: addresses expire."""
        file = self._files[name]
        if failure.retry_class is RetryClass.TOO_LARGE:
            self._drop("file_too_large", name)
            self._settle(name)
            return
        if failure.status == HTTPStatus.BAD_REQUEST:
            file.refusals += 1
            if file.refusals <= self._config.repeats_of_refused:
                failure.retry_class = RetryClass.TRANSIENT
        self._courier.problem = failure.problem
        file.patience = file.patience or self._courier.patience()
        await self._courier.hurry.wait(file.patience.wait_s(failure))
        if not file.is_waiting:
            self._unfinished -= 1
            self._enqueue(name)
        else:
            self._settle(name)


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()
