"""Sound clips and videos."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from PIL import Image as Pillow

import trackd
from trackd.media.video import tile

if TYPE_CHECKING:
    from pathlib import Path

WAVE = np.sin(np.arange(800) / 10)
FRAMES = np.zeros((3, 3, 16, 32), np.uint8)


def test_samples_become_a_wav_file() -> None:
    soundfile = pytest.importorskip("soundfile")
    clip = trackd.Audio(WAVE, sample_rate=8000)
    read, rate = soundfile.read(io.BytesIO(clip.read_bytes()))
    assert rate == clip.sample_rate == 8000 and clip.duration_s == 0.1
    assert np.allclose(read, WAVE, atol=1e-4)


def test_a_list_of_clips_tells_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"sound")
    clips = [trackd.Audio(str(tmp_path / "a.mp3"), caption="a"), trackd.Audio(WAVE, 4000)]
    form = trackd.Audio.batch_form(clips, [{"path": "x"}, {"path": "y"}])
    assert form == {
        "_type": "audio",
        "count": 2,
        "audio": [{"path": "x"}, {"path": "y"}],
        "sampleRates": [None, 4000],
        "durations": [None, 0.2],
        "captions": ["a", ""],
    }


def test_frames_become_a_video() -> None:
    pytest.importorskip("moviepy")
    video = trackd.Video(FRAMES, format="gif", fps=2)
    image = Pillow.open(io.BytesIO(video.read_bytes()))
    assert image.size == (32, 16)
    assert trackd.Video(FRAMES, format="mp4").read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize(("videos", "width", "height"), [(1, 5, 4), (2, 10, 4), (3, 20, 4)])
def test_several_videos_lie_side_by_side(videos: int, width: int, height: int) -> None:
    stack = np.arange(videos)[:, None, None, None, None] + np.zeros((videos, 2, 3, 4, 5)) + 1
    grid = tile(stack)
    assert grid.shape == (2, height, width, 3)
    assert grid[0, 0, ::5, 0].tolist() == [1, 2, 3, 0][: width // 5]
    assert grid[0, -1, -1, 0] == (0 if videos == 3 else videos)  # filled up with black


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: trackd.Audio(WAVE), ValueError, "sample_rate"),
        (lambda: trackd.Audio("nothing.wav"), FileNotFoundError, "nothing"),
        (lambda: trackd.Video(FRAMES), ValueError, "format"),
        (lambda: trackd.Video(FRAMES, format=cast("Any", "avi")), ValueError, "avi"),
        (lambda: trackd.Video(FRAMES[0], format="gif"), ValueError, "4 dimensions"),
        (lambda: trackd.Video([1], format="gif"), ValueError, "list"),
        (lambda: trackd.Video(io.BytesIO(b"x")), ValueError, "format"),
        (lambda: trackd.Video("film.avi"), ValueError, "avi"),
    ],
)
def test_what_is_no_clip_is_refused(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()
