"""Pages of a version's files. A cursor is a place in the manifest: page 200 costs as page 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackd_server.domain.artifacts import segments
from trackd_server.domain.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from trackd_server.domain.artifacts.entries import Entry

#: Segments read at once: about 4,000 entries.
SEGMENTS_AT_ONCE = 64
MAX_NAMES = 10_000
#: Characters of a cursor; its numbers fit into columns.
MAX_CURSOR = 18


@dataclass(frozen=True)
class FilePage:
    """Some entries, a cursor for each, and whether more follow."""

    entries: list[Entry]
    cursors: list[str]
    has_more: bool


def page(
    connection: Connection, manifest_id: int | None, after: str | None, count: int
) -> FilePage:
    """Return up to `count` entries after a cursor, by path."""
    if manifest_id is None:
        return FilePage([], [], has_more=False)
    position, offset = _read(after) if after else (0, 0)
    entries: list[Entry] = []
    cursors: list[str] = []
    while True:
        some = segments.read(connection, manifest_id, position, SEGMENTS_AT_ONCE)
        for segment in some:
            for place in range(offset, len(segment)):
                if len(entries) == count:
                    return FilePage(entries, cursors, has_more=True)
                entries.append(segment[place])
                cursors.append(f"{position}.{place + 1}")
            position, offset = position + 1, 0
        if len(some) < SEGMENTS_AT_ONCE:
            return FilePage(entries, cursors, has_more=False)


def named(connection: Connection, manifest_id: int | None, paths: Sequence[str]) -> FilePage:
    """Return the entries of these paths; those that there are not are left out."""
    if len(paths) > MAX_NAMES:
        raise InvalidRequest(f"{len(paths)} names at once; the most are {MAX_NAMES}.")
    wanted = set(paths)
    found: list[Entry] = []
    positions = (
        [] if manifest_id is None else segments.positions_of(connection, manifest_id, list(wanted))
    )
    for position in positions:
        assert manifest_id is not None
        for segment in segments.read(connection, manifest_id, position, 1):
            found += [entry for entry in segment if entry.path in wanted]
    return FilePage(found, [str(place) for place in range(len(found))], has_more=False)


def births(connection: Connection, page: FilePage) -> dict[int, int]:
    """Return which version first stored each content of a page."""
    return segments.birth_versions(
        connection, [entry.content for entry in page.entries if entry.content]
    )


def _read(cursor: str) -> tuple[int, int]:
    position, _, offset = cursor.partition(".")
    if not (position.isdecimal() and offset.isdecimal()) or len(cursor) > MAX_CURSOR:
        raise InvalidRequest(f"Invalid cursor {cursor[:100]!r}: it was not made by this server.")
    return int(position), int(offset)
