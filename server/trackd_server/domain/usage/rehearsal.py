"""What a deletion would free: it is done, measured, and rolled back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackd_server.domain.usage import ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Freed
    from trackd_server.store import Database


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
    with database.rehearse() as connection:
        before = ledger.totals(connection)
        freed = deletion(connection)
        after = ledger.totals(connection)
    kinds = {kind: size - after.get(kind, 0) for kind, size in before.items()}
    return Forecast(
        sum(kinds.values()),
        {kind: kinds[kind] for kind in ledger.KINDS if kinds.get(kind)},
        len(freed.keys),
        sum(size for kind, size in kinds.items() if kind in ledger.ROW_KINDS),
    )
