"""`Object3D`: point clouds and three-dimensional models; `box3d`: boxes in a point cloud."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, cast

from trackd.libraries import load
from trackd.media.stored import ANY_NUMBER, Media, relative_to_folder
from trackd.recording.arrays import is_numpy_array
from trackd.recording.texts import kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self, TextIO

    from trackd.artifacts.artifact import Artifact

_POINTS = ".pts.json"
_SCENE = "lidar/beta"
_WIDTHS = (3, 4, 6)


class Box3D(TypedDict):
    """A box in a point cloud."""

    #: Eight points (x, y, z).
    corners: tuple[tuple[float, float, float], ...]
    #: Red, green and blue, from 0 to 1.
    color: Sequence[float]
    label: str | None
    score: float | None


def box3d(
    *,
    center: Any,
    size: Any,
    orientation: Any,
    color: Sequence[float],
    label: str | None = None,
    score: float | None = None,
) -> Box3D:
    """Return a box for `Object3D.from_point_cloud`.

    Args:
        center: x, y and z of its middle.
        size: its extent along its own x, y and z.
        orientation: rotation of global into its own coordinates as a quaternion (r, x, y, z),
            which need not have length 1.
        color: red, green and blue, from 0 to 1.
        label: text shown with it.
        score: such as the confidence of a detection.

    Raises:
        ValueError: an argument has another shape, or the quaternion is zero.
        Error: numpy is not installed.
    """
    np = load("numpy", "box3d", "numpy")
    middle = _vector(np, "center", center, 3)
    extent = _vector(np, "size", size, 3)
    rotation = _rotation(np, _vector(np, "orientation", orientation, 4))
    unit = np.array(list(itertools.product((-1, 1), repeat=3)), dtype=np.float64)
    corners = middle + (0.5 * extent * unit) @ rotation
    points = tuple(tuple(point) for point in corners.tolist())
    return {"corners": points, "color": color, "label": label, "score": score}


def _vector(np: Any, name: str, given: Any, length: int) -> Any:
    vector = np.asarray(given, dtype=np.float64)
    if vector.shape != (length,):
        raise ValueError(f"box3d: {name} has shape {vector.shape}: give {length} numbers")
    return vector


def _rotation(np: Any, quaternion: Any) -> Any:
    """Return the matrix that rotates rows of points by a quaternion."""
    # The reference takes the absolute values of the parts; boxes must look the same here.
    parts = np.abs(quaternion)
    if not parts.max():
        raise ValueError("box3d: orientation is zero: (1, 0, 0, 0) stands for no rotation")
    parts = parts / parts.max()  # first, so that squares of small numbers do not vanish
    r, i, j, k = parts / np.linalg.norm(parts)
    return np.array(
        (
            (1 - 2 * (j * j + k * k), 2 * (i * j + k * r), 2 * (i * k - j * r)),
            (2 * (i * j - k * r), 1 - 2 * (i * i + k * k), 2 * (j * k + i * r)),
            (2 * (i * k + j * r), 2 * (j * k - i * r), 1 - 2 * (i * i + j * j)),
        )
    )


class Object3D(Media):
    """A point cloud or a model.

    Args:
        data_or_path: numpy array of points (x, y, z), (x, y, z, category from 1 to 14) or
            (x, y, z, red, green, blue); path of a model; a file object; or a scene as a
            dictionary with `type` `lidar/beta` and `points`, `boxes` and `vectors`.
        caption: text shown with it.
        file_type: format of what a file object without a name holds, such as `obj`.

    Raises:
        ValueError: no known format, another shape, or `data_or_path` is nothing of that.
        OSError: the file cannot be read.
    """

    SUPPORTED_TYPES: ClassVar[frozenset[str]] = frozenset(
        {"obj", "gltf", "glb", "babylon", "stl", "pts.json"}
    )
    SUPPORTED_POINT_CLOUD_TYPES: ClassVar[frozenset[str]] = frozenset({_SCENE})
    log_type = "object3D-file"
    folder = "media/object3D"
    max_batch = ANY_NUMBER

    def __init__(
        self,
        data_or_path: Any,
        caption: str | None = None,
        **kwargs: str | None,
    ) -> None:
        super().__init__(caption)
        source = data_or_path
        if not isinstance(source, Path) and isinstance(getattr(source, "name", None), str):
            source = source.name  # temporary files have numbers for names
        if isinstance(source, str | Path):
            self.refer(source, self._extension_of(str(source)))
        elif hasattr(source, "read"):
            self._take_file(source, kwargs.get("file_type"))
        elif isinstance(source, dict) and "type" in source:
            self._take_scene(cast("dict[str, Any]", source))
        elif is_numpy_array(kind_of(source)):
            self._take_points(source)
        else:
            raise ValueError(
                f"Object3D: data_or_path is of type {type(data_or_path).__name__}: "
                "use a numpy array, a path, a file object or a scene"
            )

    @classmethod
    def from_file(cls, data_or_path: TextIO | str, file_type: str | None = None) -> Self:
        """Return a model from a path or a file object; see the class."""
        return cls(data_or_path, file_type=file_type)

    @classmethod
    def from_numpy(cls, data: Any) -> Self:
        """Return a point cloud from a numpy array; see the class.

        Raises:
            ValueError: it is no numpy array, or has another shape.
        """
        if not is_numpy_array(kind_of(data)):
            raise ValueError(f"Object3D.from_numpy: data is of type {type(data).__name__}")
        return cls(data)

    @classmethod
    def from_point_cloud(
        cls,
        points: Sequence[Sequence[float]],
        boxes: Sequence[Box3D],
        vectors: Sequence[Any] | None = None,
        point_cloud_type: str = _SCENE,
    ) -> Self:
        """Return a scene.

        Args:
            points: as in the class.
            boxes: made by `box3d`.
            vectors: arrows, each a dictionary with `start` and `end`.
            point_cloud_type: `lidar/beta`.

        Raises:
            ValueError: another `point_cloud_type`.
        """
        _check_scene(point_cloud_type)
        scene = {"type": point_cloud_type, "points": points, "boxes": boxes}
        return cls({**scene, "vectors": [] if vectors is None else vectors})

    def _extension_of(self, name: str) -> str:
        for kind in self.SUPPORTED_TYPES:
            if name.endswith(f".{kind}"):
                return f".{kind}"
        known = ", ".join(sorted(self.SUPPORTED_TYPES))
        raise ValueError(f"Object3D: {name!r} is of no known format: use {known}")

    def _take_file(self, file: Any, kind: str | None) -> None:
        if kind is None:
            raise ValueError("Object3D: a file object without a name needs file_type='obj', ...")
        extension = self._extension_of(f".{kind}")
        if hasattr(file, "seek"):
            file.seek(0)
        content = file.read()
        self.hold(content.encode() if isinstance(content, str) else content, extension)

    def _take_scene(self, scene: dict[str, Any]) -> None:
        _check_scene(scene["type"])
        parts = {part: _as_list(scene.get(part, [])) for part in ("vectors", "points", "boxes")}
        self.hold(_json({"type": scene["type"], **parts}), _POINTS)

    def _take_points(self, points: Any) -> None:
        if points.ndim != 2 or points.shape[1] not in _WIDTHS:
            raise ValueError(
                f"Object3D: an array of shape {points.shape}: use (n, 3) for points, (n, 4) with "
                "a category, (n, 6) with a colour"
            )
        self.hold(_json(points.tolist()), _POINTS)

    @classmethod
    def batch_form(cls, items: Sequence[Any], forms: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what stands for a list."""
        del items
        return {
            "_type": "object3D",
            "filenames": [relative_to_folder(form["path"], cls.folder) for form in forms],
            "count": len(forms),
            "objects": forms,
        }

    def to_artifact(self, artifact: Artifact) -> dict[str, Any]:
        """Add its file to an artifact.

        Raises:
            ValueError: it is a model, which artifacts do not take; point clouds they do.
        """
        if self._extension != _POINTS:
            raise ValueError(
                "Object3D: tables and artifacts take point clouds only: add the model's file"
            )
        return super().to_artifact(artifact)


def _check_scene(kind: object) -> None:
    if kind != _SCENE:
        raise ValueError(f"Object3D: a scene of type {kind!r} is not known: use {_SCENE!r}")


def _as_list(values: Any) -> Any:
    return values.tolist() if hasattr(values, "tolist") else list(values)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), default=_as_list).encode()
