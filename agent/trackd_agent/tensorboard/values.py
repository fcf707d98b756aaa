"""What the values of events become in a history row, as the reference records them.

Numbers stay numbers, histograms have at most 512 bins, images and curves become files of the
run. Texts and hyperparameters, which the reference leaves out, are recorded as well. Tensors of
other plugins and audio are left out.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trackd_agent.tensorboard import wire
from trackd_agent.tensorboard.events import Picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackd_agent.tensorboard.events import Buckets, Event, Value
    from trackd_agent.tensorboard.tensors import Tensor

MAX_BINS = 512
_HASH_CHARACTERS = 20
#: Of a key in a file name; with what follows no file system finds it too long.
_MAX_NAME_BYTES = 120
_IMAGE_TYPES = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"BM": "bmp", b"RIFF": "webp"}
_HPARAMS = "_hparams_/session_start_info"


@dataclass
class Outcome:
    """What the events of one step become."""

    row: dict[str, Any] = field(default_factory=dict[str, Any])
    #: Content of files by path in the run's files folder.
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    config: dict[str, Any] = field(default_factory=dict[str, Any])


class Converter:
    """Converts events; knows the plugins of tags, which only the first event of a tag names.

    Args:
        namespace: put before each tag.
    """

    def __init__(self, namespace: str) -> None:
        self._prefix = f"{namespace}/" if namespace else ""
        self._plugins: dict[str, str] = {}

    def convert(self, events: list[Event]) -> Outcome:
        """Convert events of one step."""
        made = Outcome()
        for event in events:
            for value in event.values:
                with suppress(ValueError):  # what a plugin wrote is not what it should be
                    self._take(value, event.step, made)
        if made.row:
            made.row["global_step"] = events[-1].step
        return made

    def _take(self, value: Value, step: int, made: Outcome) -> None:
        plugin = value.plugin or self._plugins.get(value.tag, "")
        self._plugins[value.tag] = plugin
        key = self._prefix + value.tag
        if value.tag == _HPARAMS:
            made.config.update(hyperparameters(value.content))
        elif value.number is not None:
            made.row[key] = value.number
        elif value.buckets is not None:
            _put(made.row, key, histogram(value.buckets))
        elif value.picture is not None:
            _put(made.row, key, _images([value.picture], key, step, made))
        elif value.tensor is not None:
            _put(made.row, key, _tensor_value(value.tensor, plugin, key, step, made))


def _put(row: dict[str, Any], key: str, value: Any) -> None:
    if value is not None:
        row[key] = value


def _tensor_value(tensor: Tensor, plugin: str, key: str, step: int, made: Outcome) -> Any:
    if plugin in ("", "scalars"):
        return tensor.numbers[0] if len(tensor.numbers) == 1 else None
    if plugin == "histograms":
        return _histogram_rows(tensor)
    if plugin == "images":
        return _images(_pictures(tensor), key, step, made)
    if plugin == "pr_curves":
        return _curve(tensor, key, step, made)
    if plugin == "text":
        return "\n".join(text.decode("utf-8", "replace") for text in tensor.texts) or None
    return None


# --- histograms ------------------------------------------------------------------------------


def histogram(buckets: Buckets) -> dict[str, Any] | None:
    """Return a histogram whose buckets are given by their right edges."""
    edges, counts = buckets.limits, buckets.counts
    if len(edges) != len(counts) or len(edges) < 2:
        return None
    if counts[0]:  # what lies left of the first edge: the bucket begins at the smallest value
        edges = [min(buckets.low, edges[0]), *edges]
    else:
        counts = counts[1:]
    return histogram_form(edges, counts)


def _histogram_rows(tensor: Tensor) -> dict[str, Any] | None:
    """Return a histogram given as rows of left edge, right edge and count."""
    if len(tensor.shape) != 2 or tensor.shape[1] != 3 or len(tensor.numbers) < 3:
        return None
    lefts, rights, counts = (tensor.numbers[at::3] for at in range(3))
    return histogram_form([lefts[0], *rights], counts)


def histogram_form(edges: list[float], counts: list[float]) -> dict[str, Any]:
    """Return what stands for a histogram in a row; bins are merged where there are too many."""
    if len(counts) > MAX_BINS:
        edges, counts = _resampled(edges, counts)
    return {"_type": "histogram", "values": counts, "bins": edges}


def _resampled(edges: list[float], counts: list[float]) -> tuple[list[float], list[float]]:
    """Spread bins over `MAX_BINS`, each as many old bins wide as any other."""
    ratio = len(counts) / MAX_BINS
    bounds = [at * ratio for at in range(MAX_BINS)] + [float(len(counts))]
    new_edges = [_between(edges, bound) for bound in bounds[:-1]] + edges[-1:]
    return new_edges, [_within(counts, *pair) for pair in itertools.pairwise(bounds)]


def _within(counts: list[float], low: float, high: float) -> float:
    """Return what lies between two positions, a part of a bin counting in proportion."""
    bins = range(int(low), math.ceil(high))
    return sum(counts[at] * (min(high, at + 1) - max(low, at)) for at in bins)


def _between(values: list[float], position: float) -> float:
    at = int(position)
    return values[at] + (values[at + 1] - values[at]) * (position - at)


# --- files -----------------------------------------------------------------------------------


def _pictures(tensor: Tensor) -> list[Picture]:
    """Return the images of a tensor: width, height, then one text for each."""
    if len(tensor.texts) < 3:
        return []
    try:
        width, height = int(tensor.texts[0]), int(tensor.texts[1])
    except ValueError:
        return []
    return [Picture(width, height, data) for data in tensor.texts[2:]]


def _images(pictures: list[Picture], key: str, step: int, made: Outcome) -> Any:
    if not pictures:
        return None
    first = pictures[0]
    if first.data.startswith(b"GIF"):
        return _video(first, key, step, made)
    kinds = (kind for magic, kind in _IMAGE_TYPES.items() if first.data.startswith(magic))
    extension = next(kinds, "png")
    paths = [_add_file(made, "images", key, step, each.data, extension) for each in pictures]
    return {
        "_type": "images/separated",
        "width": first.width,
        "height": first.height,
        "format": extension,
        "count": len(pictures),
        "filenames": paths,
    }


def _video(picture: Picture, key: str, step: int, made: Outcome) -> dict[str, Any]:
    path = _add_file(made, "videos", key, step, picture.data, "gif")
    size = {"width": picture.width, "height": picture.height}
    return {"_type": "video-file", **_file_facts(path, picture.data), **size}


def _curve(tensor: Tensor, key: str, step: int, made: Outcome) -> Any:
    """Return the table of a precision-recall curve; its last two rows are precision and recall."""
    if len(tensor.shape) != 2 or tensor.shape[0] < 2:
        return None
    width = tensor.shape[1]
    precision, recall = tensor.numbers[-2 * width : -width], tensor.numbers[-width:]
    rows = list(zip(recall, precision, strict=False))
    data = json.dumps({"columns": ["recall", "precision"], "data": rows}).encode()
    path = _add_file(made, "table", key, step, data, "table.json")
    return {
        "_type": "table-file",
        **_file_facts(path, data),
        "ncols": 2,
        "nrows": len(rows),
    }


def _add_file(made: Outcome, folder: str, key: str, step: int, data: bytes, extension: str) -> str:
    """Note a file and return its path: made of key, step and content, so that it comes once."""
    digest = hashlib.sha256(data).hexdigest()[:_HASH_CHARACTERS]
    name = re.sub(r"[^\w.-]+", "_", key).lstrip(".").encode()
    name = name[:_MAX_NAME_BYTES].decode(errors="ignore")
    path = f"media/{folder}/{name}_{step}_{digest}.{extension}"
    made.files[path] = data
    return path


def _file_facts(path: str, data: bytes) -> dict[str, Any]:
    return {"path": path, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


# --- hyperparameters -------------------------------------------------------------------------


def hyperparameters(content: bytes) -> dict[str, Any]:
    """Return the values that a session of the hparams plugin began with.

    Raises:
        ValueError: the bytes are not what that plugin writes.
    """
    found: dict[str, Any] = {}
    for number, session in wire.fields(content):
        if number == 3:
            for key, entry in wire.fields(wire.as_bytes(session)):
                if key == 1:
                    found.update(_pair(wire.as_bytes(entry)))
    return found


def _pair(entry: bytes) -> Iterator[tuple[str, Any]]:
    name: str | None = None
    value: Any = None
    for number, part in wire.fields(entry):
        if number == 1:
            name = wire.as_text(part)
        elif number == 2:
            value = _json_value(wire.as_bytes(part))
    if name is not None:
        yield name, value


def _json_value(data: bytes) -> Any:
    """Return a `google.protobuf.Value`: a number, a text or a truth value."""
    for number, value in wire.fields(data):
        if number == 2:
            double = wire.as_double(value)
            return int(double) if double.is_integer() and abs(double) < 2**53 else double
        if number == 3:
            return wire.as_text(value)
        if number == 4:
            return bool(value)
    return None
