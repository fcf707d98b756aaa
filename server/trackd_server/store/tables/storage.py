"""Tables of storage: contents, the chunks that they are made of, and the packs on the disk.

A `content` is what one or more stored files contain, named by digest and length; it is the row of
its `content_chunks`, each at the byte where it `start`s. A `cdc_chunk` is a piece that is stored
once, as a range of one `pack`: a blob of chunks, one after another and nothing else. `refs` counts
who needs a row; a content or chunk that nobody needs is deleted in the transaction that lets go of
it. `live_bytes` of a pack are those that chunks lie in. `upload_version_id` is the pending version
that a pack was sent for: until its end the pack stays even if no content needs it. `to_compress`
marks one that lies there as it came, and that may become smaller. A content whose algorithm is
'arriving' is a file on its way in: it has the chunks that came so far, and a digest made up for it.
One whose algorithm is 'leaving' is on its way out: nobody needs it, and it loses its chunks in
several transactions. A content of `uncut_contents` came as one file that became a
pack: its last chunk is all that was not cut yet, has a name made up for it, and any length; the
indexer cuts it. `damages` names chunks and contents that verification found damaged.

Numbers of these rows are never used again: a reader or a rewriting that holds one finds the same
row under it, or none. `doomed_blobs` names blobs that must not exist once nothing uploads them.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
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

contents = Table(
    "contents",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("algorithm", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("refs", Integer, nullable=False, server_default="0"),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("digest", "bytes", "algorithm", name="one_content_per_digest"),
    CheckConstraint("refs >= 0", name="contents_are_let_go_once"),
    sqlite_autoincrement=True,
)

packs = Table(
    "packs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("blob_key", Text, nullable=False, unique=True),
    Column("bytes", Integer, nullable=False),
    Column("live_bytes", Integer, nullable=False),
    Column("upload_version_id", Integer),
    Column("to_compress", Integer, nullable=False, server_default="0"),
    Column("created_at", Float, nullable=False),
    CheckConstraint("live_bytes BETWEEN 0 AND bytes", name="packs_hold_what_lives"),
    sqlite_autoincrement=True,
)

#: `encoding` is how the bytes lie in the pack: 'raw'; 'uncut' are such bytes without a true name;
#: 'zstd' is a frame, of `stored_bytes`.
cdc_chunks = Table(
    "cdc_chunks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("blake3", LargeBinary, nullable=False, unique=True),
    Column("bytes", Integer, nullable=False),
    Column("stored_bytes", Integer, nullable=False),
    Column("encoding", Text, nullable=False, server_default="raw"),
    Column("pack_id", Integer, ForeignKey("packs.id"), nullable=False),
    Column("offset", Integer, nullable=False),
    Column("refs", Integer, nullable=False, server_default="0"),
    CheckConstraint("refs >= 0", name="chunks_are_let_go_once"),
    sqlite_autoincrement=True,
)

content_chunks = Table(
    "content_chunks",
    metadata,
    Column("content_id", Integer, ForeignKey("contents.id"), primary_key=True),
    Column("start", Integer, primary_key=True),
    Column("chunk_id", Integer, nullable=False),
    sqlite_with_rowid=False,
)

#: `version_id` is the version that brought the content; it may be gone.
uncut_contents = Table(
    "uncut_contents",
    metadata,
    Column("content_id", Integer, primary_key=True),
    Column("chunk_id", Integer, nullable=False),
    Column("version_id", Integer, nullable=False),
)

doomed_blobs = Table("doomed_blobs", metadata, Column("blob_key", Text, primary_key=True))

#: `kind` is 'chunk' or 'content', `number` its row, which may be gone; `repaired_at` is null until
#: its bytes came again. See `domain.storage.damage`.
damages = Table(
    "damages",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("error", Text, nullable=False),
    Column("found_at", Float, nullable=False),
    Column("repaired_at", Float),
    sqlite_with_rowid=False,
)

Index("contents_arriving", contents.c.id, sqlite_where=contents.c.algorithm == "arriving")
Index("contents_leaving", contents.c.id, sqlite_where=contents.c.algorithm == "leaving")
Index("chunks_by_pack", cdc_chunks.c.pack_id, cdc_chunks.c.offset)
Index(
    "packs_by_upload",
    packs.c.upload_version_id,
    sqlite_where=packs.c.upload_version_id.is_not(None),
)
Index("packs_to_compress", packs.c.id, sqlite_where=packs.c.to_compress == 1)
Index("packs_with_waste", packs.c.id, sqlite_where=packs.c.live_bytes < packs.c.bytes)
