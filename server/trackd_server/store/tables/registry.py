"""Tables of registries: what makes a project one, and who belongs to it.

A registry is a project named `wandb-registry-<name>` with a row in `registries`; the types that it
accepts are the `artifact_types` of that project. Members are stored by name, as entities are.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Integer, Table, Text

from trackd_server.store.tables.schema import metadata

registries = Table(
    "registries",
    metadata,
    Column("project_id", Integer, ForeignKey("projects.id"), primary_key=True),
    # PRIVATE: the whole organization sees it; RESTRICTED: its members only.
    Column("access", Text, nullable=False),
    Column("allow_all_types", Integer, nullable=False),
    Column("updated_at", Float, nullable=False),
)

registry_members = Table(
    "registry_members",
    metadata,
    Column("project_id", Integer, ForeignKey("registries.project_id"), primary_key=True),
    # User or Entity (a team)
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
)
