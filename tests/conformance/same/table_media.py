# Media in cells of tables.
# volatile: png wav
import numpy as np
from confhelp import attempt, sdk, write

T = sdk.Table
run = sdk.init(project="p", id="mm", name="s", mode="offline")
img = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
run.log(
    {
        "i": T(
            columns=["img", "k"],
            data=[[sdk.Image(img), 1], [sdk.Image(img[:, :, 0], caption="c"), 2]],
        )
    }
)
write("in/u.png", b"")
from PIL import Image as P

P.fromarray(img).save("in/u.png")
run.log(
    {"ipath": T(columns=["img"], data=[[sdk.Image("in/u.png")], [sdk.Image("in/u.png")], [None]])}
)
same = sdk.Image(img)
run.log({"isame": T(columns=["a", "b"], data=[[same, same]])})
run.log({"logged": same})
run.log({"isame2": T(columns=["a"], data=[[same]])})
boxes = {
    "pred": {
        "box_data": [
            {
                "position": {"minX": 0.1, "maxX": 0.2, "minY": 0.3, "maxY": 0.4},
                "class_id": 1,
                "scores": {"acc": 0.5},
            }
        ],
        "class_labels": {1: "car", 2: "bus"},
    }
}
masks = {"m": {"mask_data": np.array([[0, 1], [1, 0]]), "class_labels": {0: "bg", 1: "fg"}}}
b = sdk.Image(img, boxes=boxes, masks=masks, classes=[{"id": 1, "name": "car"}])
t = T(columns=["img"], data=[[b]])
t.add_data(
    sdk.Image(img, boxes={"gt": boxes["pred"]}, classes=sdk.Classes([{"id": 7, "name": "seven"}]))
)
attempt("boxes", run.log, {"b": t})
attempt("badtype", t.add_data, "x")
run.log(
    {"html": T(columns=["h"], data=[[sdk.Html("<p>x</p>")], [sdk.Html("<p>y</p>", inject=False)]])}
)
attempt("mol", run.log, {"mol": T(columns=["m"], data=[[sdk.Molecule(write("in/m.pdb", "ATOM"))]])})
attempt("o3d", run.log, {"o3": T(columns=["m"], data=[[sdk.Object3D(np.zeros((3, 3)))]])})
attempt(
    "o3dfile",
    run.log,
    {"o3f": T(columns=["m"], data=[[sdk.Object3D(write("in/m.obj", "v 0 0 0"))]])},
)
attempt(
    "audio",
    run.log,
    {"au": T(columns=["m"], data=[[sdk.Audio(np.zeros(10), sample_rate=10, caption="c")]])},
)
attempt(
    "audiof", run.log, {"au2": T(columns=["m"], data=[[sdk.Audio(write("in/a.wav", b"RIFF"))]])}
)
attempt("video", run.log, {"vi": T(columns=["m"], data=[[sdk.Video(write("in/a.mp4", b"xx"))]])})
attempt("listimg", run.log, {"li": T(columns=["m"], data=[[[sdk.Image(img)]]])})
attempt("dtype", T, columns=["a"], data=[[sdk.Image(img)]], dtype=sdk.Image)
attempt("dtypebad", T, columns=["a"], data=[[1]], dtype=sdk.Image)
c = sdk.Classes([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
attempt("get_type", lambda: run.log({"cl": T(columns=["a"], data=[[1], [2]], dtype=c.get_type())}))
attempt("classes", lambda: T(columns=["a"], data=[[3]], dtype=c.get_type()))
art = sdk.Artifact("media", "dataset")
attempt("addimg", art.add, sdk.Image(img), "one")
attempt("addbox", art.add, b, "boxed")
attempt("addcls", art.add, c, "cls")
attempt("addhtml", art.add, sdk.Html("<p>z</p>"), "doc")
attempt("addtable", art.add, T(columns=["i"], data=[[sdk.Image(img)]]), "tab")
run.log_artifact(art)
run.finish()
