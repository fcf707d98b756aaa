"""What is asked of a download, and what it tells about itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trackd_agent.artifacts.downloads.entries import EVERYTHING, Filter

if TYPE_CHECKING:
    from trackd_agent.artifacts.downloads.addresses import Listing
    from trackd_agent.artifacts.downloads.placing import Placed, Source
    from trackd_agent.artifacts.downloads.root import Unwritable
    from trackd_agent.upstream import Manner, Upstream

#: Failures that are told one by one; the others are counted.
MAX_FAILURES = 1000


@dataclass(frozen=True, slots=True)
class Version:
    """An artifact version at a server."""

    upstream: Upstream
    manner: Manner
    artifact_id: str
    listing: Listing | None = None


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """One download (fields as in `trackd.v1.DownloadRequest`)."""

    version: Version
    root: str
    root_device: int = 0
    root_inode: int = 0
    filter: Filter = EVERYTHING
    skip_cache: bool = False
    multipart: bool | None = None


@dataclass(slots=True)
class Progress:
    """How far a download is."""

    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    bytes_fetched: int = 0
    references: int = 0
    files_failed: int = 0
    sources: Counter[Source] = field(default_factory=Counter["Source"])
    #: Not yet told.
    failures: list[tuple[str, Unwritable]] = field(default_factory=list["tuple[str, Unwritable]"])

    def note(self, placed: Placed) -> None:
        """Take one file into account."""
        if placed.failure is not None:
            self.files_failed += 1
            if self.files_failed <= MAX_FAILURES:
                self.failures.append((placed.entry.path, placed.failure))
            return
        self.files_done += 1
        self.bytes_done += placed.entry.size or 0
        if placed.source is not None:
            self.sources[placed.source] += 1

    def take_failures(self) -> list[tuple[str, Unwritable]]:
        """Return the failures that nobody was told of yet."""
        failures, self.failures = self.failures, []
        return failures
