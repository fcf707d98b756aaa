"""Images, with boxes, masks and classes over them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast
from urllib.parse import urlparse

from trackd import libraries
from trackd.media import pixels
from trackd.media.boxes import BoundingBoxes2D
from trackd.media.classes import Classes
from trackd.media.masks import ImageMask
from trackd.media.references import hash_of_address, is_reference, refer_in, refuse_in_run
from trackd.media.stored import Media
from trackd.messages.root_logger import root_warning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.online.values import Source
    from trackd.media.classes import ClassId
    from trackd.recording.recordable import RunPlace, Slot

_FILE_TYPES = ("png", "jpg", "jpeg", "bmp")
_SIZES_DIFFER = (
    "Images sizes do not match. This will causes images to be display incorrectly in the UI."
)


class Image(Media):
    """An image.

    Args:
        data_or_path: path of an image file, array (height, width[, channel]), torch tensor
            (channel, height, width), Pillow image, matplotlib figure, or another `Image`.
            Numbers are taken as they are, from 0 to 255.
        mode: Pillow's mode; default: told by the number of channels.
        caption: text shown with it.
        grouping: number of images that belong together.
        classes: `Classes`, or one `{"id": …, "name": …}` each; needed in tables with masks.
        boxes: `BoundingBoxes2D`, or what they are made of, by name.
        masks: `ImageMask`, or what they are made of, by name.
        file_type: `png`, `jpg`, `jpeg` or `bmp`; without effect for a path.

    Raises:
        ValueError: the shape, `file_type`, `boxes` or `masks` cannot be used.
        TypeError: a box or mask is not of the form it needs.
        KeyError: a class lacks its id or name, or a box or mask what it is made of.
        Error: Pillow is missing.
        OSError: the file cannot be read, or the image not written in this form.
    """

    log_type = "image-file"
    folder = "media/images"
    max_batch: ClassVar[int] = 108

    def __init__(  # noqa: PLR0913 - the signature of the reference
        self,
        data_or_path: Any,
        mode: str | None = None,
        caption: str | None = None,
        grouping: int | None = None,
        classes: Classes | Sequence[Mapping[str, Any]] | None = None,
        boxes: Mapping[str, Any] | None = None,
        masks: Mapping[str, Any] | None = None,
        file_type: str | None = None,
    ) -> None:
        super().__init__(caption)
        #: Extension of the file, without its dot.
        self.format = ""
        self._size_px: tuple[int, int] | None = None
        self._grouping: int | None = None
        self._reference = ""
        if isinstance(data_or_path, Image):
            self._copy(data_or_path)
        elif isinstance(data_or_path, str | Path):
            self._take_path(data_or_path)
        else:
            self._encode(data_or_path, mode, file_type)
        self._grouping = self._grouping if grouping is None else grouping
        self._boxes = _named("boxes", boxes, BoundingBoxes2D)
        self._masks = _named("masks", masks, ImageMask)
        self._classes = self._all_classes(classes)

    # --- input -------------------------------------------------------------------------------

    def _copy(self, other: Image) -> None:
        """Be the same picture with the same caption; boxes and masks are not taken over."""
        for name, value in vars(other).items():
            if name != "_bound":
                setattr(self, name, value)

    def _take_path(self, path: str | Path) -> None:
        if is_reference(path):
            self._reference = str(path)
            self._sha256 = hash_of_address(self._reference)
            self.format = urlparse(self._reference).path.rpartition("/")[2].rpartition(".")[2]
            return
        self.refer(path)
        self._size_px = self.image.size
        self.format = Path(path).suffix[1:]

    def _encode(self, data: Any, mode: str | None, file_type: str | None) -> None:
        self.format = file_type or "png"
        if self.format not in _FILE_TYPES:
            raise ValueError(f"Image: file_type={file_type!r} is not one of {_FILE_TYPES}")
        image = pixels.to_pil(data, mode, self.format)
        out = io.BytesIO()
        kind = libraries.load("PIL.Image", "Image").registered_extensions()[f".{self.format}"]
        image.save(out, format=kind, transparency=None)
        self._size_px = image.size
        self.hold(out.getvalue(), f".{self.format}")

    def _all_classes(self, classes: Classes | Sequence[Mapping[str, Any]] | None) -> Classes | None:
        labels: dict[ClassId, str] = {}
        for boxes in self._boxes.values():
            labels.update(boxes.class_labels)
        for mask in self._masks.values():
            labels.update(mask.class_labels or {})
        if isinstance(classes, Classes):
            labels.update(classes.labels)
        elif classes is not None:
            labels.update({item["id"]: item["name"] for item in classes})
        return Classes.of_labels(labels) if labels else None

    @classmethod
    def _of_file(cls, path: str, form: dict[str, Any], source: Source) -> Self:
        named: dict[str, Any] = form.get("classes") or {}
        classes = source.value(named["path"]) if named else None
        masks: dict[str, Any] = form.get("masks") or {}
        boxes: dict[str, Any] = form.get("boxes") or {}
        return cls(
            path,
            grouping=form.get("grouping"),
            classes=cast("Classes | None", classes),
            boxes={key: {"box_data": data} for key, data in boxes.items()},
            masks={key: ImageMask.from_artifact(mask, source) for key, mask in masks.items()},
        )

    # --- parts -------------------------------------------------------------------------------

    @property
    def image(self) -> Any:
        """The picture as a Pillow image; None for one in external storage.

        Raises:
            OSError: the file cannot be read as a picture.
        """
        if self._reference:
            return None
        pil = libraries.load("PIL.Image", "Image")
        image = pil.open(io.BytesIO(self.read_bytes()))
        image.load()
        return image

    @property
    def boxes(self) -> Mapping[str, BoundingBoxes2D]:
        """Boxes by name."""
        return self._boxes

    @property
    def masks(self) -> Mapping[str, ImageMask]:
        """Masks by name."""
        return self._masks

    @property
    def classes(self) -> Classes | None:
        """Names of the classes of boxes and masks."""
        return self._classes

    @property
    def reference(self) -> str:
        """Address in external storage; empty for an image whose bytes are here."""
        return self._reference

    # --- in a run ----------------------------------------------------------------------------

    def bind_file(self, place: RunPlace, slot: Slot) -> None:
        """Put the image, its boxes and its masks into the run.

        Raises:
            ValueError: the image is in external storage.
        """
        refuse_in_run("image", self._reference)
        super().bind_file(place, slot)
        for part in (*self._boxes.values(), *self._masks.values()):
            part.bind_file(place, slot)

    def run_form(self, place: RunPlace) -> dict[str, Any]:
        """Return what stands for it in a row."""
        form = {**super().run_form(place), **self._facts()}
        for name, parts in (("boxes", self._boxes), ("masks", self._masks)):
            if parts:
                form[name] = {key: part.run_form(place) for key, part in parts.items()}
        return form

    @classmethod
    def batch_form(cls, items: Sequence[Image], forms: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what stands for a list of images."""
        first = forms[0]
        if len({(form.get("width"), form.get("height")) for form in forms}) > 1:
            root_warning(_SIZES_DIFFER)
        form: dict[str, Any] = {
            "_type": "images/separated",
            "width": first.get("width"),
            "height": first.get("height"),
            "format": first["format"],
            "count": len(forms),
            "filenames": [one["path"] for one in forms],
        }
        if items[0].caption is not None:
            form["captions"] = [item.caption for item in items]
        for name, key in (("masks", "all_masks"), ("boxes", "all_boxes")):
            if any(name in one for one in forms):
                form[key] = [one.get(name) for one in forms]
        return form

    def _facts(self) -> dict[str, Any]:
        """Return what rows and tables tell of the picture."""
        facts: dict[str, Any] = {"format": self.format}
        if self._size_px is not None:
            facts["width"], facts["height"] = self._size_px
        if self._grouping:
            facts["grouping"] = self._grouping
        return facts

    # --- in an artifact ----------------------------------------------------------------------

    def artifact_form(self, path: str) -> dict[str, Any]:
        """Return what stands for the picture alone in a table."""
        return {**super().artifact_form(path), **self._facts()}

    def to_artifact(self, artifact: Artifact) -> dict[str, Any]:
        """Add picture, masks and classes to an artifact; return what stands for them there.

        Raises:
            ValueError: there are boxes or masks without classes.
            OSError: the file cannot be read, or its copy not be written.
            ArtifactFinalizedError: nothing can be added any more.
        """
        form = super().to_artifact(artifact)
        if self._classes is not None:
            entry = artifact.add(self._classes, self._classes.artifact_path())
            form["classes"] = {
                "type": "classes-file",
                "path": entry.path,
                "digest": entry.digest,
            }
        elif self._boxes or self._masks:
            raise ValueError(
                "Image: boxes and masks need classes in tables and artifacts: name them with "
                "class_labels, or Image(classes=...)"
            )
        if self._boxes:
            form["boxes"] = {key: box.boxes for key, box in self._boxes.items()}
        if self._masks:
            form["masks"] = {key: mask.to_artifact(artifact) for key, mask in self._masks.items()}
        return form

    def add_file_to(self, artifact: Artifact) -> str:
        """Add the picture to an artifact; return its path there."""
        if self._reference:
            return refer_in(artifact, self._reference, self.folder)
        return super().add_file_to(artifact)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Image)
            and super().__eq__(other)
            and (self._grouping, self._caption, self._classes)
            == (other._grouping, other._caption, other._classes)
        )

    def __hash__(self) -> int:
        return super().__hash__()


def _named(name: str, given: object, kind: type[Any]) -> dict[str, Any]:
    """Return boxes or masks by name.

    Raises:
        ValueError: they are no dictionary.
        KeyError: one of them is neither made nor a description.
    """
    if not given:
        return {}
    if not isinstance(given, dict):
        raise ValueError(  # noqa: TRY004 - the reference's type
            f'Image: {name}={given!r} must be a dictionary: {{"predictions": …}}'
        )
    made: dict[str, Any] = {}
    for key, item in cast("dict[str, Any]", given).items():
        if not isinstance(item, kind | dict):
            raise KeyError(f"Image: {name}[{key!r}] must be a dictionary or {kind.__name__}")
        made[key] = item if isinstance(item, kind) else kind(item, key)
    return made
