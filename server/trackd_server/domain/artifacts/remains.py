"""What commits and deletions leave, cleared away in short transactions.

A version may have a million entries, a draft as many files. The transaction that ends one takes
away all that can be seen of it, and notes here what it leaves: manifests that are gone, versions
for which files were held. A small one is cleared by that same transaction; of a large one the rest
waits for `Artifacts.clear`, and for the next start if the server dies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_server.domain.artifacts import segments
from trackd_server.domain.storage import NOTHING_FREED, contents
from trackd_server.store.statements import as_json, run_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Freed

MANIFEST, VERSION = "manifest", "version"
#: Entries and held files that one transaction clears away: 0.2 s. Half of it would need twice as
#: many pages of the database written for the same rows, which lie in the order of their digests.
ENTRIES_AT_ONCE = 8_192

_SEGMENTS = """
SELECT r.number, ms.position, ms.segment_id, s.entries FROM remains r
CROSS JOIN manifest_segments ms ON ms.manifest_id = r.number
CROSS JOIN segments s ON s.id = ms.segment_id
WHERE r.kind = 'manifest' ORDER BY r.number, ms.position LIMIT 1000"""
_LEAVE = "INSERT OR IGNORE INTO remains SELECT ?, value FROM json_each(?)"
_VERSION = "SELECT number FROM remains WHERE kind = 'version' LIMIT 1"


def leave(connection: Connection, kind: str, numbers: Iterable[int]) -> None:
    """Note what a transaction leaves to be cleared."""
    run_text(connection, _LEAVE, (kind, as_json(list(numbers))))


def clear(connection: Connection) -> tuple[Freed, bool]:
    """Clear some of what is left; tell whether that was all."""
    freed, room = _clear_manifests(connection, ENTRIES_AT_ONCE)
    while room > 0:
        found = run_text(connection, _VERSION, ())
        if not found:
            return freed, True
        more, room = _clear_version(connection, found[0][0], room)
        freed += more
    return freed, False


def count(connection: Connection) -> int:
    """Return how many manifests and versions wait."""
    return connection.exec_driver_sql("SELECT count(*) FROM remains").one()[0]


def _clear_manifests(connection: Connection, room: int) -> tuple[Freed, int]:
    found = run_text(connection, _SEGMENTS, ())
    places: list[tuple[int, int, int]] = []
    for number, position, segment_id, entries in found:
        if room <= 0:
            break
        places.append((number, position, segment_id))
        room -= entries
    freed = segments.let_go(connection, places) if places else NOTHING_FREED
    if room > 0 and len(found) < 1_000:
        run_text(connection, "DELETE FROM remains WHERE kind = 'manifest'", ())
        return freed, room
    connection.exec_driver_sql(
        "DELETE FROM remains WHERE kind = 'manifest' AND number < ?", (places[-1][0],)
    )
    return freed, 0


def _clear_version(connection: Connection, number: int, room: int) -> tuple[Freed, int]:
    freed, is_done = contents.settle(connection, number, room)
    if is_done:
        connection.exec_driver_sql(
            "DELETE FROM remains WHERE kind = 'version' AND number = ?", (number,)
        )
    # What a version holds is not counted: there is room for a few small ones.
    return freed, room - ENTRIES_AT_ONCE // 8 if is_done else 0
