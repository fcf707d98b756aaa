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
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

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

    @cached_property
    def _entries(self) -> list[Entry]:
        return ledger.entries(self._connection, ledger.PENDING_VERSIONS)

    @cached_property
    def _held(self) -> list[_Held]:
        return [_Held(*row) for row in self._connection.exec_driver_sql(_HELD)]

    def server(self, storage: Storage) -> ServerUsage:
        """Return the figures of the server, and measure its disk."""
        rows = self._connection.exec_driver_sql("SELECT id, entity, name FROM projects").all()
        within = _grouped(self._entries, lambda entry: entry.project)
        held = _grouped(self._held, lambda held: held.project)
        projects = [
            _project_part(row, within.get(row.id, []), held.get(row.id, [])) for row in rows
        ]
        owned = [entry for entry in self._entries if entry.owned]
        database = storage.database.size_bytes()
        in_rows = _total(entry for entry in owned if entry.kind in ledger.ROW_KINDS)
        kinds = _by_kind(owned)
        blobs = storage.blobs.total_bytes()
        index, in_transit = database - in_rows, self._in_transit(storage)
        pending = set(self._connection.exec_driver_sql(ledger.PENDING).scalars())
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
        held = [held for held in self._held if held.project == project]
        runs = self._run_parts(project, within, held)
        collections = self._collection_parts(project, within, held)
        parts = sum(part.exclusive for part in (*runs, *collections))
        return Breakdown(
            name=f"{entity}/{name}",
            physical=_total(within),
            logical=sum(part.logical for part in (*runs, *collections)),
            references=sum(each.references for each in held),
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
        lines = ledger.entries(self._connection, ledger.VERSIONS_OF_RUN.format(run_id))
        mine = [entry for entry in lines if entry.run == run_id]
        own = [entry for entry in mine if _of_run(entry) == run_id]
        versions = self._version_parts("v.run_id", run_id, mine)
        return Breakdown(
            name=f"{entity}/{project}/{name}",
            physical=_total(mine),
            logical=_total(own) + sum(part.logical for part in versions),
            references=sum(part.references for part in versions),
            kinds=_by_kind(mine),
            runs=[_run_part(name, None, own, mine, len(versions))],
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
        lines = ledger.entries(self._connection, ledger.VERSIONS_OF_COLLECTION.format(number))
        mine = [entry for entry in lines if entry.collection == number]
        versions = self._version_parts("v.collection_id", number, mine)
        return Breakdown(
            name=f"{entity}/{project}/{name}",
            physical=_total(mine),
            logical=sum(part.logical for part in versions),
            references=sum(part.references for part in versions),
            kinds=_by_kind(mine),
            runs=[],
            collections=[],
            versions=versions,
            shared=_total(mine) - sum(part.exclusive for part in versions),
        )

    def _run_parts(self, project: int, within: list[Entry], held: list[_Held]) -> list[Part]:
        own, whole = _grouped(within, _of_run), _grouped(within, lambda entry: entry.run)
        logged: Counter[int | None] = Counter()
        for each in held:
            logged[each.run] += each.versions
        rows = self._connection.exec_driver_sql(_RUNS, (project,)).all()
        parts = [
            _run_part(name, title, own.get(run, []), whole.get(run, []), logged[run])
            for run, name, title in rows
        ]
        return sorted(parts, key=lambda part: -part.exclusive)

    def _collection_parts(self, project: int, within: list[Entry], held: list[_Held]) -> list[Part]:
        own = _grouped(within, lambda entry: entry.collection)
        members = _grouped(held, lambda each: each.collection)
        rows = self._connection.exec_driver_sql(_COLLECTIONS, (project,)).all()
        parts = [
            _collection_part(row, own.get(row.id, []), members.get(row.id, [])) for row in rows
        ]
        return sorted(parts, key=lambda part: -part.exclusive)

    def _version_parts(self, column: str, owner: int, lines: list[Entry]) -> list[Part]:
        """Return the versions whose `column` is `owner`, of which these lines tell."""
        query = f"{_VERSIONS} WHERE {column} = ? ORDER BY v.collection_id, v.id"
        own = _grouped(lines, lambda entry: entry.version)
        rows = self._connection.exec_driver_sql(query, (owner,))
        return [_version_part(row, own.get(row.id, [])) for row in rows]

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


class _Held(NamedTuple):
    """What the versions of one collection and one run refer to."""

    project: int
    collection: int
    run: int | None
    versions: int
    logical: int
    references: int


_VERSIONS = """
SELECT v.id, k.project_id, v.collection_id, v.run_id, v.version_index, v.state, k.name,
    v.reference_bytes,
    CASE v.state WHEN 'PENDING' THEN coalesce((SELECT sum(c.bytes) FROM held_contents h
        JOIN contents c ON c.id = h.content_id WHERE h.version_id = v.id), 0)
    ELSE v.bytes END bytes,
    coalesce((SELECT sum(segments.bytes) FROM manifests
        CROSS JOIN manifest_segments ms ON ms.manifest_id = manifests.id
        CROSS JOIN segments ON segments.id = ms.segment_id
        WHERE manifests.version_id = v.id), 0) manifest_bytes
FROM versions v JOIN collections k ON k.id = v.collection_id
"""
_HELD = f"""
SELECT project_id, collection_id, run_id, count(*), sum(bytes + manifest_bytes),
    sum(reference_bytes) FROM ({_VERSIONS}) GROUP BY collection_id, run_id
"""  # noqa: S608
_RUNS = "SELECT id, name, display_name FROM runs WHERE project_id = ?"
_COLLECTIONS = """
SELECT c.id, c.name, c.kind, t.name type
FROM collections c JOIN artifact_types t ON t.id = c.type_id WHERE c.project_id = ?
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


def _project_part(row: Row[Any], within: list[Entry], held: list[_Held]) -> Part:
    of_runs = _total(entry for entry in within if _of_run(entry) is not None)
    return Part(
        f"{row.entity}/{row.name}",
        of_runs + sum(each.logical for each in held),
        _total(within),
        sum(each.references for each in held),
        _by_kind(within),
        {
            "entity": row.entity,
            "project": row.name,
            "versions": sum(each.versions for each in held),
        },
    )


def _run_part(
    name: str, title: str | None, own: list[Entry], whole: list[Entry], versions: int
) -> Part:
    facts = {
        "display_name": title,
        "versions": versions,
        # What disappears if the run is deleted with the artifacts that it logged.
        "with_artifacts": _total(whole),
    }
    return Part(name, _total(own), _total(own), 0, _by_kind(own), facts)


def _collection_part(row: Row[Any], own: list[Entry], held: list[_Held]) -> Part:
    return Part(
        row.name,
        sum(each.logical for each in held),
        _total(own),
        sum(each.references for each in held),
        _by_kind(own),
        {"kind": row.kind, "type": row.type, "versions": sum(each.versions for each in held)},
    )


def _version_part(row: Row[Any], own: list[Entry]) -> Part:
    label = "draft" if row.version_index is None else f"v{row.version_index}"
    logical = row.bytes + row.manifest_bytes
    facts = {
        "id": row.id,
        "collection": row.name,
        "version_index": row.version_index,
        "state": row.state,
        "manifest_bytes": row.manifest_bytes,
    }
    name = f"{row.name}:{label}"
    return Part(name, logical, _total(own), row.reference_bytes, _by_kind(own), facts)


def _of_run(entry: Entry) -> int | None:
    """Return the run that stored this itself; None for what belongs to artifacts."""
    return entry.run if entry.kind in _RUN_KINDS else None


def _grouped(items: Iterable[T], owner: Callable[[T], int | None]) -> dict[int | None, list[T]]:
    groups: dict[int | None, list[T]] = {}
    for item in items:
        groups.setdefault(owner(item), []).append(item)
    return groups


def _total(entries: Iterable[Entry]) -> int:
    return sum(entry.bytes for entry in entries)


def _by_kind(entries: Iterable[Entry]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for entry in entries:
        sums[entry.kind] += entry.bytes
    return {kind: sums[kind] for kind in ledger.KINDS if sums[kind]}
