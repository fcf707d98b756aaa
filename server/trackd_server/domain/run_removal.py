"""Deleting a run: its rows in one transaction, its files right after that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from trackd_server.domain import run_records
from trackd_server.domain.storage import Freed, doomed
from trackd_server.store.tables import alerts, chunks, files, runs, streams, writers

if TYPE_CHECKING:
    from sqlalchemy import Connection


def remove(connection: Connection, number: int) -> Freed:
    """Delete a run's rows; the artifacts that it logged stay, as nobody's."""
    run_records.by_number(connection, number)
    in_run = files.c.run_id == number
    keys = tuple(connection.execute(select(files.c.blob_key).where(in_run)).scalars())
    doomed.doom(connection, keys)
    of_run = select(writers.c.id).where(writers.c.run_id == number)
    its_streams = select(streams.c.id).where(streams.c.writer_id.in_(of_run))
    connection.execute(delete(chunks).where(chunks.c.stream_id.in_(its_streams)))
    connection.execute(delete(streams).where(streams.c.writer_id.in_(of_run)))
    for table in (writers, files, alerts):
        connection.execute(delete(table).where(table.c.run_id == number))
    connection.execute(delete(runs).where(runs.c.id == number))
    return Freed(keys=keys)
