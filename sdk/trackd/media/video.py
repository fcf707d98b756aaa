"""Videos."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from trackd import libraries
from trackd.media.stored import ANY_NUMBER, Media
from trackd.messages.root_logger import root_warning
from trackd.messages.term import termwarn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd.recording.recordable import RunPlace

_FPS = 4


class Video(Media):
    """A video.

    Args:
        data_or_path: path of a gif, mp4, webm or ogg file, its bytes as `io.BytesIO`, or frames:
            an array (time, channel, height, width), or (video, time, channel, height, width),
            which are shown side by side, with values from 0 to 255.
        caption: text shown with it.
        fps: frames a second when frames are encoded; default 4.
        format: `gif`, `mp4`, `webm` or `ogg`; needed for bytes and frames.

    Raises:
        ValueError: the format or the shape cannot be used.
        Error: a library for encoding is missing.
        OSError: the file cannot be read.
    """

    log_type = "video-file"
    folder = "media/videos"
    max_batch: ClassVar[int] = ANY_NUMBER
    EXTS = ("gif", "mp4", "webm", "ogg")

    def __init__(
        self,
        data_or_path: Any,
        caption: str | None = None,
        fps: int | None = None,
        format: Literal["gif", "mp4", "webm", "ogg"] | None = None,
    ) -> None:
        super().__init__(caption)
        self._size_px: tuple[int, int] | None = None
        if isinstance(data_or_path, str | io.BytesIO) and fps:
            termwarn("Video: fps has no effect on a file or its bytes")
        if isinstance(data_or_path, io.BytesIO):
            extension = _checked(format, "bytes")
            self.hold(data_or_path.read(), f".{extension}")
        elif isinstance(data_or_path, str | Path):
            extension = Path(data_or_path).suffix
            _checked(extension[1:].lower(), f"the file {str(data_or_path)!r}")
            self.refer(data_or_path)
        else:
            self._encode(data_or_path, fps or _FPS, _checked(format, "frames"))

    def _encode(self, data: Any, fps: int, extension: str) -> None:
        frames = tile(_to_array(data))
        _, height, width, _ = frames.shape
        self._size_px = int(width), int(height)
        self.hold(_encoded(list(frames), fps, extension), f".{extension}")

    def run_form(self, place: RunPlace) -> dict[str, Any]:
        """Return what stands for it in a row."""
        return {**super().run_form(place), **self._facts()}

    def artifact_form(self, path: str) -> dict[str, Any]:
        """Return what stands for it in a table."""
        return {**super().artifact_form(path), **self._facts()}

    def _facts(self) -> dict[str, int]:
        if self._size_px is None:
            return {}
        width, height = self._size_px
        return {"width": width, "height": height}

    @classmethod
    def batch_form(cls, items: Sequence[Video], forms: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what stands for a list of videos."""
        captioned = items[0].caption is not None
        return {
            "_type": "videos",
            "count": len(forms),
            "videos": forms,
            "captions": [item.caption for item in items] if captioned else False,
        }


def _checked(format: str | None, source: str) -> str:
    if format in Video.EXTS:
        return format
    formats = ", ".join(Video.EXTS)
    if format is None:
        raise ValueError(f"Video: {source} need format: one of {formats}")
    raise ValueError(f"Video: {source}: the format {format!r} is none of {formats}")


def _to_array(data: Any) -> Any:
    np = libraries.load("numpy", "Video with frames")
    if hasattr(data, "detach") and hasattr(data, "cpu"):  # torch
        return data.detach().cpu().numpy()
    if hasattr(data, "numpy"):  # TensorFlow
        return data.numpy()
    if not hasattr(data, "__array__"):
        raise ValueError(
            f"Video: a value of type {type(data).__name__} holds no frames: "
            "give a path, io.BytesIO or an array"
        )
    return np.asarray(data)


def tile(video: Any) -> Any:
    """Return frames as (time, height, width, channel); several videos lie side by side.

    Args:
        video: array (time, channel, height, width) or (video, time, channel, height, width).

    Raises:
        ValueError: it has other dimensions.
    """
    np = libraries.load("numpy", "Video with frames")
    if video.ndim not in (4, 5):
        raise ValueError(
            f"Video: the shape {list(video.shape)} needs 4 dimensions (time, channel, height, "
            "width), or 5 with the number of videos first"
        )
    if video.ndim == 4:
        video = video[None]
    videos, time, channels, height, width = video.shape
    if video.dtype != np.uint8:
        root_warning("Converting video data to uint8")
        video = video.astype(np.uint8)
    if videos & (videos - 1):  # fill up with black to a power of two
        missing = (1 << videos.bit_length()) - videos
        black = np.zeros((missing, *video.shape[1:]), np.uint8)
        video = np.concatenate((video, black))
    rows = 1 << (videos.bit_length() - 1) // 2
    columns = len(video) // rows
    grid = video.reshape(rows, columns, time, channels, height, width)
    grid = grid.transpose(2, 0, 4, 1, 5, 3)
    return grid.reshape(time, rows * height, columns * width, channels)


def _encoded(frames: list[Any], fps: int, extension: str) -> bytes:
    clips = libraries.load("moviepy.video.io.ImageSequenceClip", "Video with frames")
    with tempfile.TemporaryDirectory(prefix="trackd-video-") as folder:
        path = Path(folder) / f"video.{extension}"
        clip = clips.ImageSequenceClip(frames, fps=fps)
        if extension == "gif":
            _write_gif(clip, path)
        else:
            clip.write_videofile(str(path), logger=None)
        return path.read_bytes()


def _write_gif(clip: Any, path: Path) -> None:
    imageio = libraries.load("imageio", "Video with frames")
    writer = imageio.save(path, quantizer=0, palettesize=256, loop=0, duration=1000 / clip.fps)
    with writer:
        for frame in clip.iter_frames(dtype="uint8"):
            writer.append_data(frame)
