"""Versions of which something is damaged: whether one is, and which files of which are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_server.domain.storage import damage

if TYPE_CHECKING:
    from sqlalchemy import Connection

_CONTENTS = """
SELECT DISTINCT sc.content_id FROM versions v
CROSS JOIN manifest_segments ms ON ms.manifest_id = v.manifest_id
CROSS JOIN segment_contents sc ON sc.segment_id = ms.segment_id WHERE v.id = ?
"""


def is_damaged(connection: Connection, version_id: int) -> bool:
    """Tell whether files of a committed version are known to be damaged."""
    if not damage.is_any(connection):
        return False
    found = connection.exec_driver_sql(_CONTENTS, (version_id,))
    return bool(damage.among(connection, [row.content_id for row in found]))
