"""From whatever holds a picture (arrays, tensors, figures) to a Pillow image."""

from __future__ import annotations

import io
from typing import Any

from trackd import libraries
from trackd.messages.term import termwarn

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_NO_ALPHA = ("jpg", "jpeg")
_FRACTIONS = (
    "Image: the numbers are between 0 and 1, and pictures have whole ones up to 255: this one is "
    "(nearly) black. Multiply by 255"
)


def to_pil(data: Any, mode: str | None, file_type: str) -> Any:
    """Return a Pillow image.

    Args:
        data: a Pillow image, a matplotlib object, a torch tensor (channel, height, width), or
            an array (height, width[, channel]) with values from 0 to 255.
        mode: Pillow's mode; None: told by the number of channels.
        file_type: of the file that is going to be written.

    Raises:
        Error: a library that is needed is not installed.
        ValueError: the shape is not that of a picture.
        AttributeError: it is no array.
    """
    pil = libraries.load("PIL.Image", "Image")
    if type_path(data).startswith("matplotlib."):
        drawn = io.BytesIO()
        figure_of(data).savefig(drawn, format=file_type)
        return pil.open(drawn)
    if isinstance(data, pil.Image):
        return data
    pixels = _to_array(data)
    mode = mode or _guess_mode(pixels, file_type)
    if pixels.dtype.kind in "fb" and pixels.size and 0 < pixels.max() <= 1:
        # Stored as they are, as the reference does: many come from code that scaled them itself.
        termwarn(_FRACTIONS, repeat=False)
    return pil.fromarray(pixels.astype("uint8")).convert(mode)


def type_path(value: object) -> str:
    """Return the full name of a value's type, or of a module itself."""
    kind = type(value)
    if kind.__module__ == "builtins" and kind.__name__ == "module":
        return str(getattr(value, "__name__", ""))
    return f"{kind.__module__}.{kind.__name__}"


def figure_of(value: Any) -> Any:
    """Return the matplotlib figure that is, holds, or is current in, a value.

    Raises:
        ValueError: there is none.
    """
    if type_path(value) == "matplotlib.pyplot":
        return value.gcf()
    figure_type = libraries.load("matplotlib.figure", "Image").Figure
    figure = value if isinstance(value, figure_type) else getattr(value, "figure", value)
    if not isinstance(figure, figure_type):
        raise ValueError(  # noqa: TRY004 - the reference's type
            f"{type_path(value)} belongs to no figure: give matplotlib.pyplot, a figure or its axes"
        )
    return figure


def _to_array(data: Any) -> Any:
    """Return a numpy array with the channels last and without trivial dimensions."""
    np = libraries.load("numpy", "Image")
    if hasattr(data, "detach") and hasattr(data, "cpu"):  # torch: channels first
        tensor = data.detach().cpu()
        if str(tensor.dtype) == "torch.bfloat16":  # which numpy does not know
            tensor = tensor.float()
        array = tensor.numpy()
        if array.ndim == 3:
            array = array.transpose(1, 2, 0)
    elif hasattr(data, "numpy"):  # TensorFlow
        array = data.numpy()
    elif hasattr(data, "ndim"):
        array = np.asarray(data)
    else:
        raise AttributeError(  # the reference's type
            f"Image: a value of type {type_path(data)} has no pixels: give a path, an array, "
            "a tensor, a Pillow image or a figure"
        )
    return array.squeeze() if array.ndim > 2 else array


def _guess_mode(pixels: Any, file_type: str) -> str:
    channels = 1 if pixels.ndim == 2 else pixels.shape[-1] if pixels.ndim else 0
    mode = _MODES.get(channels)
    if mode is None:
        raise ValueError(
            f"Image: the shape {list(pixels.shape)} is not that of a picture: give (height, "
            "width) or (height, width, channels) with 1, 3 or 4 channels"
        )
    if mode == "RGBA" and file_type in _NO_ALPHA:
        text = "Image: JPEG files have no transparency: the alpha channel is left out"
        termwarn(text, repeat=False)
        return "RGB"
    return mode
