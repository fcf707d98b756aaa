"""Collecting garbage by hand: what needs no time limit, or was put there by nobody of ours."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackd_server.domain.artifacts import lifetimes
from trackd_server.domain.usage import fsck

if TYPE_CHECKING:
    from trackd_server.domain.artifacts import Artifacts
    from trackd_server.domain.storage import Storage


@dataclass(frozen=True)
class Collected:
    """What a collection gave back, or would."""

    #: Files in the blobs folder that no row names, and their bytes.
    objects_without_row: int
    bytes: int
    #: Packs that held bytes which nothing needs.
    packs_rewritten: int
    #: Versions that were never committed, of which nobody sent anything for too long.
    expired_pending: int
    #: Bytes by which the database's files shrank.
    database_bytes: int


def collect(
    storage: Storage, artifacts: Artifacts, pending_s: float, *, dry_run: bool
) -> Collected:
    """Drop what was abandoned, delete blobs without a row, rewrite packs, shrink the database.

    Pending versions count as abandoned if nobody sent anything for `pending_s` seconds. Blocks.
    """
    abandoned = _abandoned(storage, pending_s)
    if abandoned and not dry_run:
        artifacts.sweep(pending_s)
    strays = fsck.check(storage).objects_without_row
    waste, packs = _waste(storage)
    size = sum(stray["bytes"] for stray in strays.listed) + waste
    before = storage.database.size_bytes()
    if not dry_run:
        for stray in strays.listed:
            storage.blobs.delete(stray["key"])
        storage.reclaimer.find_waste()
        while storage.reclaimer.work():
            pass
        storage.doomed.tidy()
        storage.database.reclaim()
        storage.database.fold()
    after = storage.database.size_bytes()
    return Collected(len(strays.listed), size, packs, abandoned, before - after)


def _abandoned(storage: Storage, pending_s: float) -> int:
    with storage.database.read() as connection:
        return len(lifetimes.abandoned(connection, time.time(), pending_s))


def _waste(storage: Storage) -> tuple[int, int]:
    with storage.database.read() as connection:
        size, packs = connection.exec_driver_sql(
            "SELECT coalesce(sum(bytes - live_bytes), 0), count(*) FROM packs"
            " WHERE live_bytes < bytes"
        ).one()
    return size, packs
