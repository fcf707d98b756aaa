"""The rows that a run logged, sampled or all of them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from trackd.api.errors import NotThereError, refusing
from trackd.api.operations import runs as operations
from trackd.api.run_facts import RunFacts
from trackd.remote.answers import part

if TYPE_CHECKING:
    from typing import Self

Row = dict[str, Any]
#: Stands for a value that a row does not have.
_MISSING = object()


class HistoryScan(Iterator[Row]):
    """All rows of a run, fetched page by page; only one page is held.

    Args:
        run: the run.
        min_step: first step.
        max_step: the step after the last one.
        keys: only rows that have all of these, with `_step` and nothing else; None: all.
        page_size: steps in a page.
    """

    def __init__(
        self,
        run: RunHistory,
        min_step: int,
        max_step: int,
        keys: list[str] | None = None,
        page_size: int = 1_000,
    ) -> None:
        if page_size < 1:
            raise ValueError(f"page_size={page_size} is not possible: a page has 1 step or more")
        self.run = run
        self.min_step = min_step
        self.max_step = max_step - 1
        self.keys = keys
        self.page_size = page_size
        self._next_step = min_step
        self._rows: Iterator[Row] = iter(())

    def __iter__(self) -> Self:
        self._next_step = self.min_step
        self._rows = iter(())
        return self

    def __next__(self) -> Row:
        while True:
            for row in self._rows:
                return row
            if self._next_step > self.max_step:
                raise StopIteration
            end = min(self._next_step + self.page_size, self.max_step + 1)
            self._rows = iter(self.run.history_page(self._next_step, end, self.keys))
            self._next_step = end


class RunHistory(RunFacts):
    """What a run logged."""

    @refusing
    def history(
        self,
        samples: int = 500,
        keys: list[str] | None = None,
        x_axis: str = "_step",
        pandas: bool = True,
        stream: Literal["default", "system"] = "default",
    ) -> Any:
        """Return a sample of the rows: a data frame of pandas, or a list of dictionaries.

        Args:
            samples: how many rows at most.
            keys: only rows that have all of these.
            x_axis: with `keys`: the column that comes with them.
            pandas: a data frame, where pandas is installed.
            stream: `default` for what was logged, `system` for system metrics.

        Raises:
            RefusedError: `keys` are no list of texts, or are given for system metrics.
        """
        _check_keys(keys)
        if keys and stream != "default":
            raise ValueError(f"history(): keys={keys!r} cannot be chosen of stream={stream!r}")
        rows = self._sampled([x_axis, *keys], samples) if keys else self._whole(samples, stream)
        if not pandas:
            return rows
        try:
            frames = importlib.import_module("pandas")
        except ImportError:
            return rows
        return frames.DataFrame.from_records(rows)

    @refusing
    def scan_history(
        self,
        keys: list[str] | None = None,
        page_size: int = 1_000,
        min_step: int = 0,
        max_step: int | None = None,
        use_cache: bool = True,
    ) -> HistoryScan:
        """Return all rows.

        Args:
            keys: only rows that have all of these; None: all.
            page_size: steps that are fetched at once.
            min_step: first step.
            max_step: the step after the last one; None: no end.
            use_cache: accepted and ignored: rows are fetched each time.

        Raises:
            RefusedError: `keys` are no list of texts, or a page is empty.
        """
        del use_cache
        _check_keys(keys)
        end = self.lastHistoryStep + 1
        stop = end if max_step is None else min(max_step, end)
        return HistoryScan(self, min_step, stop, keys, page_size)

    beta_scan_history = scan_history  # its older name

    @property
    def lastHistoryStep(self) -> int:
        """Last step that was logged; -1: none was."""
        found = part(self._execute(operations.HISTORY_KEYS), "project", "run", "historyKeys")
        return -1 if found is None else int(found.get("lastStep", -1))

    def history_page(self, min_step: int, max_step: int, keys: list[str] | None) -> list[Row]:
        """Return the rows of some steps.

        Raises:
            NotThereError: the run does not exist any more.
        """
        variables = {
            "entity": self.entity,
            "project": self.project,
            "run": self.id,
            "minStep": min_step,
            "maxStep": max_step,
            "pageSize": max_step - min_step,
        }
        answer = self._remote.execute(operations.HISTORY_PAGE, variables)
        rows: list[Row] = [json.loads(line) for line in self._of_run(answer, "history")]
        if not keys:
            return rows
        chosen = ({key: _inside(row, key) for key in ("_step", *keys)} for row in rows)
        return [row for row in chosen if _MISSING not in row.values()]

    def _sampled(self, keys: list[str], samples: int) -> list[Row]:
        spec = json.dumps({"keys": keys, "samples": samples})
        answer = self._execute(operations.SAMPLED_HISTORY, specs=[spec])
        return self._of_run(answer, "sampledHistory")[0]

    def _whole(self, samples: int, stream: str) -> list[Row]:
        is_default = stream == "default"
        chosen, name = (operations.HISTORY if is_default else operations.EVENTS), "history"
        answer = self._execute(chosen, samples=samples)
        return [json.loads(line) for line in self._of_run(answer, name if is_default else "events")]

    def _of_run(self, answer: Row, name: str) -> Any:
        found = part(answer, "project", "run")
        if found is None:
            raise NotThereError(f"there is no run {'/'.join(self.path)}")
        return found[name] or []


def _inside(row: Row, key: str) -> Any:
    """Return a value of a row by its key, which may be a path such as `eval.loss`."""
    if key in row:
        return row[key]
    value: Any = row
    for name in key.split("."):
        if not isinstance(value, dict) or name not in value:
            return _MISSING
        value = value[name]  # pyright: ignore[reportUnknownVariableType]
    return value  # pyright: ignore[reportUnknownVariableType]


def framed(rows: list[Row], library: str) -> Any:
    """Return rows as a data frame of `pandas` or `polars`, its columns by name.

    Raises:
        ImportError: the library is not installed.
    """
    columns = sorted({name for row in rows for name in row})
    frames = importlib.import_module(library)
    if library == "pandas":
        return frames.DataFrame.from_records(rows, columns=columns)
    return frames.DataFrame(rows, infer_schema_length=None).select(columns)


def _check_keys(keys: object) -> None:
    if keys is None:
        return
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):  # pyright: ignore[reportUnknownVariableType]
        raise ValueError(f"keys={keys!r}: give a list of texts")
