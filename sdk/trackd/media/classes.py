"""Names of classes, for the boxes and masks of images in tables."""

from __future__ import annotations

import hashlib
import json
from numbers import Number
from typing import TYPE_CHECKING, Any, cast

from trackd.artifacts.member import ArtifactMember

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from trackd.artifacts import Artifact
    from trackd.artifacts.online.values import Source
    from trackd.tables.image_type import ClassesIdType

ClassId = int | str


class Classes(ArtifactMember):
    """A set of classes: ids and their names.

    Args:
        class_set: one `{"id": int or text, "name": text}` each.

    Raises:
        AssertionError: an item lacks its id or name.
    """

    log_type = artifact_suffix = "classes"
    folder = "media/classes"

    def __init__(self, class_set: Sequence[Mapping[str, Any]]) -> None:
        for item in class_set:
            if "id" not in item or "name" not in item:
                raise AssertionError(  # the reference's type
                    f'Classes: {item!r} needs both: {{"id": 1, "name": "car"}}'
                )
        self._class_set = [dict(item) for item in class_set]

    @classmethod
    def of_labels(cls, labels: Mapping[ClassId, str]) -> Classes:
        """Return the classes of a mapping from id to name."""
        return cls([{"id": id_, "name": name} for id_, name in labels.items()])

    @property
    def labels(self) -> dict[ClassId, str]:
        """Name by id."""
        return {item["id"]: item["name"] for item in self._class_set}

    def artifact_path(self) -> str:
        """Return where its file lies in an artifact: by content."""
        digest = hashlib.md5(str(self._class_set).encode(), usedforsecurity=False).hexdigest()
        return f"{self.folder}/{digest}_cls.{self.log_type}.json"

    def to_json(self) -> dict[str, Any]:
        """Return the content of its file."""
        return {"_type": self.log_type, "class_set": self._class_set}

    def to_artifact(self, artifact: Artifact) -> dict[str, Any]:
        """Return the JSON that stands for it in an artifact; it has no files."""
        del artifact
        return self.to_json()

    @classmethod
    def from_artifact(cls, form: dict[str, Any], source: Source) -> Self:
        """Return classes from their JSON in an artifact."""
        del source
        return cls(form.get("class_set") or [])

    def get_type(self) -> ClassesIdType:
        """Return the type of columns that hold ids of these classes, for `Table(dtype=...)`."""
        from trackd.tables.image_type import ClassesIdType  # tables know media, not media tables

        return ClassesIdType(self)

    def column_type(self) -> ClassesIdType:
        """Return the type of columns that hold such values."""
        return self.get_type()

    def read_bytes(self) -> bytes:
        """Return the content of its file, encoded."""
        return json.dumps(self.to_json()).encode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Classes) and self._class_set == other._class_set

    def __hash__(self) -> int:
        return hash(self.artifact_path())


def check_labels(labels: object, what: str) -> dict[ClassId, str]:
    """Return class labels.

    Args:
        labels: as the user gave them.
        what: they belong to, for the message.

    Raises:
        TypeError: they are no mapping of numbers to texts.
    """
    if isinstance(labels, dict):
        given = cast("dict[Any, Any]", labels)
        if all(isinstance(k, Number) and isinstance(v, str) for k, v in given.items()):
            return given
    raise TypeError(f'{what}: class_labels={labels!r} must map numbers to texts: {{1: "car"}}')
