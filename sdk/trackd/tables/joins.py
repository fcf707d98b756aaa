"""Tables of tables: parts in a folder of an artifact, and two tables joined by a key."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar, cast

from trackd.artifacts import Artifact, ArtifactMember
from trackd.media.stored import refers_to_artifacts
from trackd.recording.recordable import Recordable
from trackd.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from trackd.artifacts.online.values import Source
    from trackd.recording.recordable import RunPlace, Slot

_TABLE_SUFFIX = ".table.json"


class TableOfTables(Recordable, ArtifactMember):
    """What refers to tables in its artifact; rows refer to the artifact alone.

    Attributes:
        log_type: `_type` of the value in history.
    """

    log_type: ClassVar[str]

    def to_history(self, place: RunPlace, slot: Slot) -> dict[str, Any]:
        """Record an artifact that holds it; return what refers to it.

        Raises:
            ValueError: a table that it names is not in the artifact, or settings forbid rows to
                refer to artifacts.
        """
        artifact = Artifact.for_own_use(f"run-{place.run_id}-{slot.key}", "run_table")
        artifact.add(self, slot.key)
        place.record_artifact(artifact.to_record(place.files_dir.parent))
        artifact.remove_staged()
        if not refers_to_artifacts(place):
            raise ValueError(
                f"a {type(self).__name__} can only be referred to in its artifact, which rows may "
                "not do here: set allow_offline_artifacts=True"
            )
        return {"_type": self.log_type, "artifact_path": self.artifact_uri()}


class PartitionedTable(TableOfTables):
    """A table whose parts are the tables in one folder of an artifact.

    Args:
        parts_path: the folder.
    """

    log_type = artifact_suffix = "partitioned-table"

    def __init__(self, parts_path: str) -> None:
        self.parts_path = parts_path
        self._parts: list[str] = []
        self._source: Source | None = None

    def to_artifact(self, artifact: Artifact) -> dict[str, Any]:
        """Return the JSON that stands for it; the parts are added on their own."""
        del artifact
        return {"_type": self.log_type, "parts_path": self.parts_path}

    @classmethod
    def from_artifact(cls, form: dict[str, Any], source: Source) -> Self:
        """Return it from its JSON in an artifact, with the tables in its folder."""
        made = cls(form["parts_path"])
        entries = source.artifact.manifest.get_entries_in_directory(made.parts_path)
        made._parts = [entry.path for entry in entries if entry.path.endswith(_TABLE_SUFFIX)]
        made._source = source
        return made

    def iterrows(self) -> Iterator[tuple[int, list[Any]]]:
        """Yield number and values of each row of all parts, where it was read from an artifact.

        Raises:
            ValueError: the parts have other columns than each other.
        """
        columns: list[Any] | None = None
        numbers = itertools.count()
        for path in self._parts:
            part = self._source.value(path) if self._source else None
            if not isinstance(part, Table):
                continue
            if columns is not None and part.columns != columns:
                raise ValueError(
                    f"PartitionedTable: the columns of {path!r} are {part.columns}, and {columns} "
                    "in the parts before"
                )
            columns = part.columns
            for row in part.data:
                yield next(numbers), row

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PartitionedTable) and other.parts_path == self.parts_path

    def __hash__(self) -> int:
        return hash(self.parts_path)


class JoinedTable(TableOfTables):
    """Two tables, shown as one whose rows have the same key in both.

    Args:
        table1: a `Table` or `PartitionedTable`, or the path of one in the artifact.
        table2: the other one.
        join_key: column that holds the key, or a list with the column of each.

    Raises:
        ValueError: an argument is not of that form.
    """

    log_type = artifact_suffix = "joined-table"

    def __init__(
        self,
        table1: Table | PartitionedTable | str,
        table2: Table | PartitionedTable | str,
        join_key: str | list[str],
    ) -> None:
        _check_key(join_key)
        self._tables = (_checked("table1", table1), _checked("table2", table2))
        self._join_key = join_key

    def to_artifact(self, artifact: Artifact) -> dict[str, Any]:
        """Add both tables to an artifact; return the JSON that joins them.

        Raises:
            ValueError: a path is not in the artifact.
        """
        table1, table2 = (
            self._path_in(artifact, number, table) for number, table in enumerate(self._tables, 1)
        )
        return {
            "_type": self.log_type,
            "table1": table1,
            "table2": table2,
            "join_key": self._join_key,
        }

    def _path_in(
        self, artifact: Artifact, number: int, table: Table | PartitionedTable | str
    ) -> str:
        if not isinstance(table, str):
            return artifact.add(table, f"t{number}_{id(self)}").path
        if table not in artifact.manifest.entries:
            raise ValueError(
                f"JoinedTable: {table!r} is not in the artifact: add that table first, or give "
                "the Table itself"
            )
        return table

    @classmethod
    def from_artifact(cls, form: dict[str, Any], source: Source) -> Self:
        """Return it from its JSON in an artifact, with both tables where they are there."""
        first, second = (source.value(form[name]) or form[name] for name in ("table1", "table2"))
        return cls(cast("Any", first), cast("Any", second), form["join_key"])

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, JoinedTable)
            and other._join_key == self._join_key
            and other._tables == self._tables
        )

    __hash__ = None  # pyright: ignore[reportAssignmentType] - tables can change


def _check_key(join_key: Any) -> None:
    is_pair = isinstance(join_key, list) and len(cast("list[Any]", join_key)) == 2
    if not isinstance(join_key, str) and not is_pair:
        raise ValueError(
            f"JoinedTable(join_key={join_key!r}): needs a column, or a list with one for each"
        )


def _checked(name: str, table: Any) -> Any:
    if isinstance(table, Table | PartitionedTable):
        return table
    if isinstance(table, str) and table.endswith(_TABLE_SUFFIX):
        return table
    raise ValueError(
        f"JoinedTable({name}={table!r:.60}): needs a Table, a PartitionedTable or the path of a "
        f"table in the artifact, which ends with {_TABLE_SUFFIX!r}"
    )
