"""What a run's page shows of media: pictures, players, pages, tables, histograms. All bounded.

The values are what a program logged: nothing in them is believed before it was looked at, files
are named only if the run has them, and nothing of them is executed.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trackd_server.domain import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import Connection, Row

    from trackd_server.domain.files import Files
    from trackd_server.domain.run_records import RunPath

#: What one page shows at most: keys with media, files of one key, rows and columns of a table,
#: bars of a histogram, boxes of a picture.
MAX_EXHIBITS = 60
MAX_ITEMS = 24
MAX_TABLE_ROWS = 50
MAX_TABLE_COLUMNS = 16
MAX_BARS = 64
MAX_BOXES = 50
#: What is read of one file, and of all files for one page.
MAX_FILE_BYTES = 1024 * 1024
MAX_READ_BYTES = 8 * 1024 * 1024
_MAX_TEXT = 200
_ORDER = ("pictures", "videos", "sounds", "frames", "tables", "histograms", "links")


@dataclass(frozen=True)
class Box:
    """A rectangle on a picture, in fractions of its sides."""

    left: float
    top: float
    width: float
    height: float
    text: str


@dataclass(frozen=True)
class Item:
    """One file: its address (None: it has not arrived), what stands below, boxes drawn on it."""

    name: str
    url: str | None
    caption: str = ""
    boxes: list[Box] = field(default_factory=list[Box])


@dataclass(frozen=True)
class Table:
    """The beginning of a table."""

    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Histogram:
    """Bars, in fractions of the highest, and the two ends of the axis."""

    bars: list[float]
    first: str
    last: str


@dataclass(frozen=True)
class Exhibit:
    """What is shown of one key: `kind` names the macro of the template."""

    key: str
    kind: str
    note: str = ""
    items: list[Item] = field(default_factory=list[Item])
    table: Table | None = None
    histogram: Histogram | None = None


class Shelf:
    """The files of one run, as far as a page needs them."""

    def __init__(self, store: Files, connection: Connection, path: RunPath, number: int) -> None:
        self._store = store
        self._connection = connection
        self._path = path
        self._number = number
        self._unread_bytes = MAX_READ_BYTES

    def url(self, name: str) -> str | None:
        """Return the address of a file; None if the run does not have it (yet)."""
        if self._row(name) is None:
            return None
        return f"/files/{quote(str(self._path))}/{quote(name)}"

    def json(self, name: str) -> Any:
        """Return what a small JSON file says; None for all others."""
        row = self._row(name)
        if row is None or row.bytes > min(MAX_FILE_BYTES, self._unread_bytes):
            return None
        self._unread_bytes -= row.bytes
        try:
            return json.loads(self._store.read(row))  # the one that knows NaN
        except (OSError, ValueError, RecursionError):
            return None

    def _row(self, name: str) -> Row[Any] | None:
        return files.find(self._connection, self._number, name) if name else None


def of(values: Mapping[str, Any], shelf: Shelf) -> list[Exhibit]:
    """Return what there is to show of a summary, pictures first, histograms last."""
    found: list[Exhibit] = []
    for key, value in _media(values):
        found.append(_SHOWN[value["_type"]](key, value, shelf))
        if len(found) == MAX_EXHIBITS:
            break
    return sorted(found, key=lambda exhibit: _ORDER.index(exhibit.kind))


def cell(value: Any) -> str:
    """Return a value as a short text."""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    if isinstance(value, dict) and "_type" in value:
        return _label(value)  # pyright: ignore[reportUnknownArgumentType]
    return _shortened(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _label(value: Mapping[str, Any]) -> str:
    """Return a few words for a value with `_type`, for where there is no room to show it."""
    kind = str(value["_type"]).removesuffix("-file").removesuffix("/separated")
    count, rows, columns = (value.get(name) for name in ("count", "nrows", "ncols"))
    if isinstance(count, int):
        kind = f"{count} × {kind.removesuffix('s')}"  # noqa: RUF001
    elif isinstance(rows, int) and isinstance(columns, int):
        kind = f"{kind} {rows} × {columns}"  # noqa: RUF001
    return _shortened(f"[{kind}]")


def _shortened(text: str) -> str:
    """Return a text that fits into a cell."""
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"


def _media(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for key, value in sorted(values.items()):
        if isinstance(value, dict):
            kind = _name(value.get("_type"))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
            if kind in _SHOWN:
                yield f"{prefix}{key}", value
            elif "_type" not in value:
                yield from _media(value, f"{prefix}{key}.")  # pyright: ignore[reportUnknownArgumentType]


def _files_as(kind: str, list_name: str = "") -> Callable[[str, dict[str, Any], Shelf], Exhibit]:
    """Return what shows one file, or those of a list, as `kind`."""

    def show(key: str, value: dict[str, Any], shelf: Shelf) -> Exhibit:
        forms = _list(value.get(list_name)) if list_name else [value]
        captions = _list(value.get("captions"))
        items: list[Item] = []
        for place, form in enumerate(forms[:MAX_ITEMS]):
            name = _name(_mapping(form).get("path", form))
            own = value.get("caption") if not list_name else None
            listed = captions[place] if place < len(captions) else None
            items.append(Item(name, shelf.url(name), _text(own or listed)))
        as_pictures = kind == "videos" and all(item.name.endswith(".gif") for item in items)
        return Exhibit(key, "pictures" if as_pictures else kind, _rest(forms, items), items)

    return show


def _picture(key: str, value: dict[str, Any], shelf: Shelf) -> Exhibit:
    name = _name(value.get("path"))
    masks = _mapping(value.get("masks"))
    note = f"with masks {', '.join(map(_text, masks))} (among the files)" if masks else ""
    groups = _mapping(value.get("boxes")).values()
    boxes = list(islice((box for form in groups for box in _boxes(form, value, shelf)), MAX_BOXES))
    item = Item(name, shelf.url(name), _text(value.get("caption")), boxes)
    return Exhibit(key, "pictures", note, [item])


def _boxes(form: Any, picture: dict[str, Any], shelf: Shelf) -> Iterator[Box]:
    document = _mapping(shelf.json(_name(_mapping(form).get("path"))))
    names = _mapping(document.get("class_labels"))
    width, height = (_number(picture.get(side)) or 1.0 for side in ("width", "height"))
    for entry in map(_mapping, _list(document.get("box_data"))[:MAX_BOXES]):
        corners = _corners(_mapping(entry.get("position")))
        if corners is None:
            continue
        left, top, right, bottom = corners
        across, down = (width, height) if entry.get("domain") == "pixel" else (1.0, 1.0)
        text = entry.get("box_caption") or names.get(str(entry.get("class_id")))
        yield Box(
            left / across, top / down, (right - left) / across, (bottom - top) / down, _text(text)
        )


def _corners(position: dict[str, Any]) -> tuple[float, float, float, float] | None:
    """Return left, top, right and bottom of a box that is given by its corners or its middle."""
    names = ("minX", "minY", "maxX", "maxY")
    if "middle" in position:
        x, y, *_ = [*map(_number, _list(position["middle"])), None, None]
        width, height = _number(position.get("width")), _number(position.get("height"))
        if x is None or y is None or width is None or height is None:
            return None
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    left, top, right, bottom = (_number(position.get(name)) for name in names)
    if left is None or top is None or right is None or bottom is None:
        return None
    return left, top, right, bottom


def _table(key: str, form: dict[str, Any], shelf: Shelf) -> Exhibit:
    name = _name(form.get("path"))
    item = Item(name, shelf.url(name))
    document = _mapping(shelf.json(name))
    columns, rows = _list(document.get("columns")), _list(document.get("data"))
    size = f"{_text(form.get('nrows'))} rows, {_text(form.get('ncols'))} columns"
    if not columns:
        return Exhibit(key, "links", size, [item])
    shown = [
        [cell(value) for value in _list(row)[:MAX_TABLE_COLUMNS]] for row in rows[:MAX_TABLE_ROWS]
    ]
    part = f"; the first {len(shown)} rows" if len(rows) > len(shown) else ""
    part += f", {MAX_TABLE_COLUMNS} columns" if len(columns) > MAX_TABLE_COLUMNS else ""
    table = Table([_text(column) for column in columns[:MAX_TABLE_COLUMNS]], shown)
    return Exhibit(key, "tables", size + part, [item], table=table)


def _histogram(key: str, value: dict[str, Any], shelf: Shelf) -> Exhibit:
    del shelf
    counts = [max(0.0, _number(count) or 0.0) for count in _list(value.get("values"))]
    edges = _edges(value, len(counts))
    bars = _bars(counts, edges)
    highest = max(bars, default=0.0) or 1.0
    first, last = (edges[0], edges[-1]) if edges else (None, None)
    drawn = Histogram([bar / highest for bar in bars], cell(first), cell(last))
    return Exhibit(key, "histograms", f"{sum(counts):.6g} values", histogram=drawn)


def _edges(value: dict[str, Any], count: int) -> list[float]:
    """Return the ends of the bins, one more than bins; none where they make no sense."""
    packed = _mapping(value.get("packedBins"))
    if packed:
        first, size = _number(packed.get("min")), _number(packed.get("size"))
        if first is None or size is None:
            return []
        edges = [first + size * at for at in range(count + 1)]
    else:
        edges = [edge for edge in map(_number, _list(value.get("bins"))) if edge is not None]
    rising = len(edges) == count + 1 and all(a <= b for a, b in pairwise(edges))
    return edges if rising and count and edges[0] < edges[-1] else []


def _bars(counts: list[float], edges: list[float]) -> list[float]:
    """Spread counts over bars of one width: bins may have many (TensorBoard's do)."""
    if not edges:
        return []
    bars = [0.0] * min(len(counts), MAX_BARS)
    scale = len(bars) / (edges[-1] - edges[0])
    for count, (left, right) in zip(counts, pairwise(edges), strict=True):
        start, end = (left - edges[0]) * scale, (right - edges[0]) * scale
        for bar in range(int(start), min(int(end) + 1, len(bars))):
            inside = min(end, bar + 1) - max(start, bar)
            share = inside / (end - start) if end > start else 1.0
            bars[bar] += count * max(0.0, share)
    return bars


def _rest(forms: list[Any], items: list[Item]) -> str:
    return f"the first {len(items)} of {len(forms)}" if len(forms) > len(items) else ""


def _name(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _text(value: Any) -> str:
    return "" if value is None or value is False else _shortened(str(value))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _number(value: Any) -> float | None:
    if not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


#: What shows a value of a type. Types that need a program to be drawn are offered as files.
_SHOWN: dict[str, Callable[[str, dict[str, Any], Shelf], Exhibit]] = {
    "image-file": _picture,
    "images/separated": _files_as("pictures", "filenames"),
    "video-file": _files_as("videos"),
    "videos": _files_as("videos", "videos"),
    "audio-file": _files_as("sounds"),
    "audio": _files_as("sounds", "audio"),
    "html-file": _files_as("frames"),
    "html": _files_as("frames", "html"),
    "table-file": _table,
    "incremental-table-file": _table,
    "histogram": _histogram,
    "object3D-file": _files_as("links"),
    "object3D": _files_as("links", "filenames"),
    "molecule-file": _files_as("links"),
    "molecule": _files_as("links", "filenames"),
    "plotly-file": _files_as("links"),
    "bokeh-file": _files_as("links"),
    "graph-file": _files_as("links"),
}
