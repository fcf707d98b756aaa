"""The files of a version, as its page lists them: each with an address that opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trackd_server.api.run_facts import size_text
from trackd_server.domain import names
from trackd_server.domain.artifacts import file_lists

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from trackd_server.domain.artifacts.entries import Entry
    from trackd_server.domain.artifacts.versions import VersionView
    from trackd_server.domain.auth import Keys

#: Files of one page.
MAX_FILES = 500


def shown(
    keys: Keys, connection: Connection, version: VersionView, after: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Return name, size and address of files after a place, and the next place if there is one."""
    found = file_lists.page(connection, version.row.manifest_id, after, MAX_FILES)
    files = [_file(keys, version, entry) for entry in found.entries]
    return files, found.cursors[-1] if found.has_more else None


def _file(keys: Keys, version: VersionView, entry: Entry) -> dict[str, Any]:
    row, size = version.row, "" if entry.size is None else size_text(entry.size)
    shown: dict[str, Any] = {"name": entry.path, "size": size, "ref": entry.ref, "url": None}
    if entry.ref is None:
        number = names.storage_id("Artifact", version.id)
        base = entry.path.rpartition("/")[2]
        path = (
            f"/artifactsV2/default/{row.entity}/{row.project}/{row.collection}/{number}/{number}/"
            f"{entry.digest.hex()}/{base}"
        )
        shown["url"] = f"{quote(path)}?{keys.sign('GET', path)}"
    return shown
