"""What a deletion would free: it is done, measured, and rolled back.

One that takes long is done in a copy of the database, so that nobody waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackd_server.domain.usage import deletions, ledger
from trackd_server.store import RehearsalTooLong

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Freed
    from trackd_server.store import Database

#: How long a rehearsal may keep others from writing.
HELD_S = 0.5


@dataclass(frozen=True)
class Forecast:
    """Bytes that a deletion frees, altogether and by kind, and the files it deletes."""

    bytes: int
    kinds: dict[str, int]
    files: int
    #: Bytes of `bytes` that were rows of the database: its file shrinks in the background.
    row_bytes: int


def forecast(database: Database, deletion: Callable[[Connection], Freed]) -> Forecast:
    """Return what a deletion frees if it is done now; nothing changes. Blocks."""
    try:
        with database.rehearse(HELD_S) as connection:
            return _measured(connection, deletion)
    except RehearsalTooLong:
        with database.copied() as connection:
            return _measured(connection, deletion)


def _measured(connection: Connection, deletion: Callable[[Connection], Freed]) -> Forecast:
    deletions.clear_all(connection)  # what waits already is not this deletion's
    before = ledger.totals(connection)
    freed = deletion(connection)
    freed += deletions.clear_all(connection)
    after = ledger.totals(connection)
    kinds = {kind: size - after.get(kind, 0) for kind, size in before.items()}
    return Forecast(
        sum(kinds.values()),
        {kind: kinds[kind] for kind in ledger.KINDS if kinds.get(kind)},
        len(freed.keys),
        sum(size for kind, size in kinds.items() if kind in ledger.ROW_KINDS),
    )
