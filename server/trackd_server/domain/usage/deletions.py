"""Deletions that can be forecast: functions of the transaction, the same as the real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_server.domain import run_records, run_removal
from trackd_server.domain.artifacts import collection_removal, remains, removal
from trackd_server.domain.errors import NotFound
from trackd_server.domain.storage import NOTHING_FREED, contents

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from trackd_server.domain.run_records import RunPath
    from trackd_server.domain.storage import Freed

    Deletion = Callable[[Connection], Freed]


def of_version(number: int, *, delete_aliases: bool) -> Deletion:
    """Return the deletion of a version."""
    return lambda connection: removal.remove(connection, [number], delete_aliases=delete_aliases)


def of_collection(entity: str, project: str, name: str) -> Deletion:
    """Return the deletion of a collection with all its versions."""

    def delete(connection: Connection) -> Freed:
        row = connection.exec_driver_sql(
            "SELECT c.id FROM collections c JOIN projects p ON p.id = c.project_id"
            " WHERE p.entity = ? AND p.name = ? AND c.name = ?",
            (entity, project, name),
        ).one_or_none()
        if row is None:
            raise NotFound(f"There is no collection {entity}/{project}/{name}.")
        return collection_removal.remove(connection, row.id)

    return delete


def of_run(path: RunPath, *, with_artifacts: bool) -> Deletion:
    """Return the deletion of a run, with the versions that it logged or without."""

    def delete(connection: Connection) -> Freed:
        run = run_records.by_path(connection, path)
        freed = NOTHING_FREED
        if with_artifacts:
            query = "SELECT id FROM versions WHERE run_id = ?"
            logged = [row.id for row in connection.exec_driver_sql(query, (run.id,))]
            freed = removal.remove(connection, logged, delete_aliases=True)
        return freed + run_removal.remove(connection, run.id)

    return delete


def clear_all(connection: Connection) -> Freed:
    """Clear away all that deletions left, as the background does in many transactions."""
    freed, is_done = NOTHING_FREED, False
    while not is_done:
        more, is_done = remains.clear(connection)
        freed += more
    is_left = True
    while is_left:
        more, is_left = contents.take_apart(connection)
        freed += more
    return freed
