"""The one schema object that all tables belong to, and its revision."""

from __future__ import annotations

from sqlalchemy import Column, MetaData, Table, Text

#: Revision of the newest migration; a test compares it with the migrations folder.
HEAD_REVISION = "0004"

metadata = MetaData()

version = Table("alembic_version", metadata, Column("version_num", Text, primary_key=True))
