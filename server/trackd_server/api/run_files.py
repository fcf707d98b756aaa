"""What the page of a run says about its files, and the artifacts that it logged and used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trackd_server.api.artifact_pages.facts import link_to_version, project_url
from trackd_server.api.run_facts import size_text
from trackd_server.domain import files, lineage
from trackd_server.domain.artifacts import run_manifests, versions
from trackd_server.domain.listing.pages import Range

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from trackd_server.domain.runs import RunView

#: Files, and versions, that the page names.
MAX_FILES = 300
SHOWN = 50


def of_run(connection: Connection, run: RunView) -> dict[str, Any]:
    """Return a run's files, its versions' manifests in one line, what it logged and used."""
    row = run.row
    logged = lineage.outputs(connection, row.id, Range(None, SHOWN)).ids
    used = lineage.inputs(connection, row.id, Range(None, SHOWN)).ids
    count, size = run_manifests.size_of_run(connection, row.id)
    return {
        "files": [
            (file.name, size_text(file.bytes), f"/files/{quote(str(run.path))}/{quote(file.name)}")
            for file in files.first(connection, row.id, MAX_FILES)
        ],
        "file_count": files.count(connection, row.id),
        "logged": [link_to_version(view) for view in versions.views(connection, logged)],
        "logged_count": lineage.count_outputs(connection, row.id),
        "used": [link_to_version(view) for view in versions.views(connection, used)],
        "used_count": lineage.count_inputs(connection, row.id),
        "manifest_count": count,
        "manifest_size": size_text(size),
        "storage_url": (
            f"/storage{project_url(row.entity, row.project)}/runs/{quote(row.name, safe='')}"
        ),
    }
