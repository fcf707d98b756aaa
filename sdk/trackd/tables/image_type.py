"""Types of columns with images: which boxes, masks and classes occur in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from trackd.tables.column_types import INVALID, ColumnType, ConstType, UnionType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trackd.artifacts import Artifact
    from trackd.media.classes import Classes
    from trackd.media.image import Image

_Ids = dict[str, set[Any]]
_Names = dict[str, str]


class Layers(NamedTuple):
    """What lies over the images of a column, by name of the boxes or mask."""

    #: Ids of the classes.
    boxes: _Ids
    scores: set[str]
    masks: _Ids
    #: Names of the classes by id.
    box_names: dict[str, _Names]
    mask_names: dict[str, _Names]
    #: Names of all classes by id.
    names: _Names


class ImageType(ColumnType):
    """Images.

    Args:
        layers: what lies over them.
    """

    name = "image-file"

    def __init__(self, layers: Layers | None = None) -> None:
        self.layers = layers or Layers({}, set(), {}, {}, {}, {})

    @classmethod
    def of(cls, image: Image) -> ImageType:
        """Return the type of one image."""
        boxes = {str(key): box.class_labels for key, box in image.boxes.items()}
        masks = {str(key): mask.class_labels for key, mask in image.masks.items()}
        layers = Layers(
            boxes={key: set(labels) for key, labels in boxes.items()},
            scores={
                name
                for box in image.boxes.values()
                for one in box.boxes
                for name in one.get("scores", {})
            },
            masks={key: set(labels or ()) for key, labels in masks.items()},
            box_names={key: _texts(labels) for key, labels in boxes.items()},
            mask_names={key: _texts(labels) for key, labels in masks.items() if labels is not None},
            names=_texts(image.classes.labels) if image.classes is not None else {},
        )
        return cls(layers)

    def params(self) -> dict[str, Any]:
        """Return what lies over the images."""
        layers = self.layers
        return {
            "box_layers": ConstType(layers.boxes),
            "box_score_keys": ConstType(layers.scores),
            "mask_layers": ConstType(layers.masks),
            "box_class_maps": ConstType(layers.box_names),
            "mask_class_maps": ConstType(layers.mask_names),
            "class_map": ConstType(layers.names),
        }

    def take_type(self, other: ColumnType) -> ColumnType:
        """Take other images; their boxes, masks and classes are added."""
        if not isinstance(other, ImageType):
            return INVALID
        mine, theirs = self.layers, other.layers
        merged = Layers(
            boxes=_merged_ids(mine.boxes, theirs.boxes),
            scores=mine.scores | theirs.scores,
            masks=_merged_ids(mine.masks, theirs.masks),
            box_names=_merged_names(mine.box_names, theirs.box_names),
            mask_names=_merged_names(mine.mask_names, theirs.mask_names),
            names=theirs.names | mine.names,
        )
        return self if merged == mine else ImageType(merged)


class ClassesIdType(ColumnType):
    """Ids of classes.

    Args:
        classes: whose ids.
    """

    name = "classesId"

    def __init__(self, classes: Classes) -> None:
        self.classes = classes
        self._ids = UnionType(ConstType(id_) for id_ in classes.labels)

    def params(self) -> dict[str, Any]:
        """Return the ids."""
        return {"valid_ids": self._ids}

    def take(self, value: Any) -> ColumnType:
        """Take one of the ids."""
        return self.take_type(ConstType(value))

    def take_type(self, other: ColumnType) -> ColumnType:
        """Take one of the ids."""
        return INVALID if self._ids.take_type(other) is INVALID else self

    def to_json(self, artifact: Artifact) -> dict[str, Any]:
        """Return the JSON form; the classes go into the artifact."""
        form = super().to_json(artifact)
        entry = artifact.add(self.classes, "media/cls")
        form["params"]["classes_obj"] = {
            "type": "classes-file",
            "path": entry.path,
            "digest": entry.digest,
        }
        return form


def _texts(labels: Mapping[Any, str]) -> _Names:
    return {str(id_): name for id_, name in labels.items()}


def _merged_ids(mine: _Ids, theirs: _Ids) -> _Ids:
    return {key: mine.get(key, set()) | theirs.get(key, set()) for key in _all_keys(mine, theirs)}


def _merged_names(mine: dict[str, _Names], theirs: dict[str, _Names]) -> dict[str, _Names]:
    return {key: theirs.get(key, {}) | mine.get(key, {}) for key in _all_keys(mine, theirs)}


def _all_keys(mine: Iterable[str], theirs: Iterable[str]) -> dict[str, None]:
    return dict.fromkeys([*mine, *theirs])
