# Html, Molecule, Object3D and Histogram: forms, lists, names of files, refusals.
import io
import pathlib

import numpy as np
from confhelp import attempt, obs, sdk, write

write("page.html", "<html><body>x</body></html>")
write("m.pdb", "ATOM\n")
write("x.txt", "hi")
write("cube.obj", "v 0 0 0\n")
write("c.pts.json", "[[1,2,3]]")
run = sdk.init(project="conf", id="media", name="m", mode="offline")
h = sdk.Html("<b>1</b>")
run.log({"a": {"h": h}})
run.log({"again": h})
run.log({"list": [sdk.Html("<b>1</b>"), sdk.Html("<head></head>x"), sdk.Html("page.html")]})
run.log({"listsame": [h, h]})
run.log({"mixed": [sdk.Html("a", inject=False), sdk.Histogram([1, 2])]})
attempt("mixed_num", run.log, {"m": [1, sdk.Html("q")]})
attempt("media_in_list_dict", run.log, {"m": [{"x": sdk.Html("q")}]})
run.log({"empty": [], "emptyt": (), "r0": range(0)})
run.log({"tup": (sdk.Html("t1"), sdk.Html("t2"))})
run.log(
    {
        "path/with/slash": sdk.Html("s"),
        "../evil": sdk.Html("e"),
        "/abs": sdk.Html("f"),
        "a b:c": sdk.Html("g"),
    }
)
run.log({"st": sdk.Html("step")}, step=50)
run.log({"st2": sdk.Html("step2")})
run.log({"st3": sdk.Html("step3")}, commit=False)
run.log({"st4": sdk.Html("step4")}, commit=True)
run.log({"st5": sdk.Html("step5")})
run.log({"st6": sdk.Html("s6")}, step=3)
run.log(
    {
        "mols": [
            sdk.Molecule("m.pdb", caption="c1"),
            sdk.Molecule(io.StringIO("X"), file_type="sdf", caption="c2"),
        ]
    }
)
run.log({"mols2": [sdk.Molecule("m.pdb"), sdk.Molecule(open("m.pdb"))]})  # noqa: SIM115
attempt("mol_no_type", sdk.Molecule, io.StringIO("x"))
attempt("mol_bad_type", sdk.Molecule, io.StringIO("x"), file_type="zip")
attempt("mol_int", sdk.Molecule, 5)
attempt("mol_missing", sdk.Molecule, "nope.pdb")
attempt("html_int", sdk.Html, 5)
run.log(
    {
        "html_txt_path": sdk.Html("x.txt"),
        "html_io": sdk.Html(io.StringIO("<head>io</head>")),
        "html_file": sdk.Html(open("page.html")),  # noqa: SIM115
        "html_path": sdk.Html(pathlib.Path("page.html"), inject=False),
        "notpath": sdk.Html("page.html", data_is_not_path=True),
    }
)
attempt("html_path_missing", sdk.Html, pathlib.Path("nope.html"))
pts = np.arange(12.0).reshape(4, 3)
run.log(
    {
        "p3": sdk.Object3D(pts),
        "p4": sdk.Object3D(np.ones((2, 4))),
        "p6": sdk.Object3D(np.ones((2, 6), np.uint8), caption="cap"),
    }
)
attempt("p5", sdk.Object3D, np.ones((2, 5)))
attempt("p1d", sdk.Object3D, np.ones(3))
attempt("plist", sdk.Object3D, [[1, 2, 3]])
attempt("o_unknown", sdk.Object3D, "x.txt")
attempt("o_badtype", sdk.Object3D, {"type": "zzz"})
attempt("o_dict", sdk.Object3D, {"a": 1})
attempt("o_io", sdk.Object3D, io.StringIO("v"))
run.log(
    {
        "obj": sdk.Object3D("cube.obj"),
        "objf": sdk.Object3D(open("cube.obj")),  # noqa: SIM115
        "ptsfile": sdk.Object3D("c.pts.json"),
        "oio": sdk.Object3D(io.StringIO("v 1"), file_type="obj"),
        "from_file": sdk.Object3D.from_file("cube.obj"),
        "from_np": sdk.Object3D.from_numpy(pts),
    }
)
run.log({"objs": [sdk.Object3D(pts), sdk.Object3D("cube.obj")]})
box = sdk.box3d(
    center=(0, 1, 2),
    size=(1, 2, 3),
    orientation=(1, -0.5, 0.2, 0),
    color=(1, 0, 0.5),
    label="b",
    score=0.5,
)
run.log(
    {
        "cloud": sdk.Object3D.from_point_cloud(
            points=[(1, 2, 3), (4, 5, 6)],
            boxes=[
                box,
                sdk.box3d(
                    center=np.zeros(3), size=np.ones(3), orientation=[0, 0, 0, 2], color=(0, 0, 0)
                ),
            ],
            vectors=[{"start": (0, 0, 0), "end": (1, 1, 1)}],
        )
    }
)
run.log({"cloud2": sdk.Object3D.from_point_cloud(points=pts, boxes=[])})
run.log({"scene": sdk.Object3D({"type": "lidar/beta", "points": pts, "boxes": np.array([box])})})
attempt("cloud_type", sdk.Object3D.from_point_cloud, [], [], None, "x")
attempt(
    "box_zero",
    sdk.box3d,
    center=(0, 0, 0),
    size=(1, 1, 1),
    orientation=(0, 0, 0, 0),
    color=(0, 0, 0),
)
attempt("fromnp", sdk.Object3D.from_numpy, [1])
run.summary["html"] = sdk.Html("sum")
run.summary["nest"] = {"h": sdk.Html("deep"), "hist": sdk.Histogram([1, 2, 3], num_bins=2)}
run.summary["hl"] = [sdk.Html("l1"), sdk.Html("l2")]
run.summary.update({"hx": h})
attempt("hist_none", sdk.Histogram)
attempt("hist_strings", sdk.Histogram, ["a"])
run.log(
    {
        "h1": sdk.Histogram(np_histogram=([1, 2], [0, 1, 2])),
        "h2": sdk.Histogram(np_histogram=(np.array([1.5, 2]), np.array([0, 1, 2]))),
        "h3": sdk.Histogram([float(x) for x in range(10)], num_bins=512),
    }
)
obs(
    "histattr",
    [sdk.Histogram([1, 2], num_bins=2).histogram, sdk.Histogram([1, 2], num_bins=2).bins],
)
attempt("cfg_media", run.config.update, {"m": h})
run.finish()
