"""The ledger: every stored byte, of which kind it is and who needs it.

It is read, not kept: each stored object is one row of the table that owns it (a run file in
`files`, a stream of lines in `streams`, a part of manifests in `segments`, a chunk in
`cdc_chunks`), so no second book can differ from the first. `entries` returns one line for each kind
and each group of bytes with the same owners; all figures of pages, API and command line are sums
over these lines.

Several versions may need a chunk. A line names the version, collection, run and project that are
the only ones who do; where several do, it says None, and the bytes are shared at that level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from trackd_proto.wandb_http import CONSOLE_FILE, EVENTS_FILE, HISTORY_FILE, LATE_FILE_PREFIX

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Files of artifacts; what lists them; what came for a version that is still pending.
FILE, MANIFEST, CHUNK, PART = "file", "manifest", "chunk", "multipart_part"
#: Files of runs, and their lines: console, metrics, system metrics; configs and summaries.
RUN_FILE, MEDIA, CONSOLE, HISTORY, EVENTS, OTHER = (
    "run_file",
    "media",
    "console",
    "history",
    "events",
    "other",
)
#: In the order in which they are shown.
KINDS = (FILE, MANIFEST, CHUNK, PART, RUN_FILE, MEDIA, CONSOLE, HISTORY, EVENTS, OTHER)
#: Kinds that are rows of the database, not files on the disk.
ROW_KINDS = frozenset({MANIFEST, CONSOLE, HISTORY, EVENTS, OTHER})
#: Run of versions that no run logged.
NO_RUN = -1


class Entry(NamedTuple):
    """Bytes of one kind with the same owners; None: several share them."""

    kind: str
    bytes: int
    objects: int
    project: int | None
    run: int | None
    collection: int | None = None
    version: int | None = None
    #: Bytes of a file on its way in belong to nobody yet, those that deletions left to nobody more.
    owned: bool = True


#: Versions whose upload has not ended. SQLite would read another index, with all versions in it.
PENDING = "SELECT id FROM versions INDEXED BY versions_pending WHERE state = 'PENDING'"
#: Which versions get lines of their own, as a condition over v, c, r (the version, its collection
#: and its run): a server may have a million of them, and a page tells but some of them apart.
EVERY_VERSION = "1"
PENDING_VERSIONS = f"v IN ({PENDING})"
VERSIONS_OF_RUN = "r = {:d}"
VERSIONS_OF_COLLECTION = "c = {:d}"


def entries(connection: Connection, told_apart: str = EVERY_VERSION) -> list[Entry]:
    """Return all lines of the ledger; those of versions not told apart name none."""
    return [*_of_runs(connection), *_of_artifacts(connection, told_apart)]


def totals(connection: Connection) -> dict[str, int]:
    """Return the bytes of each kind, artifact chunks all as files: cheap, for comparing."""
    found: dict[str, int] = {}
    for entry in _of_runs(connection):
        found[entry.kind] = found.get(entry.kind, 0) + entry.bytes
    for kind, query in (
        (FILE, "SELECT coalesce(sum(live_bytes), 0) FROM packs"),
        (MANIFEST, "SELECT coalesce(sum(bytes), 0) FROM segments"),
    ):
        found[kind] = _number(connection, query)
    return found


def _number(connection: Connection, query: str) -> int:
    return connection.exec_driver_sql(query).one()[0]


_RUN_FILES = """
SELECT r.project_id, f.run_id, f.name LIKE 'media/%', sum(f.bytes), count(*)
FROM files f JOIN runs r ON r.id = f.run_id GROUP BY 1, 2, 3
"""
_STREAMS = """
SELECT r.project_id, w.run_id, s.file, sum(s.bytes), count(*)
FROM streams s JOIN writers w ON w.id = s.writer_id JOIN runs r ON r.id = w.run_id GROUP BY 1, 2, 3
"""
_TEXTS = """
SELECT r.project_id, w.run_id, sum(coalesce(length(CAST(w.config AS BLOB)), 0)
    + coalesce(length(CAST(w.summary AS BLOB)), 0)), count(*)
FROM writers w JOIN runs r ON r.id = w.run_id
WHERE w.config IS NOT NULL OR w.summary IS NOT NULL GROUP BY 1, 2
"""


def _of_runs(connection: Connection) -> list[Entry]:
    found: list[Entry] = []
    for project, run, media, size, count in connection.exec_driver_sql(_RUN_FILES):
        found.append(Entry(MEDIA if media else RUN_FILE, size, count, project, run))
    for project, run, file, size, count in connection.exec_driver_sql(_STREAMS):
        found.append(Entry(stream_kind(file), size, count, project, run))
    for project, run, size, count in connection.exec_driver_sql(_TEXTS):
        found.append(Entry(OTHER, size, count, project, run))
    return found


def stream_kind(file: str) -> str:
    """Return the kind of a stream's lines."""
    if file == HISTORY_FILE or file.startswith(LATE_FILE_PREFIX):
        return HISTORY
    if file == EVENTS_FILE:
        return EVENTS
    return CONSOLE if file == CONSOLE_FILE else OTHER


# Owners flow from versions to segments, to contents, to chunks: each stored edge is looked at once,
# however many versions there are. Of each level the least and the greatest owner are kept: if they
# are equal, it is the only one.
#
# Most contents have one reference, and most chunks: whoever holds the one holds the other, so these
# are summed up by segment, in the order in which their rows lie. Only what has several references,
# or lies in a pack that is being sent, has to be collected and sorted: several times the work.
_LEVELS = ("v", "c", "r", "p")
_OWN = ", ".join(f"{level} {level}0, {level} {level}1" for level in _LEVELS)
_BOTH = ", ".join(f"{level}0, {level}1" for level in _LEVELS)
_SPAN = ", ".join(f"min({level}0) {level}0, max({level}1) {level}1" for level in _LEVELS)
_ONLY = ", ".join(f"CASE WHEN {level}0 = {level}1 THEN {level}0 END {level}" for level in _LEVELS)
#: Chunks of contents that one segment alone holds. The order of the joins is that of the rows.
_HELD_ONCE = """segment_contents sc
        CROSS JOIN contents ON contents.id = sc.content_id AND contents.refs = 1
        CROSS JOIN content_chunks cc ON cc.content_id = contents.id
        CROSS JOIN cdc_chunks k ON k.id = cc.chunk_id"""

_ARTIFACTS = f"""
WITH owner AS MATERIALIZED (
    SELECT v.id v, v.collection_id c, coalesce(v.run_id, {NO_RUN}) r, k.project_id p
    FROM versions v JOIN collections k ON k.id = v.collection_id),
segment AS MATERIALIZED (
    SELECT id, {_SPAN} FROM (
        SELECT ms.segment_id id, {_OWN} FROM manifest_segments ms
        JOIN manifests m ON m.id = ms.manifest_id JOIN owner ON v = m.version_id)
    GROUP BY id),
sending AS MATERIALIZED (
    SELECT packs.id, {_OWN} FROM packs JOIN owner ON v = packs.upload_version_id),
content AS MATERIALIZED (
    SELECT id, {_SPAN}, max(whole) whole FROM (
        SELECT contents.id, {_BOTH}, 1 whole FROM contents
        JOIN segment_contents sc ON sc.content_id = contents.id
        JOIN segment s ON s.id = sc.segment_id WHERE contents.refs > 1
        UNION ALL
        SELECT h.content_id, {_OWN}, 1 FROM held_contents h JOIN owner ON v = h.version_id
        UNION ALL
        SELECT p.content_id, {_OWN}, 0 FROM multipart_parts p
        JOIN multipart_uploads u ON u.id = p.upload_id JOIN owner ON v = u.version_id
        WHERE p.content_id IS NOT NULL)
    GROUP BY id),
chunk AS MATERIALIZED (
    SELECT id, {_SPAN}, max(whole) whole FROM (
        SELECT k.id, {_BOTH}, 1 whole FROM {_HELD_ONCE}
        JOIN segment s ON s.id = sc.segment_id
        WHERE k.refs > 1 OR k.pack_id IN (SELECT id FROM sending)
        UNION ALL
        SELECT cc.chunk_id, {_BOTH}, whole
        FROM content CROSS JOIN content_chunks cc ON cc.content_id = content.id
        UNION ALL
        SELECT k.id, {_BOTH}, -1 FROM sending CROSS JOIN cdc_chunks k ON k.pack_id = sending.id)
    GROUP BY id)
SELECT kind, sum(bytes), sum(objects), p, r, c, CASE WHEN {{}} THEN v END told, owned FROM (
    SELECT '{MANIFEST}' kind, segments.bytes, 1 objects, {_ONLY}, s.id IS NOT NULL owned
    FROM segments LEFT JOIN segment s ON s.id = segments.id
    UNION ALL
    SELECT '{FILE}', alone.bytes, objects, {_ONLY}, 1 FROM (
        SELECT sc.segment_id id, sum(k.stored_bytes) bytes, count(*) objects FROM {_HELD_ONCE}
        WHERE k.refs = 1 AND k.pack_id NOT IN (SELECT id FROM sending)
        GROUP BY sc.segment_id) alone JOIN segment s ON s.id = alone.id
    UNION ALL
    SELECT CASE whole WHEN 0 THEN '{PART}' WHEN -1 THEN '{CHUNK}' ELSE '{FILE}' END,
        k.stored_bytes, 1, {_ONLY}, 1
    FROM chunk CROSS JOIN cdc_chunks k ON k.id = chunk.id)
GROUP BY kind, p, r, c, told, owned
"""  # noqa: S608
_ALL_CHUNKS = """
SELECT (SELECT coalesce(sum(live_bytes), 0) FROM packs), (SELECT count(*) FROM cdc_chunks)
"""


def _of_artifacts(connection: Connection, told_apart: str) -> list[Entry]:
    rows: Any = connection.exec_driver_sql(_ARTIFACTS.format(told_apart))
    found = [Entry(*row[:7], owned=bool(row[7])) for row in rows]
    # What chunks there are beside those with owners arrives, or waits to be taken apart.
    size, count = connection.exec_driver_sql(_ALL_CHUNKS).one()
    chunks = [entry for entry in found if entry.kind != MANIFEST]
    size -= sum(entry.bytes for entry in chunks)
    count -= sum(entry.objects for entry in chunks)
    if count:
        found.append(Entry(FILE, size, count, None, None, owned=False))
    return found
