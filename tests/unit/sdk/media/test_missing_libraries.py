"""Libraries that are not installed: the error says what needs them and what brings them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.figure
import numpy as np
import pytest

import trackd

if TYPE_CHECKING:
    from collections.abc import Callable

PIXELS = np.zeros((4, 4, 3), np.uint8)
FRAMES = np.zeros((2, 3, 4, 4), np.uint8)


@pytest.mark.parametrize(
    ("missing", "call", "message"),
    [
        ("PIL", lambda: trackd.Image(PIXELS), r"Image needs PIL.*'trackd\[media\]'"),
        ("PIL", lambda: trackd.Image("x.png"), r"Image needs PIL.*'trackd\[media\]'"),
        (
            "PIL",
            lambda: trackd.data_types.ImageMask({"mask_data": PIXELS[0]}, "m"),
            r"ImageMask needs PIL.*'trackd\[media\]'",
        ),
        ("soundfile", lambda: trackd.Audio([0.0], sample_rate=8), r"soundfile.*'trackd\[media\]'"),
        ("moviepy", lambda: trackd.Video(FRAMES, format="gif"), r"moviepy.*'trackd\[media\]'"),
        ("imageio", lambda: trackd.Video(FRAMES, format="gif"), r"imageio.*'trackd\[media\]'"),
        ("numpy", lambda: trackd.Histogram([1, 2]), "Histogram of numbers needs numpy.*'numpy'"),
        ("numpy", lambda: trackd.plot.roc_curve([0], [[1]]), "roc_curve needs numpy.*'numpy'"),
        (
            "plotly",
            lambda: trackd.Plotly(matplotlib.figure.Figure()),
            "figure of matplotlib needs plotly: pip install 'plotly'",
        ),
        ("bokeh", lambda: trackd.data_types.Bokeh("x"), "Bokeh needs bokeh: pip install 'bokeh'"),
        ("rdkit", lambda: trackd.Molecule.from_smiles("C"), "rdkit: pip install 'rdkit'"),
        ("pandas", lambda: trackd.Table().get_dataframe(), "needs pandas: pip install 'pandas'"),
    ],
)
def test_an_error_names_the_library_and_what_brings_it(
    missing: str,
    call: Callable[[], Any],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.png").write_bytes(b"no matter")
    for name in [missing, *sys.modules]:
        if name == missing or name.startswith(f"{missing}."):
            monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(trackd.Error, match=message):
        call()
