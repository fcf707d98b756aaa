"""Tables and media of an artifact, found by the name they were added under and read back."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any, cast

from trackd.artifacts import crossing
from trackd.artifacts.manifest import ARTIFACT_SCHEME
from trackd.artifacts.member import ArtifactSource
from trackd.artifacts.paths import logical_path, member_path

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.manifest import Manifest, ManifestEntry
    from trackd.artifacts.member import ArtifactMember

_TABLE = "table"
#: Where the class of each kind of value lives; the name of its file ends in `.<kind>.json`.
_CLASSES = {
    "joined-table": ("trackd.tables.joins", "JoinedTable"),
    "partitioned-table": ("trackd.tables.joins", "PartitionedTable"),
    _TABLE: ("trackd.tables.table", "Table"),
    "plotly-file": ("trackd.media.plotly", "Plotly"),
    "classes": ("trackd.media.classes", "Classes"),
    "mask": ("trackd.media.masks", "ImageMask"),
    "bokeh-file": ("trackd.media.bokeh", "Bokeh"),
    "object3D-file": ("trackd.media.object3d", "Object3D"),
    "molecule-file": ("trackd.media.molecule", "Molecule"),
    "html-file": ("trackd.media.html", "Html"),
    "video-file": ("trackd.media.video", "Video"),
    "image-file": ("trackd.media.image", "Image"),
    "audio-file": ("trackd.media.audio", "Audio"),
}


def entry_of(manifest: Manifest, name: str | os.PathLike[str]) -> ManifestEntry | None:
    """Return the entry of a path, or of the name of a table or media; None: there is none."""
    found = manifest.get_entry_by_path(path) if (path := _path_of(name)) else None
    return found or _value_entry(manifest, name)[0]


def _path_of(name: str | os.PathLike[str], kind: str = "") -> str:
    """Return the path that a name means; empty: it cannot be one, so that nothing is there."""
    try:
        return member_path(name, kind) if kind else logical_path(name)
    except ValueError:
        return ""


def _value_entry(
    manifest: Manifest, name: str | os.PathLike[str]
) -> tuple[ManifestEntry | None, str]:
    for kind in _CLASSES:
        if entry := manifest.get_entry_by_path(_path_of(name, kind)):
            return entry, kind
    return None, ""


def get(artifact: Artifact, name: str) -> ArtifactMember | None:
    """Return the value that was added under a name; see `Artifact.get`."""
    entry, kind = _value_entry(artifact.manifest, name)
    if entry is None:
        return None
    if entry.ref is not None and entry.ref.startswith(ARTIFACT_SCHEME):
        artifact_id, path = crossing.parts_of(entry.ref)
        return get(crossing.artifact_of(artifact.remote, artifact_id), path)
    source = Source(artifact)
    if kind == _TABLE:
        source.download_all()
    made = class_of(kind).from_artifact(_json_of(source.file(entry.path)), source)
    made.artifact_source = ArtifactSource(artifact, entry.path)
    return made


class Source:
    """An artifact whose values are being read back.

    Args:
        artifact: on a server.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self._root: Path | None = None

    def download_all(self) -> None:
        """Download everything at once: the cells of a table lead to many files."""
        from pathlib import Path

        self._root = Path(self.artifact.download()).absolute()

    def file(self, path: str) -> Path:
        """Return the downloaded file of an entry.

        Raises:
            KeyError: there is no such entry.
            ValueError: its path leads elsewhere, or it has other contents than it should.
            CommError: the server does not answer.
        """
        from pathlib import Path

        if self._root is not None:
            there = self._root / logical_path(path)
            if there.is_file() and path in self.artifact.manifest.entries:
                return there
        return Path(self.artifact.get_entry(path).download())

    def value(self, path: str) -> ArtifactMember | None:
        """Return the table or media whose JSON is at a path."""
        return get(self.artifact, path)

    def knows(self, kind: str) -> bool:
        """Tell whether values of a kind can be read back."""
        return kind in _CLASSES

    def of_json(self, form: dict[str, Any]) -> ArtifactMember:
        """Return a value from the JSON that stands for it in a table.

        Raises:
            ValueError: it is of an unknown kind.
        """
        return class_of(form.get("_type", "")).from_artifact(form, self)


def class_of(kind: str) -> type[ArtifactMember]:
    """Return the class of a kind of value.

    Raises:
        ValueError: there is none.
    """
    if kind not in _CLASSES:
        raise ValueError(
            f"a value of type {kind!r} cannot be read back: known are {list(_CLASSES)}"
        )
    module, name = _CLASSES[kind]
    return getattr(importlib.import_module(module), name)


def _json_of(path: Path) -> dict[str, Any]:
    """Return the JSON of a value.

    Raises:
        ValueError: the file holds none.
    """
    try:
        form: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(form, dict):
        raise ValueError(f"{path} holds no object")  # noqa: TRY004 - the contents are wrong
    return cast("dict[str, Any]", form)
