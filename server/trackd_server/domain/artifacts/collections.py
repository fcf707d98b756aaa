"""Collections: sequences, which own versions, and portfolios, which link to them; and their types.

Functions work in the caller's transaction. Deleting collections is `collection_removal`'s task.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or_ignore

from trackd_server.domain import names
from trackd_server.domain.errors import Conflict, InvalidRequest, NotFound
from trackd_server.store.given_ids import was_given
from trackd_server.store.tables import projects
from trackd_server.store.tables.artifacts import (
    artifact_types,
    collection_tags,
    collections,
    memberships,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Row, Select

SEQUENCE = "sequence"
PORTFOLIO = "portfolio"

MAX_TYPE_CHARS = 128
MAX_TAG_CHARS = 128
MAX_DESCRIPTION_CHARS = 100_000
#: Tags of one collection or version.
MAX_TAGS = 100
_TAG = re.compile(r"[-\w]+( +[-\w]+)*")

# Statements are put together once: that takes several times as long as running one.
_VIEWS, _TYPES, _PROJECTS = (
    select(table).where(table.c.id.in_(bindparam("ids", expanding=True)))
    for table in (collections, artifact_types, projects)
)
_NEWEST = select(
    collections.c.id,
    select(func.max(memberships.c.version_index))
    .where(memberships.c.collection_id == collections.c.id)
    .scalar_subquery()
    .label("newest"),
).where(collections.c.id.in_(bindparam("ids", expanding=True)))
_TAGS = (
    select(collection_tags)
    .where(collection_tags.c.collection_id.in_(bindparam("ids", expanding=True)))
    .order_by(collection_tags.c.tag)
)
_FIND_IN, _FIND_TYPE = (
    select(table).where(
        table.c.project_id == bindparam("project_id"), table.c.name == bindparam("called")
    )
    for table in (collections, artifact_types)
)
_FIND = (
    select(collections)
    .join(projects, projects.c.id == collections.c.project_id)
    .where(
        projects.c.entity == bindparam("entity"),
        projects.c.name == bindparam("project"),
        collections.c.name == bindparam("called"),
    )
)


@dataclass(frozen=True)
class CollectionView:
    """A collection as others read it."""

    row: Row[Any]
    type: Row[Any]
    project: Row[Any]
    tags: tuple[str, ...]
    is_deleted: bool = False

    @property
    def type_name(self) -> str:
        """Return the type of its artifacts."""
        return self.type.name

    @property
    def id(self) -> int:
        """Return the number of its row."""
        return self.row.id

    @property
    def is_sequence(self) -> bool:
        """Tell whether it owns its versions."""
        return self.row.kind == SEQUENCE

    @property
    def path(self) -> str:
        """Return entity/project/name."""
        return f"{self.project.entity}/{self.project.name}/{self.row.name}"


def views(connection: Connection, ids: Sequence[int]) -> list[CollectionView]:
    """Return collections in the order of their numbers in `ids`; those that are gone are left out.

    Four queries, however many there are.
    """
    rows = _by_id(connection, _VIEWS, ids)
    types = _by_id(connection, _TYPES, {row.type_id for row in rows.values()})
    owners = _by_id(connection, _PROJECTS, {row.project_id for row in rows.values()})
    tags: dict[int, list[str]] = {}
    for tagged in connection.execute(_TAGS, {"ids": list(ids)}):
        tags.setdefault(tagged.collection_id, []).append(tagged.tag)
    return [
        CollectionView(row, types[row.type_id], owners[row.project_id], tuple(tags.get(row.id, ())))
        for number in ids
        if (row := rows.get(number)) is not None
    ]


def newest(connection: Connection, ids: Sequence[int]) -> dict[int, int | None]:
    """Return the highest number of a member of each collection, None where nothing is left."""
    return {row.id: row.newest for row in connection.execute(_NEWEST, {"ids": list(ids)})}


def view(connection: Connection, id_: int) -> CollectionView:
    """Return one collection; NotFound if there is none."""
    found = views(connection, [id_])
    if not found:
        raise NotFound("The collection does not exist (any more).")
    return found[0]


def was_deleted(connection: Connection, id_: int) -> bool:
    """Tell whether there was a collection of this number, which is gone."""
    return not views(connection, [id_]) and was_given(connection, collections, id_)


def find(connection: Connection, entity: str, project: str, name: str) -> Row[Any] | None:
    """Return the row of a collection by its path, or None."""
    wanted = {"entity": entity, "project": project, "called": name}
    return connection.execute(_FIND, wanted).one_or_none()


def find_in(connection: Connection, project_id: int, name: str) -> Row[Any] | None:
    """Return the row of a project's collection, or None."""
    wanted = {"project_id": project_id, "called": name}
    return connection.execute(_FIND_IN, wanted).one_or_none()


def find_type(connection: Connection, project_id: int, name: str) -> Row[Any] | None:
    """Return the row of a project's artifact type, or None."""
    wanted = {"project_id": project_id, "called": name}
    return connection.execute(_FIND_TYPE, wanted).one_or_none()


def ensure_type(connection: Connection, project_id: int, name: str, now: float) -> int:
    """Return the number of an artifact type, made if need be."""
    found = find_type(connection, project_id, name)
    if found is not None:
        return found.id
    values = {"project_id": project_id, "name": checked_type(name), "created_at": now}
    made = insert(artifact_types).values(values).returning(artifact_types.c.id)
    return connection.execute(made).scalar_one()


def ensure_collection(
    connection: Connection, project_id: int, name: str, kind: str, type_name: str, now: float
) -> Row[Any]:
    """Return a project's collection of this kind and type, made if need be.

    Conflict if there is one of another kind or type under this name.
    """
    found = find_in(connection, project_id, name)
    if found is None:
        values = {
            "project_id": project_id,
            "name": names.checked("collection", name),
            "kind": kind,
            "type_id": ensure_type(connection, project_id, type_name, now),
            "created_at": now,
            "updated_at": now,
        }
        connection.execute(insert(collections).values(values))
        found = find_in(connection, project_id, name)
        assert found is not None
        return found
    if found.kind != kind:
        wanted = "links" if kind == PORTFOLIO else "versions of its own"
        raise Conflict(f"Collection {name!r} is a {found.kind}: it takes no {wanted}.")
    has = _by_id(connection, _TYPES, {found.type_id})[found.type_id].name
    if has != type_name:
        raise Conflict(
            f"Collection {name!r} holds artifacts of type {has!r}, not {type_name!r}: "
            "use its type, or another name."
        )
    return found


def rename(connection: Connection, collection: Row[Any], name: str) -> None:
    """Give a collection another name; Conflict if it is taken."""
    if name == collection.name:
        return
    names.checked("collection", name)
    if find_in(connection, collection.project_id, name) is not None:
        raise Conflict(f"There is a collection {name!r} already; choose another name.")
    _change(connection, collection.id, {"name": name})


def describe(connection: Connection, collection_id: int, text: str) -> None:
    """Set a collection's description."""
    if len(text) > MAX_DESCRIPTION_CHARS:
        raise InvalidRequest(
            f"The description has {len(text)} characters, the most are {MAX_DESCRIPTION_CHARS}."
        )
    _change(connection, collection_id, {"description": text})


def move(connection: Connection, collection: CollectionView, type_name: str) -> None:
    """Give a sequence another type; internal types can neither be left nor taken."""
    if not collection.is_sequence:
        raise InvalidRequest("The type of a portfolio cannot change; move the source sequence.")
    for name in (collection.type_name, type_name):
        if _is_internal(name, collection.row.name):
            raise InvalidRequest(f"Type {name!r} is an internal one; it cannot be changed.")
    type_id = ensure_type(connection, collection.row.project_id, type_name, time.time())
    _change(connection, collection.id, {"type_id": type_id})


def tag(connection: Connection, collection_id: int, tags: Iterable[str]) -> list[str]:
    """Add tags to a collection and return them; those that it has stay."""
    chosen = [checked_tag(name) for name in tags]
    if chosen:
        rows = [{"collection_id": collection_id, "tag": name} for name in chosen]
        connection.execute(insert_or_ignore(collection_tags).on_conflict_do_nothing(), rows)
    of_this = collection_tags.c.collection_id == collection_id
    if len(connection.execute(select(collection_tags.c.tag).where(of_this)).all()) > MAX_TAGS:
        raise InvalidRequest(f"A collection can have {MAX_TAGS} tags; remove some first.")
    _change(connection, collection_id, {})
    return chosen


def untag(connection: Connection, collection_id: int, tags: Iterable[str]) -> None:
    """Remove tags from a collection."""
    connection.execute(
        delete(collection_tags).where(
            collection_tags.c.collection_id == collection_id, collection_tags.c.tag.in_(list(tags))
        )
    )
    _change(connection, collection_id, {})


def checked_type(name: str) -> str:
    """Return a type's name if it can be one, else refuse it."""
    if not name or len(name) > MAX_TYPE_CHARS or names.printable(name) != name:
        raise InvalidRequest(
            f"Invalid artifact type {name[:200]!r}: it must have 1 to {MAX_TYPE_CHARS} "
            "printable characters."
        )
    return name


def checked_tag(name: str) -> str:
    """Return a tag if it can be one, else refuse it."""
    if len(name) > MAX_TAG_CHARS or not _TAG.fullmatch(name):
        raise InvalidRequest(
            f"Invalid tag {name[:200]!r}: it must have 1 to {MAX_TAG_CHARS} letters, digits, '-', "
            "'_' and single blanks between words."
        )
    return name


def _is_internal(type_name: str, collection: str) -> bool:
    return (
        type_name == "job"
        or type_name.startswith("wandb-")
        or (type_name == "run_table" and collection.startswith("run-"))
        or (type_name == "code" and collection.startswith("source-"))
    )


def _change(connection: Connection, collection_id: int, values: dict[str, Any]) -> None:
    changed = {**values, "updated_at": time.time()}
    connection.execute(update(collections).where(collections.c.id == collection_id).values(changed))


def _by_id(connection: Connection, query: Select[Any], ids: Iterable[int]) -> dict[int, Row[Any]]:
    return {row.id: row for row in connection.execute(query, {"ids": list(ids)})}
