"""Tables of artifacts: types, collections, versions, their aliases, tags, links and manifests.

A `version` is made by one sequence (its `collection_id`). A `membership` shows it under a number in
a collection: one in its own sequence, from the commit on, and one for each portfolio it is linked
in; aliases point to memberships. A deleted version leaves no row.

A `manifest` is a list of `segments`: runs of entries sorted by path, shared by all manifests that
hold the same entries in a row. A segment holds `uses` references on a content, as often as it
occurs; a pending version holds the contents in `held_contents` until its commit.
`births` names the version that first stored a content.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from trackd_server.store.tables.schema import metadata

artifact_types = Table(
    "artifact_types",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", Integer, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("project_id", "name", name="one_type_per_name"),
)

#: `kind` is 'sequence' or 'portfolio'; `next_index` is the number of the next version or link.
collections = Table(
    "collections",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", Integer, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("type_id", Integer, ForeignKey("artifact_types.id"), nullable=False),
    Column("description", Text),
    Column("next_index", Integer, nullable=False, server_default="0"),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("project_id", "name", name="one_collection_per_name"),
    sqlite_autoincrement=True,  # a deletion that is asked for again must not hit another one
)

collection_tags = Table(
    "collection_tags",
    metadata,
    Column(
        "collection_id", Integer, ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("tag", Text, primary_key=True),
    sqlite_with_rowid=False,
)

#: `state` is 'PENDING' or 'COMMITTED'. `ttl_seconds`: -1 inherited, -2 none; `expires_at` follows
#: from it, null for ever or while something protects the version. `wanted_aliases` is the JSON list
#: of aliases that the commit sets. `bytes` leaves references apart.
versions = Table(
    "versions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("collection_id", Integer, ForeignKey("collections.id"), nullable=False),
    Column("version_index", Integer),
    Column("state", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("digest_algorithm", Text, nullable=False),
    Column("description", Text),
    Column("metadata", Text),
    Column("ttl_seconds", Integer, nullable=False, server_default="-1"),
    Column("expires_at", Float),
    Column("run_id", Integer, ForeignKey("runs.id", ondelete="SET NULL")),
    Column("history_step", Integer),
    Column("distributed_id", Text),
    Column("base_version_id", Integer, ForeignKey("versions.id", ondelete="SET NULL")),
    Column("manifest_id", Integer),
    Column("wanted_aliases", Text, nullable=False, server_default="[]"),
    Column("bytes", Integer, nullable=False, server_default="0"),
    Column("file_count", Integer, nullable=False, server_default="0"),
    Column("reference_bytes", Integer, nullable=False, server_default="0"),
    Column("storage_region", Text),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("committed_at", Float),
    sqlite_autoincrement=True,  # ids stand in references of other artifacts: never used again
)

#: `digest` is a hash of the 128 characters that a client made up for an artifact of its own.
client_ids = Table(
    "client_ids",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("version_id", Integer, ForeignKey("versions.id", ondelete="CASCADE"), nullable=False),
    sqlite_with_rowid=False,
)

memberships = Table(
    "memberships",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("collection_id", Integer, ForeignKey("collections.id"), nullable=False),
    Column("version_id", Integer, ForeignKey("versions.id", ondelete="CASCADE"), nullable=False),
    Column("version_index", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("collection_id", "version_index", name="one_membership_per_index"),
    UniqueConstraint("version_id", "collection_id", name="one_membership_per_version"),
)

aliases = Table(
    "aliases",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("collection_id", Integer, ForeignKey("collections.id"), nullable=False),
    Column("alias", Text, nullable=False),
    Column(
        "membership_id", Integer, ForeignKey("memberships.id", ondelete="CASCADE"), nullable=False
    ),
    UniqueConstraint("collection_id", "alias", name="one_membership_per_alias"),
)

version_tags = Table(
    "version_tags",
    metadata,
    Column("version_id", Integer, ForeignKey("versions.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", Text, primary_key=True),
    sqlite_with_rowid=False,
)

#: Which runs used a version, and through which collection (a portfolio, for links).
uses = Table(
    "uses",
    metadata,
    Column("run_id", Integer, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("version_id", Integer, ForeignKey("versions.id", ondelete="CASCADE"), primary_key=True),
    Column("used_as", Text),
    Column("via_collection_id", Integer, ForeignKey("collections.id", ondelete="SET NULL")),
    Column("created_at", Float, nullable=False),
    sqlite_with_rowid=False,
)

#: `kind` is 'FULL', 'INCREMENTAL' or 'PATCH'; `arrived` counts a version's arrivals, null until
#: it is whole; `digest` is the logical one, of the entries.
manifests = Table(
    "manifests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version_id", Integer, ForeignKey("versions.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("base_version_id", Integer, ForeignKey("versions.id", ondelete="SET NULL")),
    Column("arrived", Integer),
    Column("digest", Text),
    Column("entries", Integer, nullable=False, server_default="0"),
    Column("bytes", Integer, nullable=False, server_default="0"),
    Column("reference_bytes", Integer, nullable=False, server_default="0"),
    Column("created_at", Float, nullable=False),
    sqlite_autoincrement=True,  # `remains` names those that are gone
)

#: `hash` covers the entries; `body` is how they lie here; `bytes` is the length of `body`.
segments = Table(
    "segments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("entries", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("refs", Integer, nullable=False, server_default="0"),
    Column("first_path", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

segment_contents = Table(
    "segment_contents",
    metadata,
    Column("segment_id", Integer, ForeignKey("segments.id", ondelete="CASCADE"), primary_key=True),
    Column("content_id", Integer, ForeignKey("contents.id"), primary_key=True),
    Column("uses", Integer, nullable=False),
    sqlite_with_rowid=False,
)

#: Rows of a manifest that is gone stay until `remains` of it are cleared.
manifest_segments = Table(
    "manifest_segments",
    metadata,
    Column("manifest_id", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("segment_id", Integer, ForeignKey("segments.id"), nullable=False),
    sqlite_with_rowid=False,
)

births = Table(
    "births",
    metadata,
    Column("content_id", Integer, ForeignKey("contents.id", ondelete="CASCADE"), primary_key=True),
    Column("version_id", Integer, nullable=False),
)

#: Contents that came for a pending version: one reference each, until the commit, or its end, is
#: through with its `remains`.
held_contents = Table(
    "held_contents",
    metadata,
    Column("version_id", Integer, primary_key=True),
    Column("content_id", Integer, ForeignKey("contents.id"), primary_key=True),
    sqlite_with_rowid=False,
)

#: What commits and deletions left to be cleared away, in short transactions: the segments of a
#: 'manifest' that is gone, what was held for a 'version' that is committed or gone.
remains = Table(
    "remains",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    sqlite_with_rowid=False,
)

#: One file that arrives in parts; its parts are contents until it is whole.
multipart_uploads = Table(
    "multipart_uploads",
    metadata,
    Column("id", Text, primary_key=True),
    Column("version_id", Integer, ForeignKey("versions.id"), nullable=False),
    Column("algorithm", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("created_at", Float, nullable=False),
)

#: A part is a content of its own until the file is whole; null until it came.
multipart_parts = Table(
    "multipart_parts",
    metadata,
    Column("upload_id", Text, ForeignKey("multipart_uploads.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("md5", LargeBinary, nullable=False),
    Column("content_id", Integer, ForeignKey("contents.id")),
    sqlite_with_rowid=False,
)

#: What versions with an inherited time to live get, by entity; no row: they live for ever.
ttl_defaults = Table(
    "ttl_defaults",
    metadata,
    Column("entity", Text, primary_key=True),
    Column("ttl_seconds", Integer, nullable=False),
    sqlite_with_rowid=False,
)

Index("collections_by_type", collections.c.type_id)
Index("versions_by_collection", versions.c.collection_id, versions.c.state)
Index("versions_pending", versions.c.updated_at, sqlite_where=versions.c.state == "PENDING")
Index("client_ids_by_version", client_ids.c.version_id)
Index("aliases_by_membership", aliases.c.membership_id)
Index("tags_of_versions", version_tags.c.tag)
Index("uses_by_version", uses.c.version_id)
Index("uses_by_collection", uses.c.via_collection_id)
Index("manifests_by_version", manifests.c.version_id)
Index("manifests_by_segment", manifest_segments.c.segment_id)
Index("segments_by_content", segment_contents.c.content_id)
Index("held_by_content", held_contents.c.content_id)
Index("parts_by_content", multipart_parts.c.content_id)
Index("multipart_by_version", multipart_uploads.c.version_id)

# Most versions have none of these: a page less to write for each when one is made or deleted.
for _name, _column in (
    ("versions_by_run", versions.c.run_id),
    ("versions_by_base", versions.c.base_version_id),
    ("versions_by_end", versions.c.expires_at),
    ("manifests_by_base", manifests.c.base_version_id),
):
    Index(_name, _column, sqlite_where=_column.is_not(None))
