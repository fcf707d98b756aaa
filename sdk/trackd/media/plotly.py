"""`Plotly`: interactive figures of plotly, and of matplotlib by way of plotly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from trackd.libraries import load
from trackd.media.pixels import figure_of
from trackd.media.stored import Media
from trackd.recording.arrays import is_numpy_array
from trackd.recording.recordable import Recordable
from trackd.recording.texts import kind_of
from trackd.recording.values import to_history

if TYPE_CHECKING:
    from typing import Self

    from trackd.artifacts.online.values import Source

_EXTENSION = ".plotly.json"


class Plotly(Media):
    """A figure of plotly, or one of matplotlib that plotly can show.

    Args:
        val: the figure; of matplotlib also `pyplot` itself, axes, or another part of a figure.

    Raises:
        ValueError: it is no figure, or one of matplotlib that holds images.
        Error: plotly is not installed and has to convert a figure.
    """

    log_type = "plotly-file"
    is_added_alone = False
    folder = "media/plotly"

    def __init__(self, val: Any) -> None:
        super().__init__()
        if is_matplotlib(val):
            figure = figure_of(val)
            if _has_images(figure):
                raise ValueError(
                    "Plotly: a figure of matplotlib with images cannot be converted: "
                    "use trackd.Image(figure)"
                )
            val = _convert(figure)
        elif not _is_of(val, "plotly") or type(val).__name__ != "Figure":
            raise ValueError(
                f"Plotly: val is of type {type(val).__name__}: use a figure of plotly or matplotlib"
            )
        content = to_history(_without_arrays(val.to_plotly_json()))
        self.hold(json.dumps(content, separators=(",", ":")).encode(), _EXTENSION)

    @classmethod
    def _of_file(cls, path: str, form: dict[str, Any], source: Source) -> Self:
        del form, source
        made = cls.__new__(cls)
        Media.__init__(made)
        made.refer(path, _EXTENSION)
        return made

    @classmethod
    def make_plot_media(cls, val: Any) -> Media:
        """Return what shows a figure best: an `Image` where matplotlib drew images, else this.

        Raises:
            ValueError: it is no figure.
            Error: plotly, or Pillow for an image, is not installed.
        """
        if is_matplotlib(val) and _has_images(figure_of(val)):
            from trackd.media.image import Image

            return Image(figure_of(val))
        return cls(val)


def is_matplotlib(value: Any) -> bool:
    """Tell whether a value is of matplotlib, the module `pyplot` included."""
    return _is_of(value, "matplotlib")


def _is_of(value: Any, package: str) -> bool:
    if isinstance(value, ModuleType):
        return value.__name__.partition(".")[0] == package
    return any(base.__module__.partition(".")[0] == package for base in kind_of(value).__mro__)


def _has_images(figure: Any) -> bool:
    return any(len(axes.images) > 0 for axes in figure.axes)


def _convert(figure: Any) -> Any:
    """Return a figure of matplotlib as one of plotly."""
    tools = load("plotly.tools", "a figure of matplotlib", "plotly")
    spine = load("matplotlib.spines", "a figure of matplotlib", "matplotlib").Spine
    if not hasattr(spine, "is_frame_like"):  # which plotly asks for, and matplotlib has no more
        spine.is_frame_like = _is_frame_like
    return tools.mpl_to_plotly(figure)


def _is_frame_like(spine: Any) -> bool:
    """Tell whether a line of the frame lies where frames do."""
    position: Any = getattr(spine, "_position", None) or ("outward", 0.0)
    position = {"center": ("axes", 0.5), "zero": ("data", 0)}.get(position, position)
    kind, amount = position
    return bool(kind == "outward" and amount == 0)


def _without_arrays(value: Any) -> Any:
    """Return the content of a figure with lists for arrays, whatever their size."""
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {key: _without_arrays(item) for key, item in items}
    if isinstance(value, Recordable):
        return type(value).__name__
    if is_numpy_array(kind_of(value)):
        return _without_arrays(value.tolist() if value.ndim else [value.tolist()])
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_without_arrays(item) for item in cast("Sequence[Any]", value)]
    return value
