"""What is damaged, in names that a person can act on: the files of versions that have a content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd_server.domain.artifacts import segments

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from trackd_server.domain.storage.damage import Marked

#: Files named for one content; its versions are counted.
MAX_NAMED = 10

_VERSIONS = """
FROM segment_contents sc
CROSS JOIN manifest_segments ms ON ms.segment_id = sc.segment_id
CROSS JOIN manifests m ON m.id = ms.manifest_id
CROSS JOIN versions v ON v.id = m.version_id AND v.manifest_id = m.id
"""
_NAMED = f"""
SELECT s.body, p.entity || '/' || p.name || '/' || c.name || ':v' || v.version_index
{_VERSIONS}
CROSS JOIN segments s ON s.id = sc.segment_id
CROSS JOIN collections c ON c.id = v.collection_id
CROSS JOIN projects p ON p.id = c.project_id
WHERE sc.content_id = ? LIMIT ?
"""
_COUNT = f"SELECT count(DISTINCT v.id) {_VERSIONS} WHERE sc.content_id = ?"


def finding(connection: Connection, marked: Marked) -> dict[str, Any]:
    """Return a content that has a mark, some files of versions that it is, and their count."""
    number = marked.content_id
    files: list[str] = []
    for body, version in connection.exec_driver_sql(_NAMED, (number, MAX_NAMED)):
        entries = (entry for entry in segments.unpack(body) if entry.content == number)
        files += [f"{version}/{entry.path}" for entry in entries]
    return {
        "content": number,
        "bytes": marked.bytes,
        "error": marked.error,
        "files": files[:MAX_NAMED],
        "versions": connection.exec_driver_sql(_COUNT, (number,)).scalar_one(),
    }
