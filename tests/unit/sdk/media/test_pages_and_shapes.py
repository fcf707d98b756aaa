"""Html, Molecule and Object3D: the forms in which scripts give them."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trackd

HEAD = (
    '<base target="_blank"><link rel="stylesheet" type="text/css" '
    'href="https://app.wandb.ai/normalize.css" />'
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.html").write_text("<html>file</html>")
    (tmp_path / "page.txt").write_text("no page")
    (tmp_path / "m.pdb").write_text("ATOM\n")
    (tmp_path / "cube.obj").write_text("v 0 0 0\n")
    (tmp_path / "cloud.pts.json").write_text("[[1,2,3]]")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("<b>x</b>", f"{HEAD}<b>x</b>"),
        ("<head></head>x", f"<head>{HEAD}</head>x"),
        ("<html>x", f"<html><head>{HEAD}</head>x"),
        ("page.html", f"<html><head>{HEAD}</head>file</html>"),
        (Path("page.html"), f"<html><head>{HEAD}</head>file</html>"),
        ("page.txt", f"{HEAD}page.txt"),
        (io.StringIO(" io "), f"{HEAD} io"),
        ("x" * 5000, HEAD + "x" * 5000),
        ("\0.html", f"{HEAD}\0.html"),
    ],
)
def test_a_page_gets_a_head(given: Any, kept: str) -> None:
    page = trackd.Html(given)
    assert page.html == kept
    assert page.read_bytes() == kept.encode()


def test_a_page_is_kept_as_it_is_on_request() -> None:
    assert trackd.Html("<b>", inject=False).read_bytes() == b"<b>"
    assert trackd.Html("page.html", inject=False).html == "<html>file</html>"
    assert trackd.Html("page.html", inject=False, data_is_not_path=True).html == "page.html"


@pytest.mark.parametrize("given", [5, None, Path("nowhere.html"), Path("page.txt"), b"x"])
def test_what_is_no_page_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="Html: data is of type"):
        trackd.Html(given)


def test_text_is_not_read_from_bytes() -> None:
    with pytest.raises(TypeError, match="Html: a file of bytes: open it as text"):
        trackd.Html(io.BytesIO(b"x"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Molecule: a file of bytes"):
        trackd.Molecule(io.BytesIO(b"x"), file_type="pdb")  # type: ignore[arg-type]


def test_molecules_come_from_paths_and_files() -> None:
    for given in ("m.pdb", Path("m.pdb")):
        assert trackd.Molecule(given).read_bytes() == b"ATOM\n"
    with Path("m.pdb").open() as file:
        assert trackd.Molecule(file).read_bytes() == b"ATOM\n"
    assert trackd.Molecule(io.StringIO("X"), caption="c", file_type="sdf").caption == "c"


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ("page.html", {}, "'page.html' is of no known format: use cif, "),
        (io.StringIO("X"), {}, "needs file_type="),
        (io.StringIO("X"), {"file_type": "zip"}, "file_type='zip' is of no known format"),
        (5, {}, "data_or_path is of type int"),
    ],
)
def test_what_is_no_molecule_is_refused(given: Any, options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trackd.Molecule(given, **options)


def test_molecules_of_rdkit() -> None:
    chem: Any = pytest.importorskip("rdkit.Chem")
    assert b"HETATM" in trackd.Molecule.from_smiles("CO").read_bytes()
    flat = trackd.Molecule.from_rdkit(chem.MolFromSmiles("CO"), convert_to_3d_and_optimize=False)
    assert flat.read_bytes().count(b"HETATM") == 2
    with pytest.raises(ValueError, match="is no SMILES text"):
        trackd.Molecule.from_smiles("((")
    with pytest.raises(TypeError, match="data_or_path is of type int"):
        trackd.Molecule.from_rdkit(5)


@pytest.mark.parametrize("width", [3, 4, 6])
def test_points_are_stored_as_lists(width: int) -> None:
    points = np.arange(2.0 * width).reshape(2, width)
    for made in (trackd.Object3D(points), trackd.Object3D.from_numpy(points)):
        assert json.loads(made.read_bytes()) == points.tolist()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ones((2, 5)), r"an array of shape \(2, 5\)"),
        (np.ones(3), r"an array of shape \(3,\)"),
        ([[1, 2, 3]], "data_or_path is of type list"),
        ("page.txt", "'page.txt' is of no known format"),
        ("cube_obj", "'cube_obj' is of no known format"),
        ({"type": "other"}, "a scene of type 'other'"),
        ({"points": []}, "data_or_path is of type dict"),
        (io.StringIO("v"), "needs file_type="),
    ],
)
def test_what_is_no_object_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trackd.Object3D(given)


def test_models_come_from_paths_and_files() -> None:
    with Path("cube.obj").open() as file:
        named = trackd.Object3D(file)
    for made in (trackd.Object3D("cube.obj"), trackd.Object3D.from_file("cube.obj"), named):
        assert made.read_bytes() == b"v 0 0 0\n"
    assert trackd.Object3D("cloud.pts.json").read_bytes() == b"[[1,2,3]]"
    assert trackd.Object3D(io.BytesIO(b"\xff"), file_type="glb").read_bytes() == b"\xff"


def test_a_model_is_no_part_of_an_artifact() -> None:
    artifact = trackd.Artifact("shapes", "dataset")
    with pytest.raises(ValueError, match="point clouds only"):
        artifact.add(trackd.Object3D("cube.obj"), "cube")
    entry = artifact.add(trackd.Object3D(np.ones((1, 3))), "cloud")
    assert entry.path == "cloud.object3D-file.json"


def test_a_scene_has_points_boxes_and_vectors() -> None:
    box = trackd.box3d(
        center=(1, 2, 3), size=(2, 4, 6), orientation=(1, 0, 0, 0), color=(1, 0, 0), label="b"
    )
    arrow = {"start": (0, 0, 0), "end": (1, 1, 1)}
    made = trackd.Object3D.from_point_cloud([(1, 2, 3)], [box], [arrow])
    scene = json.loads(made.read_bytes())
    assert scene["type"] == "lidar/beta"
    assert scene["points"] == [[1, 2, 3]]
    assert scene["vectors"] == [{"start": [0, 0, 0], "end": [1, 1, 1]}]
    assert scene["boxes"][0]["label"] == "b"
    assert scene["boxes"][0]["corners"] == [
        [x, y, z] for x in (0, 2) for y in (0, 4) for z in (0, 6)
    ]


def test_a_box_can_be_turned() -> None:
    half = np.sqrt(0.5)
    box = trackd.box3d(
        center=(0, 0, 0), size=(2, 4, 6), orientation=(half, 0, 0, half), color=(0, 0, 0)
    )
    # A quarter turn about z: what was 2 wide and 4 high is 4 wide and 2 high.
    assert np.allclose(np.ptp(np.array(box["corners"]), axis=0), (4, 2, 6))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"orientation": (0, 0, 0, 0)}, "orientation is zero"),
        ({"center": (1, 2)}, r"center has shape \(2,\): give 3 numbers"),
        ({"size": 1.0}, r"size has shape \(\): give 3 numbers"),
    ],
)
def test_what_is_no_box_is_refused(changes: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"center": (0, 0, 0), "size": (1, 1, 1), "orientation": (1, 0, 0, 0)}
    with pytest.raises(ValueError, match=message):
        trackd.box3d(**{**given, **changes}, color=(0, 0, 0))


def test_a_temporary_file_has_no_path() -> None:
    with tempfile.TemporaryFile("w+") as file:
        file.write("ATOM")
        assert trackd.Molecule(file, file_type="pdb").read_bytes() == b"ATOM"
        assert trackd.Object3D(file, file_type="obj").read_bytes() == b"ATOM"
