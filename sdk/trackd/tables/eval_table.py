"""`EvalTable`: a table whose columns are inputs, outputs and scores of an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from trackd.errors import UsageError
from trackd.media.stored import Media
from trackd.recording.recordable import Recordable
from trackd.tables.column_types import is_array
from trackd.tables.limits import warn
from trackd.tables.table import LogMode, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trackd.artifacts import Artifact
    from trackd.recording.recordable import RunPlace, Slot
    from trackd.tables.rows import ColumnKey

Backend = Literal["weave", "ces"]
UnsupportedMediaMode = Literal["stub", "raise"]
_SUPPORTED_MEDIA = ("image-file", "audio-file", "video-file")


class EvalTable(Table):
    """A table of an evaluation, logged once.

    Recorded as a table, with the roles of its columns beside it; no further service is needed.

    Args:
        columns: names of the columns; default: those with a role, else as for `Table`.
        data: see `Table`.
        rows: see `Table`.
        dataframe: see `Table`.
        dtype: see `Table`.
        optional: see `Table`.
        allow_mixed_types: see `Table`.
        log_mode: `IMMUTABLE`.
        input_columns: what was evaluated; rows with equal inputs are compared. Default: rows are
            compared by number.
        output_columns: what came out; all columns without another role are, too.
        score_columns: how good the outputs are.
        backend: `weave` or `ces`; accepted, tables are recorded in the run either way.
        unsupported_media_mode: `raise` refuses media other than images, audio and video, as a
            Weave backend would; `stub` takes all.

    Raises:
        UsageError: another `log_mode` or `backend`.
        ValueError: another `unsupported_media_mode`; see `Table`.
        TypeError: a cell holds a table, or refused media; see `Table`.
    """

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
        *,
        input_columns: Sequence[str] | None = None,
        output_columns: Sequence[str] | None = None,
        score_columns: Sequence[str] | None = None,
        backend: Backend | None = None,
        unsupported_media_mode: UnsupportedMediaMode = "stub",
    ) -> None:
        if log_mode != "IMMUTABLE":
            raise UsageError(f"EvalTable(log_mode={log_mode!r}): only 'IMMUTABLE' is there")
        if unsupported_media_mode not in get_args(UnsupportedMediaMode):
            raise ValueError(
                f"EvalTable(unsupported_media_mode={unsupported_media_mode!r}): use one of "
                f"{get_args(UnsupportedMediaMode)}"
            )
        if backend not in (None, *get_args(Backend)):
            raise UsageError(f"EvalTable(backend={backend!r}): use one of {get_args(Backend)}")
        if backend == "ces" and allow_mixed_types:
            raise UsageError("EvalTable(backend='ces'): needs allow_mixed_types=False")
        self._refuses_media = unsupported_media_mode == "raise"
        self._roles = {
            "input": list(input_columns or ()),
            "output": list(output_columns or ()),
            "score": list(score_columns or ()),
        }
        named: list[ColumnKey] = [name for names in self._roles.values() for name in names]
        if columns is None and dataframe is None and named:
            columns = named
        super().__init__(
            columns, data, rows, dataframe, dtype, optional, allow_mixed_types, log_mode
        )

    def add_data(self, *data: Any) -> None:
        """Add a row; see `Table.add_data`."""
        if len(data) == len(self.columns):
            for column, value in zip(self.columns, data, strict=True):
                self._check_cell(column, value)
        super().add_data(*data)

    def add_column(self, name: str, data: Sequence[Any], optional: bool = False) -> None:
        """Add a column; see `Table.add_column`."""
        if isinstance(data, list) or is_array(data):
            for value in data:
                self._check_cell(name, value)
        super().add_column(name, data, optional)

    def to_history(self, place: RunPlace, slot: Slot) -> dict[str, Any]:
        """Record the table, unless the run holds it already; return what refers to it.

        Raises:
            ValueError: a role is given to a column that is not there, or two columns have the
                same name as text; see `Table.to_history`.
            TypeError: see `Table.to_history`.
        """
        roles = self._all_roles(place)
        return {**super().to_history(place, slot), "eval_columns": roles}

    def _all_roles(self, place: RunPlace) -> dict[str, list[str]]:
        names = [str(column) for column in self.columns]
        if len(set(names)) < len(names):
            raise ValueError(f"EvalTable: {names} has a name twice: rename one of the columns")
        assigned = [name for role in self._roles.values() for name in role]
        if unknown := sorted(set(assigned) - set(names)):
            raise ValueError(f"EvalTable: columns {unknown} have a role but are not in {names}")
        for name in sorted({name for name in assigned if assigned.count(name) > 1}):
            warn(f"EvalTable: column {name!r} has more than one role, and counts for each", place)
        others = [name for name in names if name not in assigned]
        return {**self._roles, "output": [*self._roles["output"], *others]}

    def to_artifact(self, artifact: Artifact) -> dict[str, Any]:
        """Return the JSON of the table; only artifacts that the recorder makes take it.

        Raises:
            TypeError: the artifact is one of the user.
        """
        if artifact.type != "run_table":
            raise TypeError(
                "Artifact.add: an EvalTable is logged with run.log(): make a Table of it for an "
                "artifact"
            )
        return super().to_artifact(artifact)

    def _check_cell(self, column: ColumnKey, value: Any) -> None:
        if isinstance(value, Table):
            raise TypeError(
                f"EvalTable: column {column!r} holds a {type(value).__name__}: tables cannot be "
                "cells here"
            )
        if not self._refuses_media or not isinstance(value, Recordable):
            return
        if not isinstance(value, Media) or value.log_type not in _SUPPORTED_MEDIA:
            raise TypeError(
                f"EvalTable: column {column!r} holds a {type(value).__name__}: only Image, Audio "
                "and Video are taken with unsupported_media_mode='raise'; use 'stub'"
            )
