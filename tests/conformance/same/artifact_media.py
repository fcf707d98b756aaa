# Media with more than one file in artifacts, and tables whose keys are no artifact names.
import wave

import numpy as np
from confhelp import attempt, obs, sdk, write

run = sdk.init(project="conf", id="art3", mode="offline")
a = sdk.Artifact("vals", "ds")
z = np.zeros((4, 4, 3), dtype=np.uint8)
cl = sdk.Classes([{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}])
obs("cls", str(a.add(cl, "cc").path))
img = sdk.Image(
    z,
    classes=cl,
    boxes={
        "p": {
            "box_data": [
                {
                    "position": {"minX": 0, "maxX": 1, "minY": 0, "maxY": 1},
                    "class_id": 1,
                    "box_caption": "b",
                    "scores": {"s": 0.5},
                }
            ],
            "class_labels": {1: "cat"},
        }
    },
    masks={"m": {"mask_data": np.ones((4, 4), dtype=np.uint8), "class_labels": {1: "cat"}}},
)
obs("i", str(a.add(img, "img").path))
t = sdk.Table(columns=["id", "img"], data=[[1, img]])
obs("t", str(a.add(t, "tab").path))
with wave.open("a.wav", "wb") as w:
    w.setparams((1, 2, 8000, 0, "NONE", ""))
    w.writeframes(b"\0\0" * 80)
obs("au", str(a.add(sdk.Audio("a.wav"), "au").path))
write("v.mp4", b"\0\0\0\x18ftypmp42")
attempt("video", a.add, sdk.Video("v.mp4"), "vid")
obs("o3", str(a.add(sdk.Object3D(np.zeros((3, 3))), "o3").path))
write("m.pdb", "HEADER\n")
obs("mol", str(a.add(sdk.Molecule("m.pdb"), "mol").path))
attempt("hist", a.add, sdk.Histogram([1, 2, 3]), "hist")
attempt("type", a.add, sdk.Plotly, "pl")
obs("paths", sorted(a.manifest.entries))
run.log_artifact(a)
# names by content follow the artifact's algorithm
x = sdk.Artifact("hashed", "ds", digest_algorithm="XXH128")
x.add(img, "img")
x.add(sdk.Html("<p>x</p>", inject=False), "page")
x.add(sdk.Table(columns=["a"], data=[[np.zeros((3, 300))]]), "media/tables/t")
obs("hashed", sorted([p, e.digest, e.size, e.extra] for p, e in x.manifest.entries.items()))
obs("algorithm", x.digest_algorithm.value)
# keys that are no artifact names
run.log({"grp/sc table": sdk.Table(columns=["a"], data=[[1]])})
run.log({"after": 1})
run.finish()
