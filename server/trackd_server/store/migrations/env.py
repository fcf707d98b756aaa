"""Alembic's entry: runs the migrations on the engine that the caller hands over."""

from __future__ import annotations

from alembic import context

from trackd_server.store import tables

with context.config.attributes["engine"].connect() as connection:
    # One transaction: a server that is killed in it finds the former schema, whole.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    context.configure(connection=connection, target_metadata=tables.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
