"""Tables for people: as wide as the screen on a terminal, and as `COLUMNS` says in a pipe."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

    from trackd_agent.daemon.node_tables import Section

#: Wide enough for every table: what reads a pipe must not find words cut.
_PIPE_WIDTH = 10_000
_GAP = 2


@dataclass(frozen=True)
class Column:
    """A column; those with the highest `spare` go first where the screen is narrow, 0 never."""

    heading: str
    spare: int = 0
    is_number: bool = False


def console(pipe_width: int = _PIPE_WIDTH) -> Console:
    """Return a console for standard output; in a pipe so many columns wide, or as `COLUMNS` says.

    Args:
        pipe_width: for a table whose least important columns are more than a reader needs.
    """
    # Not rich's own way: it takes COLUMNS=0, which shells without a screen set, at its word.
    width = shutil.get_terminal_size((pipe_width, 0)).columns
    return Console(highlight=False, soft_wrap=True, width=width)


def show(where: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, without its least important columns where the screen is too narrow."""
    kept = fitting(columns, rows, where.width)
    lines = [[column.heading for column in columns], *rows]
    widths = _widths(columns, rows)
    for number, line in enumerate(lines):
        cells = [
            _padded(line[index], widths[index], at_right=columns[index].is_number) for index in kept
        ]
        style = "bold" if number == 0 else ""
        where.print(Text((" " * _GAP).join(cells).rstrip(), style, no_wrap=True), soft_wrap=True)


def _padded(text: str, width: int, *, at_right: bool) -> str:
    room = " " * (width - cell_len(text))
    return room + text if at_right else text + room


def drawn(lines: Sequence[str], sections: Iterable[Section]) -> Group:
    """Return lines and tables as one picture; each table as wide as the screen at most."""
    parts: list[RenderableType] = [Text(line, no_wrap=True, overflow="ellipsis") for line in lines]
    for section in sections:
        parts.append(Text())
        if not section.rows:
            parts.append(Text(f"no {section.title}", style="dim"))
            continue
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        for heading in section.headings:
            side = "right" if heading.startswith(">") else "left"
            table.add_column(Text(heading.lstrip(">")), justify=side, overflow="ellipsis")
        for row in section.rows:
            table.add_row(*map(Text, row))
        parts.append(table)
    return Group(*parts)


def fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return which columns fit, in order."""
    widths = _widths(columns, rows)
    kept = list(range(len(columns)))
    while sum(widths[index] + _GAP for index in kept) - _GAP > width:
        index = max(kept, key=lambda each: columns[each].spare)
        if not columns[index].spare:
            break
        kept.remove(index)
    return kept


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    return [
        max(cell_len(text) for text in (column.heading, *(row[index] for row in rows)))
        for index, column in enumerate(columns)
    ]
