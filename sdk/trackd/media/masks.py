"""Masks of an image: one grey PNG each, whose values are class ids."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from trackd import libraries
from trackd.media.boxes import set_labels
from trackd.media.classes import ClassId, check_labels
from trackd.media.stored import Media

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from trackd.artifacts.online.values import Source
    from trackd.recording.recordable import RunPlace, Slot

_MAX_CLASS = 255


class ImageMask(Media):
    """A mask over an image.

    Args:
        val: `mask_data`: a 2-D array (numpy, torch) with the class id (0 to 255) of each pixel,
            or `path` of such an image; `class_labels`: name by class id, optional.
        key: name of this mask, such as `predictions`.

    Raises:
        KeyError: both `mask_data` and `path` are missing.
        TypeError: the mask is not 2-D, or holds other values; a label is no text.
        AttributeError: the mask is no array.
    """

    log_type = "mask"
    folder = "media/images/mask"

    def __init__(self, val: Mapping[str, Any], key: str) -> None:
        super().__init__()
        self._key = key
        #: Name by class id; None for a mask that is a file.
        self.class_labels: dict[ClassId, str] | None = None
        if "path" in val:
            self.refer(val["path"])
            return
        if "mask_data" not in val:
            raise KeyError(f"mask {key!r} needs mask_data (a 2-D array of class ids) or path")
        np = libraries.load("numpy", "ImageMask")
        data = val["mask_data"]
        if hasattr(data, "cpu"):  # torch
            data = data.detach().cpu().numpy()
        labels = val.get("class_labels")
        if labels is None:
            ids = np.unique(data).astype(np.int32).tolist()
            labels = {id_: f"class_{id_}" for id_ in ids}
        _check(data, key)
        self.class_labels = check_labels(labels, f"mask {key!r}")
        self.hold(_png(data, np), f".{self.log_type}.png")

    @classmethod
    def _of_file(cls, path: str, form: dict[str, Any], source: Source) -> Self:
        del form, source
        return cls({"path": path}, "")

    def bind_file(self, place: RunPlace, slot: Slot) -> None:
        """Put the file into the run, and the labels into its configuration."""
        super().bind_file(place, slot)
        if self.class_labels is not None:
            set_labels(place, "mask/class_labels", slot.key, self._key, self.class_labels)


def _check(data: Any, key: str) -> None:
    shape = getattr(data, "shape", None)
    if shape is None:
        raise AttributeError(  # the reference's type
            f"mask {key!r}: mask_data is of type {type(data).__name__}, which has no shape: "
            "give a 2-D numpy array"
        )
    if len(shape) != 2:
        raise TypeError(f"mask {key!r}: mask_data has the shape {list(shape)}: give a 2-D array")
    if not ((data >= 0).all() and (data <= _MAX_CLASS).all()):
        raise TypeError(f"mask {key!r}: mask_data holds values outside 0 to {_MAX_CLASS}")


def _png(data: Any, np: Any) -> bytes:
    pil = libraries.load("PIL.Image", "ImageMask")
    out = io.BytesIO()
    pil.fromarray(data.astype(np.int8)).convert("L").save(out, format="PNG", transparency=None)
    return out.getvalue()
