"""Bounding boxes of an image: one JSON file for each set of them."""

from __future__ import annotations

import json
from numbers import Number
from typing import TYPE_CHECKING, Any, cast

from trackd.media.classes import ClassId, check_labels
from trackd.media.stored import Media

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd.artifacts.artifact import Artifact
    from trackd.recording.recordable import RunPlace, Slot

_CORNERS = ("minX", "maxX", "minY", "maxY")
#: Between the key of an image and that of its boxes or masks, in the configuration.
DELIMITER = "_wandb_delimeter_"


class BoundingBoxes2D(Media):
    """Boxes over an image.

    Args:
        val: `box_data`: a list of boxes, each with `position` (`minX, maxX, minY, maxY`, or
            `middle, width, height`; fractions of the image, or pixels with
            `"domain": "pixel"`), and optionally `class_id` (int), `scores` (number by name) and
            `box_caption`; `class_labels`: name by class id, optional.
        key: name of this set of boxes, such as `predictions`.

    Raises:
        KeyError: `box_data` is missing.
        TypeError: a box or a label is not of that form.
    """

    log_type = "boxes2D"
    artifact_suffix = "bounding-boxes"
    folder = "media/metadata/boxes2D"

    def __init__(self, val: Mapping[str, Any], key: str) -> None:
        super().__init__()
        if "box_data" not in val:
            raise KeyError(f"boxes {key!r} need box_data: a list of boxes")
        boxes = _check_boxes(val["box_data"], key)
        #: Name by class id.
        self.class_labels = (
            check_labels(val["class_labels"], f"boxes {key!r}")
            if "class_labels" in val
            else _labels_of(boxes)
        )
        self._key = key
        # Byte for byte as the reference writes it: names of files hold the hash.
        text = json.dumps(val, default=_plain, separators=(",", ":"), ensure_ascii=False)
        #: The boxes as plain values.
        self.boxes: list[dict[str, Any]] = json.loads(text)["box_data"]
        self.hold(text.encode("utf-8", "replace"), f".{self.log_type}.json")

    def to_artifact(self, artifact: Artifact) -> Any:
        """Return the boxes: they have no file of their own in an artifact."""
        del artifact
        return self.boxes

    def bind_file(self, place: RunPlace, slot: Slot) -> None:
        """Put the file into the run, and the labels into its configuration."""
        super().bind_file(place, slot)
        set_labels(place, "bounding_box/class_labels", slot.key, self._key, self.class_labels)


def set_labels(
    place: RunPlace, kind: str, image_key: str, own_key: str, labels: Mapping[ClassId, str]
) -> None:
    """Keep class labels in the configuration: rows do not repeat them."""
    key = f"{image_key}{DELIMITER}{own_key}"
    texts = {str(id_): name for id_, name in labels.items()}
    place.set_config(["_wandb", kind, key], {"type": kind, "key": key, "value": texts})


def _labels_of(boxes: list[dict[str, Any]]) -> dict[ClassId, str]:
    """Return names for the classes that occur.

    Raises:
        KeyError: a box has no class.
    """
    return {id_: f"class_{id_}" for id_ in sorted({int(box["class_id"]) for box in boxes})}


def _check_boxes(boxes: object, key: str) -> list[dict[str, Any]]:
    if not isinstance(boxes, list):
        raise TypeError(f"boxes {key!r}: box_data must be a list, not {boxes!r}")
    for box in cast("list[Any]", boxes):
        _check_box(box, f"boxes {key!r}: the box {box!r}")
    return cast("list[dict[str, Any]]", boxes)


def _check_box(box: Any, what: str) -> None:
    if "position" not in box or not _is_position(box["position"]):
        raise TypeError(
            f"{what} needs a position with middle ([x, y]), width and height, or with "
            "minX, maxX, minY and maxY"
        )
    scores = box.get("scores", {})
    if not isinstance(scores, dict):
        raise TypeError(f"{what}: scores must map names to numbers")
    for name, score in cast("dict[Any, Any]", scores).items():
        if not isinstance(name, str) or not isinstance(score, Number):
            raise TypeError(f"{what}: the score {name!r}: {score!r} must be a text and a number")
    if not isinstance(box.get("class_id", 0), int):
        raise TypeError(f"{what}: class_id must be an int: write int({box['class_id']!r})")
    if not isinstance(box.get("box_caption", ""), str):
        raise TypeError(f"{what}: box_caption must be text")


def _is_position(position: Any) -> bool:
    def has(*names: str) -> bool:
        return all(isinstance(position.get(name), Number) for name in names)

    if "middle" in position and len(position["middle"]) == 2:
        return has("width", "height") or has(*_CORNERS)
    return has(*_CORNERS)


def _plain(value: Any) -> Any:
    """Return what JSON knows for a number or array of another library."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a box holds a value of type {type(value).__name__}: convert it to a number")
