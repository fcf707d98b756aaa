"""Artifacts: contents in packs, versions, collections, registries; the ledger is read from rows."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

#: As they were then: a migration never follows later changes of `tables`.
STATEMENTS = (
    "DROP TABLE objects",
    """
    CREATE TABLE segments (
        id INTEGER NOT NULL,
        hash BLOB NOT NULL,
        entries INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        refs INTEGER DEFAULT '0' NOT NULL,
        first_path TEXT NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (id),
        UNIQUE (hash)
    )
    """,
    """
    CREATE TABLE remains (
        kind TEXT NOT NULL,
        number INTEGER NOT NULL,
        PRIMARY KEY (kind, number)
    )
     WITHOUT ROWID
    """,
    """
    CREATE TABLE ttl_defaults (
        entity TEXT NOT NULL,
        ttl_seconds INTEGER NOT NULL,
        PRIMARY KEY (entity)
    )
     WITHOUT ROWID
    """,
    """
    CREATE TABLE contents (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        algorithm TEXT NOT NULL,
        digest BLOB NOT NULL,
        bytes INTEGER NOT NULL,
        refs INTEGER DEFAULT '0' NOT NULL,
        created_at FLOAT NOT NULL,
        CONSTRAINT one_content_per_digest UNIQUE (digest, bytes, algorithm),
        CONSTRAINT contents_are_let_go_once CHECK (refs >= 0)
    )
    """,
    """
    CREATE TABLE packs (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        blob_key TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        live_bytes INTEGER NOT NULL,
        upload_version_id INTEGER,
        to_compress INTEGER DEFAULT '0' NOT NULL,
        created_at FLOAT NOT NULL,
        CONSTRAINT packs_hold_what_lives CHECK (live_bytes BETWEEN 0 AND bytes),
        UNIQUE (blob_key)
    )
    """,
    """
    CREATE TABLE uncut_contents (
        content_id INTEGER NOT NULL,
        chunk_id INTEGER NOT NULL,
        version_id INTEGER NOT NULL,
        PRIMARY KEY (content_id)
    )
    """,
    """
    CREATE TABLE artifact_types (
        id INTEGER NOT NULL,
        project_id INTEGER NOT NULL,
        name TEXT NOT NULL,
        description TEXT,
        created_at FLOAT NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT one_type_per_name UNIQUE (project_id, name),
        FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE segment_contents (
        segment_id INTEGER NOT NULL,
        content_id INTEGER NOT NULL,
        uses INTEGER NOT NULL,
        PRIMARY KEY (segment_id, content_id),
        FOREIGN KEY(segment_id) REFERENCES segments (id) ON DELETE CASCADE,
        FOREIGN KEY(content_id) REFERENCES contents (id)
    )
     WITHOUT ROWID
    """,
    """
    CREATE TABLE manifest_segments (
        manifest_id INTEGER NOT NULL,
        position INTEGER NOT NULL,
        segment_id INTEGER NOT NULL,
        PRIMARY KEY (manifest_id, position),
        FOREIGN KEY(segment_id) REFERENCES segments (id)
    )
     WITHOUT ROWID
    """,
    """
    CREATE TABLE births (
        content_id INTEGER NOT NULL,
        version_id INTEGER NOT NULL,
        PRIMARY KEY (content_id),
        FOREIGN KEY(content_id) REFERENCES contents (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE held_contents (
        version_id INTEGER NOT NULL,
        content_id INTEGER NOT NULL,
        PRIMARY KEY (version_id, content_id),
        FOREIGN KEY(content_id) REFERENCES contents (id)
    )
     WITHOUT ROWID
    """,
    """
    CREATE TABLE registries (
        project_id INTEGER NOT NULL,
        access TEXT NOT NULL,
        allow_all_types INTEGER NOT NULL,
        updated_at FLOAT NOT NULL,
        PRIMARY KEY (project_id),
        FOREIGN KEY(project_id) REFERENCES projects (id)
    )
    """,
    """
    CREATE TABLE cdc_chunks (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        blake3 BLOB NOT NULL,
        bytes INTEGER NOT NULL,
        stored_bytes INTEGER NOT NULL,
        encoding TEXT DEFAULT 'raw' NOT NULL,
        pack_id INTEGER NOT NULL,
        "offset" INTEGER NOT NULL,
        refs INTEGER DEFAULT '0' NOT NULL,
        CONSTRAINT chunks_are_let_go_once CHECK (refs >= 0),
        UNIQUE (blake3),
        FOREIGN KEY(pack_id) REFERENCES packs (id)
    )
    """,
    """
    CREATE TABLE content_chunks (
        content_id INTEGER NOT NULL,
        start INTEGER NOT NULL,
        chunk_id INTEGER NOT NULL,
        PRIMARY KEY (content_id, start),
        FOREIGN KEY(content_id) REFERENCES contents (id)
    )
     WITHOUT ROWID
    """,
    """
    CREATE TABLE collections (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        project_id INTEGER NOT NULL,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        type_id INTEGER NOT NULL,
        description TEXT,
        next_index INTEGER DEFAULT '0' NOT NULL,
        created_at FLOAT NOT NULL,
        updated_at FLOAT NOT NULL,
        CONSTRAINT one_collection_per_name UNIQUE (project_id, name),
        FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE,
        FOREIGN KEY(type_id) REFERENCES artifact_types (id)
    )
    """,
    """
    CREATE TABLE registry_members (
        project_id INTEGER NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        role TEXT NOT NULL,
        PRIMARY KEY (project_id, kind, name),
        FOREIGN KEY(project_id) REFERENCES registries (project_id)
    )
    """,
    """
    CREATE TABLE collection_tags (
        collection_id INTEGER NOT NULL,
        tag TEXT NOT NULL,
        PRIMARY KEY (collection_id, tag),
        FOREIGN KEY(collection_id) REFERENCES collections (id) ON DELETE CASCADE
    )
     WITHOUT ROWID
    """,
    """
    CREATE TABLE versions (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        collection_id INTEGER NOT NULL,
        version_index INTEGER,
        state TEXT NOT NULL,
        digest TEXT NOT NULL,
        digest_algorithm TEXT NOT NULL,
        description TEXT,
        metadata TEXT,
        ttl_seconds INTEGER DEFAULT '-1' NOT NULL,
        expires_at FLOAT,
        run_id INTEGER,
        history_step INTEGER,
        distributed_id TEXT,
        base_version_id INTEGER,
        manifest_id INTEGER,
        wanted_aliases TEXT DEFAULT '[]' NOT NULL,
        bytes INTEGER DEFAULT '0' NOT NULL,
        file_count INTEGER DEFAULT '0' NOT NULL,
        reference_bytes INTEGER DEFAULT '0' NOT NULL,
        storage_region TEXT,
        created_at FLOAT NOT NULL,
        updated_at FLOAT NOT NULL,
        committed_at FLOAT,
        FOREIGN KEY(collection_id) REFERENCES collections (id),
        FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE SET NULL,
        FOREIGN KEY(base_version_id) REFERENCES versions (id) ON DELETE SET NULL
    )
    """,
    """
    CREATE TABLE client_ids (
        digest BLOB NOT NULL,
        version_id INTEGER NOT NULL,
        PRIMARY KEY (digest),
        FOREIGN KEY(version_id) REFERENCES versions (id) ON DELETE CASCADE
    )
     WITHOUT ROWID
    """,
    """
    CREATE TABLE memberships (
        id INTEGER NOT NULL,
        collection_id INTEGER NOT NULL,
        version_id INTEGER NOT NULL,
        version_index INTEGER NOT NULL,
        created_at FLOAT NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT one_membership_per_index UNIQUE (collection_id, version_index),
        CONSTRAINT one_membership_per_version UNIQUE (version_id, collection_id),
        FOREIGN KEY(collection_id) REFERENCES collections (id),
        FOREIGN KEY(version_id) REFERENCES versions (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE version_tags (
        version_id INTEGER NOT NULL,
        tag TEXT NOT NULL,
        PRIMARY KEY (version_id, tag),
        FOREIGN KEY(version_id) REFERENCES versions (id) ON DELETE CASCADE
    )
     WITHOUT ROWID
    """,
    """
    CREATE TABLE uses (
        run_id INTEGER NOT NULL,
        version_id INTEGER NOT NULL,
        used_as TEXT,
        via_collection_id INTEGER,
        created_at FLOAT NOT NULL,
        PRIMARY KEY (run_id, version_id),
        FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE,
        FOREIGN KEY(version_id) REFERENCES versions (id) ON DELETE CASCADE,
        FOREIGN KEY(via_collection_id) REFERENCES collections (id) ON DELETE SET NULL
    )
     WITHOUT ROWID
    """,
    """
    CREATE TABLE manifests (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        version_id INTEGER NOT NULL,
        kind TEXT NOT NULL,
        base_version_id INTEGER,
        arrived INTEGER,
        digest TEXT,
        entries INTEGER DEFAULT '0' NOT NULL,
        bytes INTEGER DEFAULT '0' NOT NULL,
        reference_bytes INTEGER DEFAULT '0' NOT NULL,
        created_at FLOAT NOT NULL,
        FOREIGN KEY(version_id) REFERENCES versions (id) ON DELETE CASCADE,
        FOREIGN KEY(base_version_id) REFERENCES versions (id) ON DELETE SET NULL
    )
    """,
    """
    CREATE TABLE multipart_uploads (
        id TEXT NOT NULL,
        version_id INTEGER NOT NULL,
        algorithm TEXT NOT NULL,
        digest BLOB NOT NULL,
        created_at FLOAT NOT NULL,
        PRIMARY KEY (id),
        FOREIGN KEY(version_id) REFERENCES versions (id)
    )
    """,
    """
    CREATE TABLE aliases (
        id INTEGER NOT NULL,
        collection_id INTEGER NOT NULL,
        alias TEXT NOT NULL,
        membership_id INTEGER NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT one_membership_per_alias UNIQUE (collection_id, alias),
        FOREIGN KEY(collection_id) REFERENCES collections (id),
        FOREIGN KEY(membership_id) REFERENCES memberships (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE multipart_parts (
        upload_id TEXT NOT NULL,
        number INTEGER NOT NULL,
        md5 BLOB NOT NULL,
        content_id INTEGER,
        PRIMARY KEY (upload_id, number),
        FOREIGN KEY(upload_id) REFERENCES multipart_uploads (id),
        FOREIGN KEY(content_id) REFERENCES contents (id)
    )
     WITHOUT ROWID
    """,
    """
    CREATE INDEX aliases_by_membership ON aliases (membership_id)
    """,
    """
    CREATE INDEX chunks_by_pack ON cdc_chunks (pack_id, "offset")
    """,
    """
    CREATE INDEX client_ids_by_version ON client_ids (version_id)
    """,
    """
    CREATE INDEX collections_by_type ON collections (type_id)
    """,
    """
    CREATE INDEX contents_arriving ON contents (id) WHERE algorithm = 'arriving'
    """,
    """
    CREATE INDEX contents_leaving ON contents (id) WHERE algorithm = 'leaving'
    """,
    """
    CREATE INDEX held_by_content ON held_contents (content_id)
    """,
    """
    CREATE INDEX manifests_by_base ON manifests (base_version_id) WHERE base_version_id IS NOT NULL
    """,
    """
    CREATE INDEX manifests_by_segment ON manifest_segments (segment_id)
    """,
    """
    CREATE INDEX manifests_by_version ON manifests (version_id)
    """,
    """
    CREATE INDEX multipart_by_version ON multipart_uploads (version_id)
    """,
    """
    CREATE INDEX packs_by_upload ON packs (upload_version_id) WHERE upload_version_id IS NOT NULL
    """,
    """
    CREATE INDEX packs_to_compress ON packs (id) WHERE to_compress = 1
    """,
    """
    CREATE INDEX packs_with_waste ON packs (id) WHERE live_bytes < bytes
    """,
    """
    CREATE INDEX parts_by_content ON multipart_parts (content_id)
    """,
    """
    CREATE INDEX segments_by_content ON segment_contents (content_id)
    """,
    """
    CREATE INDEX tags_of_versions ON version_tags (tag)
    """,
    """
    CREATE INDEX uses_by_collection ON uses (via_collection_id)
    """,
    """
    CREATE INDEX uses_by_version ON uses (version_id)
    """,
    """
    CREATE INDEX versions_by_base ON versions (base_version_id) WHERE base_version_id IS NOT NULL
    """,
    """
    CREATE INDEX versions_by_collection ON versions (collection_id, state)
    """,
    """
    CREATE INDEX versions_by_end ON versions (expires_at) WHERE expires_at IS NOT NULL
    """,
    """
    CREATE INDEX versions_by_run ON versions (run_id) WHERE run_id IS NOT NULL
    """,
    """
    CREATE INDEX versions_pending ON versions (updated_at) WHERE state = 'PENDING'
    """,
)


def upgrade() -> None:
    """Create the new tables."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop nothing: going back is not supported; install the newer trackd again."""
    raise NotImplementedError
