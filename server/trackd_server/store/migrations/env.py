"""Alembic's entry: runs the migrations on the engine that the caller hands over."""

from __future__ import annotations

from alembic import context

from trackd_server.store import tables

#: Tables may be made anew under their names: what refers to them means the new ones. Neither can be
#: set in a transaction.
_WHILE_REBUILDING = {"foreign_keys": ("OFF", "ON"), "legacy_alter_table": ("ON", "OFF")}

with context.config.attributes["engine"].connect() as connection:
    for pragma, (during, _) in _WHILE_REBUILDING.items():
        connection.exec_driver_sql(f"PRAGMA {pragma} = {during}")
    try:
        # One transaction: a server that is killed in it finds the former schema, whole.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        context.configure(
            connection=connection, target_metadata=tables.metadata, render_as_batch=True
        )
        with context.begin_transaction():
            context.run_migrations()
        if dangling := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise RuntimeError(f"rows refer to rows that are not there: {dangling}")
        connection.commit()
    finally:
        connection.rollback()
        for pragma, (_, after) in _WHILE_REBUILDING.items():
            connection.exec_driver_sql(f"PRAGMA {pragma} = {after}")
