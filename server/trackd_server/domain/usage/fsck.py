"""Are the books right? Every blob has a row, every row its blob, every count is what it counts.

Reads one snapshot and the folder; what is uploaded or given back at that time is noted as doomed
and left out. With `verify` every chunk and the digest of every content is computed anew, and what
is damaged is marked: it is replaced as soon as the same bytes are stored again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trackd_server.domain.storage import Content, damage, doomed
from trackd_server.domain.usage import damages

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from trackd_server.domain.storage import Storage

#: Findings that a report lists; the rest are counted.
MAX_LISTED = 1_000
CONTENTS_AT_ONCE = 1_000


@dataclass
class Findings:
    """What is wrong, of one sort."""

    found: int = 0
    listed: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def add(self, **facts: Any) -> None:
        """Note one finding."""
        self.found += 1
        if len(self.listed) < MAX_LISTED:
            self.listed.append(facts)


@dataclass
class Report:
    """What a check found; all empty, or something `repaired` since the last `verify`: all right.

    What verification found earlier counts as `damaged` until it is repaired, or found whole.
    """

    objects_without_row: Findings = field(default_factory=Findings)
    rows_without_object: Findings = field(default_factory=Findings)
    wrong_counts: Findings = field(default_factory=Findings)
    damaged: Findings = field(default_factory=Findings)
    repaired: Findings = field(default_factory=Findings)
    checked: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def ok(self) -> bool:
        """Tell whether nothing is wrong."""
        sorts = (
            self.objects_without_row,
            self.rows_without_object,
            self.wrong_counts,
            self.damaged,
        )
        return not any(sort.found for sort in sorts)


def check(storage: Storage, *, verify: bool = False) -> Report:
    """Compare rows, counts and blobs. Blocks."""
    report = Report()
    # The folder before the rows; what comes or goes meanwhile is looked at again.
    on_disk = dict(storage.blobs.listing())
    with storage.database.read() as connection:
        _check_blobs(connection, storage, on_disk, report)
        _check_counts(connection, report)
    if verify:
        _verify(storage, report)
    with storage.database.read() as connection:
        _tell(connection, report.damaged, is_repaired=False)
        if not verify:
            _tell(connection, report.repaired, is_repaired=True)
    return report


_OWNED = """
SELECT 'files' of, blob_key, bytes FROM files UNION ALL SELECT 'packs', blob_key, bytes FROM packs
"""


def _check_blobs(
    connection: Connection, storage: Storage, on_disk: dict[str, int], report: Report
) -> None:
    noted = set(doomed.all_keys(connection))
    owned: dict[str, tuple[str, int]] = {}
    for table, key, size in connection.exec_driver_sql(_OWNED):
        owned[key] = (table, size)
        wrong = on_disk.get(key) != size and storage.blobs.size(key) != size
        if wrong and _still_owned(storage, key):
            report.rows_without_object.add(table=table, key=key, bytes=size)
    for key, size in on_disk.items():
        if key in owned or key in noted or _noted_since(storage, key):
            continue
        if storage.blobs.size(key):
            report.objects_without_row.add(key=key, bytes=size)
    report.checked |= {"blobs": len(on_disk), "rows": len(owned)}


def _still_owned(storage: Storage, key: str) -> bool:
    """Tell whether a row names a blob now: deletions go on during a check."""
    with storage.database.read() as connection:
        query = f"SELECT 1 FROM ({_OWNED}) WHERE blob_key = ?"  # noqa: S608
        return connection.exec_driver_sql(query, (key,)).first() is not None


def _noted_since(storage: Storage, key: str) -> bool:
    """Tell whether a blob is owned or noted by now: uploads go on during a check."""
    with storage.database.read() as connection:
        row = connection.exec_driver_sql(
            "SELECT 1 WHERE ? IN (SELECT blob_key FROM doomed_blobs)"
            " OR ? IN (SELECT blob_key FROM packs) OR ? IN (SELECT blob_key FROM files)",
            (key, key, key),
        ).first()
    return row is not None


#: Each: table, what is counted, and a query of (id, what the row says, what it should say).
_COUNTS = (
    (
        "cdc_chunks",
        "refs",
        """SELECT k.id, k.refs, coalesce(n.uses, 0) FROM cdc_chunks k
        LEFT JOIN (SELECT chunk_id, count(*) uses FROM content_chunks GROUP BY 1) n
        ON n.chunk_id = k.id WHERE k.refs != coalesce(n.uses, 0)""",
    ),
    (
        "cdc_chunks",
        "needed",
        """SELECT k.id, 0, 1 FROM cdc_chunks k JOIN packs p ON p.id = k.pack_id
        WHERE k.refs = 0 AND p.upload_version_id IS NULL""",
    ),
    (
        "cdc_chunks",
        "stored_bytes",
        """SELECT id, stored_bytes, bytes FROM cdc_chunks
        WHERE stored_bytes NOT BETWEEN 1 AND bytes OR (encoding != 'zstd' AND stored_bytes != bytes)
        OR encoding NOT IN ('raw', 'uncut', 'zstd')""",
    ),
    (
        "content_chunks",
        "chunks",
        """SELECT cc.content_id, 0, 1 FROM content_chunks cc
        LEFT JOIN cdc_chunks k ON k.id = cc.chunk_id WHERE k.id IS NULL""",
    ),
    (
        "packs",
        "live_bytes",
        """SELECT p.id, p.live_bytes, coalesce(n.live, 0) FROM packs p
        LEFT JOIN (SELECT pack_id, sum(stored_bytes) live FROM cdc_chunks GROUP BY 1) n
        ON n.pack_id = p.id WHERE p.live_bytes != coalesce(n.live, 0)""",
    ),
    (
        "packs",
        "upload_version_id",
        """SELECT p.id, p.upload_version_id, 0 FROM packs p
        WHERE p.upload_version_id IS NOT NULL AND p.upload_version_id NOT IN (
        SELECT id FROM versions WHERE state = 'PENDING'
        UNION ALL SELECT number FROM remains WHERE kind = 'version')""",
    ),
    (
        "held_contents",
        "version_id",
        """SELECT DISTINCT version_id, 1, 0 FROM held_contents WHERE version_id NOT IN (
        SELECT id FROM versions WHERE state = 'PENDING'
        UNION ALL SELECT number FROM remains WHERE kind = 'version')""",
    ),
    (
        "manifest_segments",
        "manifest_id",
        """SELECT DISTINCT manifest_id, 1, 0 FROM manifest_segments WHERE manifest_id NOT IN (
        SELECT id FROM manifests
        UNION ALL SELECT number FROM remains WHERE kind = 'manifest')""",
    ),
    (
        "contents",
        "bytes",
        """SELECT c.id, c.bytes, coalesce(n.size, 0) FROM contents c
        LEFT JOIN (SELECT cc.content_id, sum(k.bytes) size FROM content_chunks cc
        JOIN cdc_chunks k ON k.id = cc.chunk_id GROUP BY 1) n ON n.content_id = c.id
        WHERE c.algorithm NOT IN ('arriving', 'leaving') AND c.bytes != coalesce(n.size, 0)""",
    ),
    (
        "contents",
        "refs",
        """SELECT c.id, c.refs, coalesce(n.uses, 0) FROM contents c LEFT JOIN (
        SELECT content_id, sum(uses) uses FROM (
        SELECT content_id, uses FROM segment_contents
        UNION ALL SELECT content_id, 1 FROM held_contents
        UNION ALL SELECT content_id, 1 FROM multipart_parts WHERE content_id IS NOT NULL)
        GROUP BY 1) n ON n.content_id = c.id
        WHERE c.algorithm != 'arriving' AND c.refs != coalesce(n.uses, 0)""",
    ),
    (
        "segment_contents",
        "contents",
        """SELECT s.segment_id, 0, 1 FROM segment_contents s
        LEFT JOIN contents c ON c.id = s.content_id WHERE c.id IS NULL""",
    ),
    (
        "segments",
        "refs",
        """SELECT s.id, s.refs, coalesce(n.uses, 0) FROM segments s
        LEFT JOIN (SELECT segment_id, count(*) uses FROM manifest_segments GROUP BY 1) n
        ON n.segment_id = s.id WHERE s.refs != coalesce(n.uses, 0)""",
    ),
    (
        "segments",
        "bytes",
        "SELECT id, bytes, length(body) FROM segments WHERE bytes != length(body)",
    ),
    (
        "streams",
        "bytes",
        """SELECT s.id, s.bytes, coalesce(n.size, 0) FROM streams s
        LEFT JOIN (SELECT stream_id, sum(length(content)) size FROM chunks GROUP BY 1) n
        ON n.stream_id = s.id WHERE s.bytes != coalesce(n.size, 0)""",
    ),
)


def _check_counts(connection: Connection, report: Report) -> None:
    for table, what, query in _COUNTS:
        for row_id, found, wanted in connection.exec_driver_sql(query):
            report.wrong_counts.add(
                table=table, id=row_id, what=what, **{"is": found, "should_be": wanted}
            )
    for table in ("packs", "cdc_chunks", "contents", "segments", "streams"):
        counted = connection.exec_driver_sql(f"SELECT count(*) FROM {table}")  # noqa: S608
        report.checked[table] = counted.one()[0]


def _verify(storage: Storage, report: Report) -> None:
    with storage.database.read() as connection:
        known = damage.marks(connection)
    verified, last = 0, 0
    while found := _names(storage, last):
        for name in found:
            marks, problems = storage.verifier.verify(name)
            known.difference_update(marks)
            for problem in problems[:1]:
                report.damaged.add(content=name.id, bytes=name.bytes, error=problem.error)
            verified += name.bytes
            last = name.id
    report.checked["verified_bytes"] = verified
    with storage.database.read() as connection:
        _tell(connection, report.repaired, is_repaired=True)
    if known:  # found whole, repaired, or gone
        with storage.database.write() as connection:
            damage.forget(connection, known)


def _names(storage: Storage, after: int) -> list[Content]:
    with storage.database.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT id, algorithm, digest, bytes FROM contents"
            " WHERE id > ? AND algorithm NOT IN ('arriving', 'leaving') ORDER BY id LIMIT ?",
            (after, CONTENTS_AT_ONCE),
        )
        return [Content(*row) for row in rows]


def _tell(connection: Connection, findings: Findings, *, is_repaired: bool) -> None:
    """Add the contents that have marks to findings: those that are repaired, or those that are not.

    One whose names would not be listed is counted only.
    """
    for marked in damage.marked(connection):
        if marked.is_repaired is is_repaired:
            is_listed = len(findings.listed) < MAX_LISTED
            findings.add(**(damages.finding(connection, marked) if is_listed else {}))
