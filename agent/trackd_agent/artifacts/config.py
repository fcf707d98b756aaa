"""Settings of the artifacts room."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ArtifactsConfig(BaseModel):
    """How artifacts travel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Saves that go on at the same time; those of one collection follow one another.
    parallel_saves: int = Field(default=12, ge=1)
    #: Files that travel to one server at the same time, one request each.
    parallel_files: int = Field(default=12, ge=1)
    #: Files for which upload addresses are asked at once.
    address_batch: int = Field(default=500, ge=1, le=2000)
    #: Pieces of files in memory at the same time, for all saves together.
    parallel_windows: int = Field(default=4, ge=1)
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
    #: Size of a part, in bytes; larger where there would be more than 10,000.
    part_bytes: int = Field(default=100 * 1024**2, ge=1024)
    #: Ended saves whose results are kept for whoever asks late.
    remembered_results: int = Field(default=2000, ge=0)
