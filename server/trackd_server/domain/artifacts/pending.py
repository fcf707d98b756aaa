"""Contents that came for a version which is not committed yet: held, so that nothing takes them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from trackd_server.domain.artifacts import remains
from trackd_server.domain.artifacts.manifests import require_pending
from trackd_server.domain.storage import NOTHING_FREED, contents
from trackd_server.store.tables.artifacts import (
    multipart_parts,
    multipart_uploads,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from trackd_server.domain.storage import Freed


_UPLOADS = "SELECT id FROM multipart_uploads WHERE version_id = ?"


def hold(connection: Connection, version_id: int, content_ids: Iterable[int]) -> None:
    """Hold contents for a pending version, each once.

    Raises:
        NotFound: The version is gone.
        Conflict: It is committed.
    """
    require_pending(connection, version_id)
    contents.hold(connection, version_id, content_ids)


def let_go(connection: Connection, version_id: int) -> Freed:
    """Let go of all that a version holds: it is committed, or it goes. Holds are its `remains`."""
    remains.leave(connection, remains.VERSION, [version_id])
    uploads = [row.id for row in connection.exec_driver_sql(_UPLOADS, (version_id,))]
    return drop_uploads(connection, uploads) if uploads else NOTHING_FREED


def drop_uploads(connection: Connection, upload_ids: list[str]) -> Freed:
    """Drop uploads in parts with the parts that came."""
    of_these = multipart_parts.c.upload_id.in_(upload_ids)
    query = select(multipart_parts.c.content_id).where(
        of_these, multipart_parts.c.content_id.is_not(None)
    )
    counts = Counter(connection.execute(query).scalars())
    connection.execute(delete(multipart_parts).where(of_these))
    connection.execute(delete(multipart_uploads).where(multipart_uploads.c.id.in_(upload_ids)))
    return contents.release(connection, counts)
