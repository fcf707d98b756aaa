"""Images: pixels from every source, boxes, masks, classes, lists."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image as Pillow

import trackd
from trackd.media.boxes import BoundingBoxes2D
from trackd.media.masks import ImageMask
from trackd_proto.records import ConfigUpdate, Row

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.sdk.small_agent import SmallAgent

RGB = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
BOX = {"position": {"minX": 0, "maxX": 1, "minY": 0, "maxY": 1}, "class_id": 2}


def pixels(image: trackd.Image) -> Any:
    return np.asarray(image.image)


@pytest.mark.parametrize(
    ("shape", "mode"),
    [((4, 5), "L"), ((4, 5, 1), "L"), ((4, 5, 3), "RGB"), ((4, 5, 4), "RGBA")],
)
def test_the_number_of_channels_tells_the_mode(shape: tuple[int, ...], mode: str) -> None:
    image = trackd.Image(np.zeros(shape, np.uint8))
    assert (image.image.mode, image.image.size, image.format) == (mode, (5, 4), "png")


def test_numbers_are_taken_as_they_are() -> None:
    assert (pixels(trackd.Image(RGB)) == RGB).all()
    assert pixels(trackd.Image(np.array([[0.9, 254.9]]))).tolist() == [[0, 254]]


@pytest.mark.parametrize(
    ("numbers", "warns"),
    [
        (np.linspace(0, 1, 20), True),
        (np.ones(20, bool), True),
        (np.zeros(20), False),
        (np.linspace(0, 255, 20), False),
        (np.ones(20, np.uint8), False),
    ],
)
def test_fractions_make_a_black_picture_and_a_warning(
    monkeypatch: pytest.MonkeyPatch, numbers: Any, warns: bool
) -> None:
    said: list[str] = []

    def hear(text: str, *, repeat: bool) -> None:
        assert not repeat, "a training has thousands of pictures"
        said.append(text)

    monkeypatch.setattr("trackd.media.pixels.termwarn", hear)
    image = trackd.Image(numbers.reshape(4, 5))
    assert (pixels(image) == numbers.reshape(4, 5).astype(np.uint8)).all()
    assert ["Multiply by 255" in text for text in said] == [True] * warns


def test_tensors_have_their_channels_first() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(RGB).permute(2, 0, 1)
    for kind in (torch.uint8, torch.float32, torch.bfloat16):
        assert (pixels(trackd.Image(tensor.to(kind))) == RGB).all()
    assert trackd.Image(torch.zeros(1, 4, 5, requires_grad=True)).image.mode == "L"


def test_a_figure_is_drawn() -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure(figsize=(1, 2), dpi=50)
    axes = figure.add_subplot()
    assert trackd.Image(figure).image.size == trackd.Image(axes).image.size == (50, 100)


def test_a_file_keeps_its_bytes_and_its_extension(tmp_path: Path) -> None:
    Pillow.fromarray(RGB).save(tmp_path / "a.GIF")
    image = trackd.Image(tmp_path / "a.GIF", caption="c")
    assert image.read_bytes() == (tmp_path / "a.GIF").read_bytes()
    assert (image.format, image.caption, image.image.size) == ("GIF", "c", (5, 4))


def test_transparency_is_left_out_of_jpeg_files() -> None:
    assert trackd.Image(np.zeros((2, 2, 4), np.uint8), file_type="jpg").image.mode == "RGB"


def test_an_image_of_an_image_is_the_same_picture() -> None:
    first = trackd.Image(RGB, caption="one", boxes={"b": {"box_data": [BOX]}})
    second = trackd.Image(first, grouping=2)
    assert second.read_bytes() == first.read_bytes()
    assert (second.caption, dict(second.boxes)) == ("one", {})
    assert trackd.Image(RGB, caption="one") == trackd.Image(RGB, caption="one")
    assert trackd.Image(RGB) != trackd.Image(RGB, caption="one")


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"data_or_path": np.zeros((3, 4, 7))}, ValueError, r"\[3, 4, 7\]"),
    ({"data_or_path": [[1]]}, AttributeError, "type builtins.list has no pixels"),
    ({"data_or_path": RGB, "file_type": "gif"}, ValueError, "'gif'"),
    ({"data_or_path": "nothing.png"}, FileNotFoundError, "nothing.png"),
    ({"data_or_path": RGB, "boxes": [1]}, ValueError, "boxes"),
    ({"data_or_path": RGB, "boxes": {"b": 3}}, KeyError, "'b'"),
    ({"data_or_path": RGB, "boxes": {"b": {}}}, KeyError, "box_data"),
    ({"data_or_path": RGB, "boxes": {"b": {"box_data": [{}]}}}, TypeError, "position"),
    (
        {"data_or_path": RGB, "boxes": {"b": {"box_data": [{**BOX, "class_id": "x"}]}}},
        TypeError,
        "class_id",
    ),
    (
        {"data_or_path": RGB, "boxes": {"b": {"box_data": [{**BOX, "scores": {"a": "x"}}]}}},
        TypeError,
        "score 'a'",
    ),
    ({"data_or_path": RGB, "masks": {"m": {"mask_data": RGB}}}, TypeError, "2-D"),
    (
        {"data_or_path": RGB, "masks": {"m": {"mask_data": np.full((1, 1), 256)}}},
        TypeError,
        "0 to 255",
    ),
    ({"data_or_path": RGB, "classes": [{"id": 1}]}, KeyError, "name"),
]


@pytest.mark.parametrize(("given", "error", "words"), REFUSED)
def test_what_cannot_be_an_image_is_refused(
    given: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        trackd.Image(**given)


def test_masks_hold_class_ids_as_grey_values() -> None:
    data = np.array([[0, 127], [128, 255]])
    mask = ImageMask({"mask_data": data}, "m")
    image = trackd.Image(RGB, masks={"m": mask})
    assert mask.class_labels == {i: f"class_{i}" for i in (0, 127, 128, 255)}
    assert image.classes == trackd.Classes([{"id": i, "name": f"class_{i}"} for i in data.flat])
    place = np.asarray(Pillow.open(io.BytesIO(mask.read_bytes())))
    assert (place == data).all()


def test_boxes_are_plain_json() -> None:
    torch = pytest.importorskip("torch")
    middle = {"middle": torch.tensor([1, 2]), "width": np.float32(3), "height": 4}
    boxes = BoundingBoxes2D({"box_data": [{"position": middle, "class_id": 1}]}, "b")
    assert boxes.boxes == [
        {"position": {"middle": [1, 2], "width": 3.0, "height": 4}, "class_id": 1}
    ]
    assert json.loads(boxes.read_bytes()) == {"box_data": boxes.boxes}


def test_labels_go_to_the_configuration(agent: SmallAgent) -> None:
    with trackd.init(project="p", id="r", mode="offline") as run:
        labels = {2: "car"}
        image = trackd.Image(
            RGB,
            boxes={"b": {"box_data": [BOX], "class_labels": labels}},
            masks={"m": {"mask_data": np.full((4, 5), 2), "class_labels": labels}},
        )
        run.log({"scene": image})
        run.log({"scene": [image]})
    records = agent.records()
    row = next(record.data for record in records if isinstance(record, Row))
    assert set(row["scene"]["boxes"]) == {"b"} and set(row["scene"]["masks"]) == {"m"}
    set_ = [part for r in records if isinstance(r, ConfigUpdate) for part in r.set]
    assert len([path for path, _ in set_ if path[0] == "_wandb"]) == 2  # not with every row
    kinds = {path[1]: (path[2], value["value"]) for path, value in set_ if len(path) == 3}
    assert kinds == {
        "bounding_box/class_labels": ("scene_wandb_delimeter_b", {"2": "car"}),
        "mask/class_labels": ("scene_wandb_delimeter_m", {"2": "car"}),
    }


def test_an_image_elsewhere_cannot_be_logged(agent: SmallAgent) -> None:
    image = trackd.Image("https://example.com/a/b.jpg?x=1")
    assert (image.format, image.reference) == ("jpg", "https://example.com/a/b.jpg?x=1")
    with (
        trackd.init(project="p", id="r", mode="offline") as run,
        pytest.raises(ValueError, match=r"example\.com"),
    ):
        run.log({"elsewhere": image})


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(trackd.Error, match=r"Image needs PIL.*pip install 'trackd\[media\]'"):
        trackd.Image(RGB)


@pytest.mark.parametrize(("symlink", "links", "is_symbolic"), [(True, 1, True), (False, 2, False)])
def test_files_of_the_user_may_be_linked_instead_of_copied(
    agent: SmallAgent, place: Path, symlink: bool, links: int, is_symbolic: bool
) -> None:
    del agent
    Pillow.fromarray(RGB).save(place / "a.png")
    settings = {"allow_media_symlink": True, "symlink": symlink}
    with trackd.init(project="p", id="r", mode="offline", settings=settings) as run:
        run.log({"a": trackd.Image("a.png")})
        [path] = (place / run.dir / "media" / "images").iterdir()
    assert (path.is_symlink(), (place / "a.png").stat().st_nlink) == (is_symbolic, links)
    assert path.read_bytes() == (place / "a.png").read_bytes()
