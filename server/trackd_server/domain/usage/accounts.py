"""Figures of storage, for the server, a project, a run, a collection: sums over the ledger's lines.

Each level has three figures. *Logical* is what the owner refers to, each version's files counted
whole. *Exclusive* is what disappears if the owner is deleted now. *Physical* is what lies on the
disk for the owner and for nobody outside: of a project, what its runs and collections hold
exclusively plus what they share with one another. References count in a column of their own. So

    physical of the server = physical of its projects + shared between projects
                             + index (the database without the rows that are counted)
                             + in transit (uploads that are not done, bytes to be given back)

which is the size of the server's files, to the byte.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from trackd_server.domain.artifacts import remains
from trackd_server.domain.errors import NotFound
from trackd_server.domain.storage import doomed
from trackd_server.domain.usage import ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection, Row

    from trackd_server.domain.storage import Storage
    from trackd_server.domain.usage.ledger import Entry


T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """One row of a breakdown: a project, run, collection or version."""

    name: str
    logical: int
    exclusive: int
    references: int = 0
    #: Exclusive bytes by kind.
    kinds: dict[str, int] = field(default_factory=dict[str, int])
    #: Facts of the level: entity, type, state, counts.
    facts: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Breakdown:
    """The figures of one owner, and the rows that they are the sums of."""

    name: str
    physical: int
    logical: int
    references: int
    kinds: dict[str, int]
    runs: list[Part]
    collections: list[Part]
    versions: list[Part]
    #: Bytes that several of the rows share.
    shared: int


@dataclass(frozen=True)
class ServerUsage:
    """The figures of the whole server."""

    physical: int
    logical: int
    references: int
    kinds: dict[str, int]
    projects: list[Part]
    shared: int
    index: int
    in_transit: int
    #: Measured now: the database's files and the blobs; the blobs alone.
    disk: int
    disk_blobs: int
    #: Versions whose upload has not ended: count and exclusive bytes.
    pending: dict[str, int]
    #: What waits to be given back: files to delete, packs to rewrite; manifests and drafts that
    #: are gone, or committed, and not cleared away yet.
    reclaim: dict[str, int]


class Accounts:
    """All figures, as they were in one snapshot of the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._entries = ledger.entries(connection)
        self._versions = [_Version(*row) for row in connection.exec_driver_sql(_VERSIONS)]
        self._by_run = _grouped(self._entries, lambda entry: entry.run)
        self._by_version = _grouped(self._entries, lambda entry: entry.version)
        self._logged = _grouped(self._versions, lambda version: version.run)
        self._members = _grouped(self._versions, lambda version: version.collection)

    def server(self, storage: Storage) -> ServerUsage:
        """Return the figures of the server, and measure its disk."""
        rows = self._connection.exec_driver_sql("SELECT id, entity, name FROM projects").all()
        within = _grouped(self._entries, lambda entry: entry.project)
        held = _grouped(self._versions, lambda version: version.project)
        projects = [
            _project_part(row, within.get(row.id, []), held.get(row.id, [])) for row in rows
        ]
        owned = [entry for entry in self._entries if entry.owned]
        database = storage.database.size_bytes()
        in_rows = _total(entry for entry in owned if entry.kind in ledger.ROW_KINDS)
        kinds = _by_kind(owned)
        blobs = storage.blobs.total_bytes()
        index, in_transit = database - in_rows, self._in_transit(storage)
        pending = {version.id for version in self._versions if version.state == "PENDING"}
        progress = storage.reclaimer.progress()
        return ServerUsage(
            physical=sum(kinds.values()) + index + in_transit,
            logical=sum(part.logical for part in projects),
            references=sum(part.references for part in projects),
            kinds=kinds,
            projects=sorted(projects, key=lambda part: -part.exclusive),
            shared=_total(entry for entry in owned if entry.project is None),
            index=index,
            in_transit=in_transit,
            disk=database + blobs,
            disk_blobs=blobs,
            pending={
                "versions": len(pending),
                "bytes": _total(entry for entry in owned if entry.version in pending),
            },
            reclaim={
                "files": progress.files,
                "packs": progress.packs,
                "remains": remains.count(self._connection),
            },
        )

    def project(self, entity: str, name: str) -> Breakdown:
        """Return the figures of a project's runs and collections."""
        project = self._project_id(entity, name)
        within = [entry for entry in self._entries if entry.project == project]
        runs = self._parts(_RUNS, project, within, _of_run, self._run_part)
        collections = self._parts(
            _COLLECTIONS, project, within, lambda entry: entry.collection, self._collection_part
        )
        versions = [version for version in self._versions if version.project == project]
        logical = sum(part.logical for part in runs) + sum(map(_logical, versions))
        parts = sum(part.exclusive for part in (*runs, *collections))
        return Breakdown(
            name=f"{entity}/{name}",
            physical=_total(within),
            logical=logical,
            references=sum(version.references for version in versions),
            kinds=_by_kind(within),
            runs=runs,
            collections=collections,
            versions=[],
            shared=_total(within) - parts,
        )

    def run(self, entity: str, project: str, name: str) -> Breakdown:
        """Return the figures of a run: what it stored itself, and the versions it logged."""
        project_id = self._project_id(entity, project)
        run_id = self._id("SELECT id FROM runs WHERE project_id = ? AND name = ?", project_id, name)
        mine = self._by_run.get(run_id, [])
        own = [entry for entry in mine if _of_run(entry) == run_id]
        logged = self._logged.get(run_id, [])
        versions = self._version_parts(logged)
        return Breakdown(
            name=f"{entity}/{project}/{name}",
            physical=_total(mine),
            logical=_total(own) + sum(map(_logical, logged)),
            references=sum(version.references for version in logged),
            kinds=_by_kind(mine),
            runs=[self._run_part((run_id, name, None), own)],
            collections=[],
            versions=versions,
            shared=_total(mine) - _total(own) - sum(part.exclusive for part in versions),
        )

    def collection(self, entity: str, project: str, name: str) -> Breakdown:
        """Return the figures of a collection's own versions."""
        project_id = self._project_id(entity, project)
        number = self._id(
            "SELECT id FROM collections WHERE project_id = ? AND name = ?", project_id, name
        )
        mine = [entry for entry in self._entries if entry.collection == number]
        held = self._members.get(number, [])
        versions = self._version_parts(held)
        return Breakdown(
            name=f"{entity}/{project}/{name}",
            physical=_total(mine),
            logical=sum(map(_logical, held)),
            references=sum(version.references for version in held),
            kinds=_by_kind(mine),
            runs=[],
            collections=[],
            versions=versions,
            shared=_total(mine) - sum(part.exclusive for part in versions),
        )

    def _parts(
        self,
        query: str,
        project: int,
        within: list[Entry],
        owner: Callable[[Entry], int | None],
        part: Callable[[Any, list[Entry]], Part],
    ) -> list[Part]:
        by_owner = _grouped(within, owner)
        rows = self._connection.exec_driver_sql(query, (project,)).all()
        found = [part(row, by_owner.get(row[0], [])) for row in rows]
        return sorted(found, key=lambda each: -each.exclusive)

    def _run_part(self, row: Any, own: list[Entry]) -> Part:
        run_id, name, display_name = row
        with_artifacts = _total(self._by_run.get(run_id, []))
        facts = {
            "display_name": display_name,
            "versions": len(self._logged.get(run_id, [])),
            # What disappears if the run is deleted with the artifacts that it logged.
            "with_artifacts": with_artifacts,
        }
        return Part(name, _total(own), _total(own), 0, _by_kind(own), facts)

    def _collection_part(self, row: Any, own: list[Entry]) -> Part:
        number, name, kind, type_name = row
        held = self._members.get(number, [])
        return Part(
            name,
            sum(map(_logical, held)),
            _total(own),
            sum(version.references for version in held),
            _by_kind(own),
            {"kind": kind, "type": type_name, "versions": len(held)},
        )

    def _version_parts(self, versions: list[_Version]) -> list[Part]:
        parts: list[Part] = []
        for version in versions:
            own = self._by_version.get(version.id, [])
            facts = {
                "id": version.id,
                "collection": version.name,
                "version_index": version.index,
                "state": version.state,
                "manifest_bytes": version.manifest_bytes,
            }
            label = "draft" if version.index is None else f"v{version.index}"
            name = f"{version.name}:{label}"
            references = version.references
            parts.append(
                Part(name, _logical(version), _total(own), references, _by_kind(own), facts)
            )
        return parts

    def _in_transit(self, storage: Storage) -> int:
        """Return bytes of files being uploaded, and of files and chunks to be given back."""
        waste, _ = self._connection.exec_driver_sql(
            "SELECT coalesce(sum(bytes - live_bytes), 0), count(*) FROM packs"
        ).one()
        in_files = (entry for entry in self._entries if entry.kind not in ledger.ROW_KINDS)
        arriving = _total(entry for entry in in_files if not entry.owned)
        noted = sum(storage.blobs.size(key) for key in doomed.all_keys(self._connection))
        return waste + arriving + noted

    def _project_id(self, entity: str, name: str) -> int:
        return self._id("SELECT id FROM projects WHERE entity = ? AND name = ?", entity, name)

    def _id(self, query: str, *values: object) -> int:
        row = self._connection.exec_driver_sql(query, values).one_or_none()
        if row is None:
            raise NotFound(f"There is no {values[-1]!r} here.")
        return row[0]


@dataclass(frozen=True)
class _Version:
    """What a version refers to."""

    id: int
    collection: int
    project: int
    run: int | None
    index: int | None
    state: str
    name: str
    bytes: int
    references: int
    manifest_bytes: int


_VERSIONS = """
SELECT v.id, v.collection_id, k.project_id, v.run_id, v.version_index, v.state, k.name,
    CASE v.state WHEN 'PENDING' THEN coalesce((SELECT sum(c.bytes) FROM held_contents h
        JOIN contents c ON c.id = h.content_id WHERE h.version_id = v.id), 0) ELSE v.bytes END,
    v.reference_bytes,
    coalesce(m.bytes, 0)
FROM versions v JOIN collections k ON k.id = v.collection_id
LEFT JOIN (SELECT manifests.version_id, sum(segments.bytes) bytes FROM manifests
    JOIN manifest_segments ms ON ms.manifest_id = manifests.id
    JOIN segments ON segments.id = ms.segment_id GROUP BY 1) m ON m.version_id = v.id
ORDER BY v.collection_id, v.id
"""
_RUNS = "SELECT id, name, display_name FROM runs WHERE project_id = ?"
_COLLECTIONS = """
SELECT c.id, c.name, c.kind, t.name FROM collections c JOIN artifact_types t ON t.id = c.type_id
WHERE c.project_id = ?
"""

#: Kinds of what runs store themselves.
_RUN_KINDS = frozenset(
    (
        ledger.RUN_FILE,
        ledger.MEDIA,
        ledger.CONSOLE,
        ledger.HISTORY,
        ledger.EVENTS,
        ledger.OTHER,
    )
)


def _project_part(row: Row[Any], within: list[Entry], versions: list[_Version]) -> Part:
    of_runs = _total(entry for entry in within if _of_run(entry) is not None)
    return Part(
        f"{row.entity}/{row.name}",
        of_runs + sum(map(_logical, versions)),
        _total(within),
        sum(version.references for version in versions),
        _by_kind(within),
        {"entity": row.entity, "project": row.name, "versions": len(versions)},
    )


def _of_run(entry: Entry) -> int | None:
    """Return the run that stored this itself; None for what belongs to artifacts."""
    return entry.run if entry.kind in _RUN_KINDS else None


def _grouped(items: Iterable[T], owner: Callable[[T], int | None]) -> dict[int | None, list[T]]:
    groups: dict[int | None, list[T]] = {}
    for item in items:
        groups.setdefault(owner(item), []).append(item)
    return groups


def _logical(version: _Version) -> int:
    return version.bytes + version.manifest_bytes


def _total(entries: Iterable[Entry]) -> int:
    return sum(entry.bytes for entry in entries)


def _by_kind(entries: Iterable[Entry]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for entry in entries:
        sums[entry.kind] += entry.bytes
    return {kind: sums[kind] for kind in ledger.KINDS if sums[kind]}
