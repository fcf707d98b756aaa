# Image from torch, matplotlib and Pillow, in odd places; frames of other kinds.
# volatile: png jpg bmp wav mp4 gif webm
import pathlib

import matplotlib
import numpy as np
import torch

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from confhelp import attempt, obs, sdk, write
from PIL import Image as PI

run = sdk.init(project="conf", id="images2", name="s", mode="offline")
t = torch.arange(3 * 4 * 5).reshape(3, 4, 5)


def px(im):
    return [int(v) for v in np.asarray(im.image).ravel()][:20]


obs("t_int", px(sdk.Image(t)))
obs("t_u8", px(sdk.Image(t.to(torch.uint8))))
obs("t_f", px(sdk.Image(t.float() / 60)))
obs("t_1", px(sdk.Image(t[:1])))
obs("t_grad", px(sdk.Image(torch.ones(3, 2, 2, requires_grad=True) * 7)))
obs("t_4ch", sdk.Image(torch.zeros(4, 2, 2)).image.mode)
obs("bool_px", px(sdk.Image(np.array([[True, False], [False, True]]))))
obs("i16", px(sdk.Image(np.array([[300, -5], [0, 255]], dtype=np.int16))))
obs("f32neg", px(sdk.Image(np.array([[0.2, 3.7], [254.9, 12.0]], dtype=np.float32))))
run.log({"t": sdk.Image(t), "t1": sdk.Image(t[:1])})
attempt("t_2ch", sdk.Image, torch.zeros(2, 3, 3))
attempt("np_2ch", sdk.Image, np.zeros((3, 3, 2)))
attempt("np_5d", sdk.Image, np.zeros((2, 3, 3, 3)))
attempt("np_1d", sdk.Image, np.zeros(6))
attempt("empty", sdk.Image, np.zeros((0, 3)))
fig, ax = plt.subplots(figsize=(1, 1))
ax.plot([1, 2, 3])
run.log(
    {
        "fig": sdk.Image(fig),
        "ax": sdk.Image(ax),
        "plt": sdk.Image(plt, caption="p"),
        "figjpg": sdk.Image(fig, file_type="jpg"),
    }
)
obs("figsize", list(sdk.Image(fig).image.size))
attempt("line", sdk.Image, ax.lines[0])
PI.new("RGB", (3, 2)).save("p.png")
run.log({"pathlib": sdk.Image(pathlib.Path("p.png"))})
PI.new("RGBA", (3, 2)).save("q.webp")
run.log({"webp": sdk.Image("q.webp")})
im = sdk.Image(np.full((2, 2), 7, dtype=np.uint8))
run.log({"one": im}, commit=False)
run.log({"one": sdk.Image(np.full((2, 2), 9, dtype=np.uint8))}, commit=False)
run.log({"x": 1})
run.log({"inlist": [im]})
run.log({"back": im})
attempt("mixedlist", run.log, {"mixedlist": [sdk.Image(np.full((2, 2), 3, dtype=np.uint8)), 5]})
attempt("listoflist", run.log, {"ll": [[sdk.Image(np.full((2, 2), 3, dtype=np.uint8))]]})
attempt("rawpil", run.log, {"pil": PI.new("L", (2, 2))})
attempt(
    "grouping0", lambda: run.log({"gr": sdk.Image(np.full((2, 2), 3, dtype=np.uint8), grouping=0)})
)
run.log({"capint": sdk.Image(np.full((2, 2), 3, dtype=np.uint8), caption=3)})
run.summary["nested"] = {"im": sdk.Image(np.full((2, 2), 8, dtype=np.uint8))}
run.summary.update({"l": [sdk.Image(np.full((2, 2), 8, dtype=np.uint8))]})
attempt("cfg", lambda: run.config.update({"im": sdk.Image(np.full((2, 2), 8, dtype=np.uint8))}))
obs(
    "eq",
    [
        sdk.Image(t) == sdk.Image(t),
        sdk.Image(t) == sdk.Image(t, caption="x"),
        sdk.Image(t) != sdk.Image(t[:1]),
        sdk.Image(t) == 3,
    ],
)
obs("attrs", [sdk.Image(t).format, sdk.Image(t, file_type="jpg").format])
masks = {"m": {"mask_data": torch.arange(20).reshape(4, 5)}}
run.log(
    {
        "tm": sdk.Image(
            t,
            masks=masks,
            boxes={
                "b": {
                    "box_data": [
                        {
                            "position": {"middle": torch.tensor([1, 2]), "width": 2, "height": 3},
                            "class_id": 1,
                        }
                    ]
                }
            },
        )
    }
)
run.log({"umlaut ü/é": sdk.Image(t)})
v = torch.zeros((2, 3, 16, 16), dtype=torch.uint8)
run.log({"tv": sdk.Video(v, format="gif")})
write("m.mp4", "z")
run.log({"pv": sdk.Video(pathlib.Path("m.mp4"), caption="x")})
attempt("vnone", sdk.Video, None, format="gif")
attempt("anone", sdk.Audio, None)
attempt("anone2", sdk.Audio, None, sample_rate=3)
attempt("adir", sdk.Audio, ".")
attempt("idir", sdk.Image, ".")
b = (
    sdk.data_types.BoundingBoxes2D(
        {
            "box_data": [{"position": {"minX": 0, "maxX": 1, "minY": 0, "maxY": 1}, "class_id": 4}],
            "class_labels": {4: "four"},
        },
        "own",
    )
    if hasattr(sdk.data_types, "BoundingBoxes2D")
    else None
)
if b is not None:
    run.log({"madebox": sdk.Image(t, boxes={"given": b})})
m = (
    sdk.data_types.ImageMask(
        {"mask_data": np.zeros((4, 5), dtype=int), "class_labels": {0: "z"}}, "own"
    )
    if hasattr(sdk.data_types, "ImageMask")
    else None
)
if m is not None:
    run.log({"mademask": sdk.Image(t, masks={"given": m})})
obs("dt", [b is None, m is None])
run.finish()
attempt("after", run.log, {"x": sdk.Image(t)})
