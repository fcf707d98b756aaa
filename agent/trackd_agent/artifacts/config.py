"""Settings of the artifacts room."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic reads the annotations

from pydantic import BaseModel, ConfigDict, Field


class ArtifactsConfig(BaseModel):
    """How artifacts travel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Saves to one server that go on at the same time; those of one collection follow one another.
    parallel_saves: int = Field(default=12, ge=1)
    #: Files that travel to one server at the same time, one request each.
    parallel_files: int = Field(default=12, ge=1)
    #: Files for which upload addresses are asked at once.
    address_batch: int = Field(default=500, ge=1, le=2000)
    #: Pieces of files in memory at the same time, for all saves to one server together.
    parallel_windows: int = Field(default=3, ge=1)
    #: Size of such a piece, in bytes.
    window_bytes: int = Field(default=4 * 1024 * 1024, ge=1024 * 1024)
    #: Threads that read, hash and cut.
    hashing_threads: int = Field(default=4, ge=1)
    #: A save is given up when its server was not reached, or refused the key, for so long.
    give_up_s: float = Field(default=7 * 24 * 3600.0, gt=0)
    #: How often errors of a server that may pass are taken, in a row, before a save is given up.
    refusals: int = Field(default=4, ge=1)
    #: Files from this size on are sent in parts to servers that offer it, in bytes.
    multipart_bytes: int = Field(default=2 * 1024**3, ge=1024)
    #: Least size of a part, in bytes; larger files have larger ones, rather than more than 1,000.
    #: How many of a save travel at the same time: they are what a killed agent sends again.
    part_bytes: int = Field(default=16 * 1024**2, ge=1024)
    parallel_parts: int = Field(default=3, ge=1)
    #: Ended saves whose results are kept for whoever asks late.
    remembered_results: int = Field(default=2000, ge=0)
    #: Downloads that go on at the same time; the others wait.
    parallel_downloads: int = Field(default=8, ge=1)
    #: Files that one download fetches at the same time; size and number of ranges of large ones.
    parallel_fetches: int = Field(default=32, ge=1)
    range_bytes: int = Field(default=100 * 1024**2, ge=1024)
    parallel_ranges: int = Field(default=8, ge=1)
    #: Files from this size on go on after the death of an agent, in bytes.
    resumed_bytes: int = Field(default=64 * 1024**2, ge=1)
    #: Threads that write and verify downloaded files.
    writing_threads: int = Field(default=4, ge=1)
    #: Addresses of files asked for at once.
    address_page: int = Field(default=5000, ge=1, le=10_000)
    #: Attempts in a row without a byte before a file is given up; new addresses for one file.
    download_attempts: int = Field(default=6, ge=1)
    renewals: int = Field(default=3, ge=0)
    #: Files whose digests are remembered until they change.
    known_files: int = Field(default=50_000, ge=0)
    #: Folder of the cache of downloaded files; none: `cache/artifacts` in the data directory.
    cache_dir: Path | None = None
    #: Bytes that the cache may hold; 0: nothing is kept. What it leaves free on its disk.
    cache_max_bytes: int = Field(default=20 * 1024**3, ge=0)
    cache_least_free_bytes: int = Field(default=1024**3, ge=0)
