"""`Table`: rows and typed columns, with media in cells."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from trackd.artifacts import Artifact, ArtifactMember
from trackd.errors import Error
from trackd.media.stored import Media
from trackd.tables import increments
from trackd.tables.arrays import store_arrays
from trackd.tables.cells import artifact_rows, run_rows
from trackd.tables.column_types import ANY, UNKNOWN
from trackd.tables.limits import limit_rows, warn
from trackd.tables.rows import ColumnKey, TableRows
from trackd.tables.sources import columns_and_rows, for_each

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

    from trackd.artifacts import Source
    from trackd.recording.recordable import RunPlace, Slot

LogMode = Literal["IMMUTABLE", "MUTABLE", "INCREMENTAL"]
LOG_MODES: tuple[LogMode, ...] = get_args(LogMode)
_NOT_INCREMENTAL = frozenset({"add_column", "add_computed_columns"})


class Table(TableRows, Media, ArtifactMember):
    """Rows and typed columns; cells hold numbers, text, times, lists, arrays and media.

    Logging a table puts the first 10,000 rows into a file of the run, and up to 200,000 rows with
    their media into an artifact.

    Args:
        columns: names of the columns; default: `Input`, `Output`, `Expected`.
        data: list of rows, 2-D array of numpy, or DataFrame of pandas.
        rows: list of rows; used without `data`.
        dataframe: DataFrame of pandas; goes before `columns` and `data`.
        dtype: type of the values: a class such as `int`, `str` or `trackd.Image`, or a list with
            one for each column; default: the first values decide.
        optional: whether None is allowed, for all columns or a list with one for each.
        allow_mixed_types: values of a column need not have one type.
        log_mode: `IMMUTABLE`: logged once. `MUTABLE`: logged again as a whole after a change.
            `INCREMENTAL`: each log adds the new rows.

    Raises:
        AssertionError: columns, data or `log_mode` are not of the form above.
        ValueError: a row has another number of values than there are columns.
        TypeError: a value does not fit its column.
    """

    #: Most rows in the file of the run, and in the artifact.
    MAX_ROWS: ClassVar[int] = 10_000
    MAX_ARTIFACT_ROWS: ClassVar[int] = 200_000

    log_type = "table-file"
    folder = "media/table"
    artifact_suffix = "table"

    def __init__(  # noqa: PLR0913 - the signature of the reference
        self,
        columns: Sequence[ColumnKey] | None = None,
        data: Any = None,
        rows: Sequence[Iterable[Any]] | None = None,
        dataframe: Any = None,
        dtype: Any = None,
        optional: bool | list[bool] = True,
        allow_mixed_types: bool = False,
        log_mode: LogMode | None = "IMMUTABLE",
    ) -> None:
        if log_mode not in LOG_MODES:
            raise AssertionError(f"Table(log_mode={log_mode!r}): use one of {LOG_MODES}")
        names, given = columns_and_rows(columns, data, rows, dataframe)
        TableRows.__init__(self, names)
        Media.__init__(self)
        self.log_mode: LogMode = log_mode
        self._increments = increments.Increments() if log_mode == "INCREMENTAL" else None
        #: The run that is recording the table at this moment.
        self._place: RunPlace | None = None
        dtype = ANY if allow_mixed_types else UNKNOWN if dtype is None else dtype
        wishes = zip(names, for_each(dtype, names), for_each(optional, names), strict=False)
        for name, wish, may_lack in wishes:
            self.cast(name, wish, optional=may_lack)
        for row in given:
            self.add_data(*row)

    # --- log modes ---------------------------------------------------------------------------

    def has_been_logged(self) -> bool:
        """Return whether a run or an artifact holds the table as it is."""
        return self._bound is not None or self.artifact_target is not None

    def _before_change(self, method: str) -> None:
        if self._increments is not None and method in _NOT_INCREMENTAL:
            raise Error(
                f"Table.{method}: rows can only be added to a table with "
                "log_mode='INCREMENTAL': use 'MUTABLE'"
            )
        if not self.has_been_logged():
            return
        if self.log_mode == "MUTABLE":
            self._forget_record()
        elif self.log_mode == "IMMUTABLE":
            warn(
                "a Table with log_mode='IMMUTABLE' is changed after it was logged: further log() "
                "calls will not show that; make it with log_mode='MUTABLE'"
            )

    def _after_append(self) -> None:
        if self._increments is None or self.artifact_target is None:
            return
        if self._increments.begin_next(self.artifact_uri()):
            warn(
                f"a table has more than {increments.MAX_SHOWN_INCREMENTS} increments: only the "
                f"latest {increments.MAX_SHOWN_INCREMENTS} are shown in the workspace of the run"
            )
        self._forget_record()

    def _forget_record(self) -> None:
        """Let the next log write the table anew."""
        self._bound = self.artifact_target = None

    # --- in a run ----------------------------------------------------------------------------

    def to_history(self, place: RunPlace, slot: Slot) -> dict[str, Any]:
        """Record the table, unless the run holds it already; return what refers to it.

        Raises:
            AssertionError: an incremental table was logged to another run.
            TypeError: a cell holds what cannot be recorded.
            ValueError: there are too many rows, and settings make that an error.
        """
        with self._lock:
            if not self.is_bound_to(place):
                if self._bound is not None and self._increments is None:
                    self._forget_record()
                self._record(place, slot)
            form = self.run_form(place)
            if self._increments is not None:
                self._increments.next_row = len(self.data)
            return form

    def _record(self, place: RunPlace, slot: Slot) -> None:
        """Record the table as an artifact and as a file."""
        artifact, entry_name = self._new_artifact(place, slot)
        before = self._bound, self.artifact_target
        self._place = place
        try:
            rows = {"columns": self.columns, "data": run_rows(self._unlogged(Table.MAX_ROWS))}
            self.hold(_encoded(rows), ".table.json")
            artifact.add(self, entry_name)
            self.bind_file(place, slot)
            place.record_artifact(artifact.to_record(place.files_dir.parent))
            artifact.remove_staged()
        except BaseException:
            self._bound, self.artifact_target = before
            raise
        finally:
            self._place = None

    def _new_artifact(self, place: RunPlace, slot: Slot) -> tuple[Artifact, str]:
        """Return an empty artifact for the table, and the name of its entry."""
        prefix = f"run-{place.run_id}-"
        if self._increments is None:
            return Artifact.for_own_use(prefix + slot.key, "run_table"), slot.key
        self._increments.claim(place, slot.key)
        name, kind = f"{prefix}incr-{slot.key}", increments.ARTIFACT_TYPE
        artifact = Artifact.for_own_use(name, kind, incremental=True)
        return artifact, self._increments.entry_name(slot.key)

    def run_form(self, place: RunPlace) -> dict[str, Any]:
        """Return what stands for the table in a row."""
        form = super().run_form(place)
        form |= {"ncols": len(self.columns), "nrows": len(self.data), "log_mode": self.log_mode}
        if self._increments is not None:
            form |= {"_type": increments.HISTORY_TYPE, **self._increments.fields()}
        return form

    # --- in an artifact ----------------------------------------------------------------------

    def to_artifact(self, artifact: Artifact) -> dict[str, Any]:
        """Add the media of the cells to an artifact; return the JSON of the table."""
        limit_rows(len(self.data), Table.MAX_ARTIFACT_ROWS, self._place)
        left_out = store_arrays(self, self._schema, artifact)
        rows = artifact_rows(self._unlogged(Table.MAX_ARTIFACT_ROWS), artifact, left_out)
        form: dict[str, Any] = {
            "_type": self.artifact_suffix,
            "columns": self.columns,
            "data": rows,
            "ncols": len(self.columns),
            "nrows": len(rows),
            "column_types": self._schema.as_type().to_json(artifact),
            "log_mode": self.log_mode,
        }
        return form if self._increments is None else form | self._increments.fields()

    @classmethod
    def from_artifact(cls, form: dict[str, Any], source: Source) -> Self:
        """Return a table from its JSON in an artifact; see `ArtifactMember`."""
        from trackd.tables import reading  # only where tables are read back

        columns, by_column, rows = reading.content_of(form, source)
        log_mode = form.get("log_mode", "IMMUTABLE")
        if not by_column:
            return cls(columns, rows, log_mode=log_mode)
        made = cls(columns, log_mode=log_mode)
        made.data.extend(rows)
        for column, type_ in by_column.items():
            made._set_type(column, type_)
        return made

    def _unlogged(self, limit: int) -> list[list[Any]]:
        """Return the rows to write next."""
        first = 0 if self._increments is None else self._increments.next_row
        return self.data[first : first + limit]

    # --- copies ------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process is to know: not the artifact, whose files are here."""
        return {**super().__getstate__(), "artifact_target": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = object.__new__(type(self))
        memo[id(self)] = made
        made.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        made.artifact_target = self.artifact_target
        return made


def _encoded(rows: dict[str, Any]) -> bytes:
    """Return the content of the run's file."""
    try:
        return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half of a pair of surrogates, which UTF-8 cannot hold
        return json.dumps(rows, separators=(",", ":")).encode()
