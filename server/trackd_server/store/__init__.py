"""Tables, transactions and migrations. Knows SQL and nothing of what the rows mean.

Called by `domain` only. One writer at a time, readers beside it (SQLite in WAL mode).
"""

from trackd_server.store.database import (
    Database,
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseFull,
    RehearsalTooLong,
    SchemaTooNew,
    SearchTooSlow,
)

__all__ = [
    "Database",
    "DatabaseBusy",
    "DatabaseDamaged",
    "DatabaseFull",
    "RehearsalTooLong",
    "SchemaTooNew",
    "SearchTooSlow",
]
