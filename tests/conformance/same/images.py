# Image: arrays, files, boxes, masks, lists, refusals.
# volatile: png jpg bmp wav mp4 gif webm
import numpy as np
from confhelp import attempt, obs, sdk, write
from PIL import Image as PI

run = sdk.init(project="conf", id="images", name="s", mode="offline")
rgb = (np.arange(4 * 5 * 3) % 256).reshape(4, 5, 3).astype(np.uint8)
run.log({"rgb": sdk.Image(rgb)})
run.log(
    {
        "gray": sdk.Image(rgb[:, :, 0]),
        "gray1": sdk.Image(rgb[:, :, :1]),
        "rgba": sdk.Image(np.dstack([rgb, rgb[:, :, 0]])),
    }
)
run.log(
    {
        "float": sdk.Image(np.linspace(0, 1, 12).reshape(3, 4)),
        "floatneg": sdk.Image(np.linspace(-1, 1, 12).reshape(3, 4)),
        "big": sdk.Image(np.linspace(0, 300, 12).reshape(3, 4)),
    }
)


def px(im):
    return [int(v) for v in np.asarray(im.image).ravel()]


obs("px_float", px(sdk.Image(np.linspace(0, 1, 12).reshape(3, 4))))
obs("px_int", px(sdk.Image(np.arange(12).reshape(3, 4) * 30)))
obs("px_mode", sdk.Image(rgb, mode="L").image.mode)
run.log({"cap": sdk.Image(rgb, caption="hello", grouping=3, mode="L")})
run.log(
    {
        "jpg": sdk.Image(rgb, file_type="jpg"),
        "bmp": sdk.Image(rgb, file_type="bmp"),
        "jpga": sdk.Image(np.dstack([rgb, rgb[:, :, 0]]), file_type="jpeg"),
    }
)
attempt("badtype", sdk.Image, rgb, file_type="gif")
attempt("badshape", sdk.Image, np.zeros((3, 4, 7)))
attempt("list", sdk.Image, [[1, 2], [3, 4]])
attempt("none", sdk.Image, None)
attempt("int", sdk.Image, 3)
attempt("nofile", sdk.Image, "nofile.png")
write("text.png", "not an image")
attempt("noimage", sdk.Image, "text.png")
PI.fromarray(rgb).save("pic.PNG")
PI.fromarray(rgb).save("pic.gif")
run.log({"path": sdk.Image("pic.PNG"), "gif": sdk.Image("pic.gif", caption="")})
run.log({"pil": sdk.Image(PI.fromarray(rgb)), "pilp": sdk.Image(PI.fromarray(rgb).convert("P"))})
run.log({"list": [sdk.Image(rgb), sdk.Image(rgb[::-1])]})
run.log({"captions": [sdk.Image(rgb, caption="a"), sdk.Image(rgb[::-1])]})
run.log({"captions2": [sdk.Image(rgb), sdk.Image(rgb[::-1], caption="b")]})
boxes = {
    "pred": {
        "box_data": [
            {
                "position": {"minX": 0.1, "maxX": 0.2, "minY": 0.3, "maxY": 0.4},
                "class_id": 2,
                "box_caption": "c",
                "scores": {"acc": 0.5, "np": np.float64(0.25)},
            },
            {
                "position": {"middle": [1, 2], "width": 3, "height": 4},
                "domain": "pixel",
                "class_id": 1,
            },
        ],
        "class_labels": {1: "a", 2: "b"},
    },
    "gt": {
        "box_data": [
            {"position": {"minX": 0.1, "maxX": 0.2, "minY": 0.3, "maxY": 0.4}, "class_id": 7}
        ]
    },
}
masks = {
    "m": {"mask_data": np.arange(20).reshape(4, 5) % 3, "class_labels": {0: "z", 1: "o"}},
    "n": {"mask_data": np.full((4, 5), 200)},
}
run.log({"boxed": sdk.Image(rgb, boxes=boxes, masks=masks, classes=[{"id": 0, "name": "zero"}])})
run.log(
    {
        "lists": [
            sdk.Image(rgb, boxes=boxes),
            sdk.Image(rgb[::-1], masks={"m": {"mask_data": np.zeros((4, 5), dtype=np.uint8)}}),
        ]
    }
)
PI.fromarray(rgb[:, :, 0]).save("mask.png")
run.log({"mp": sdk.Image(rgb, masks={"file": {"path": "mask.png"}})})


def img(**k):
    return sdk.Image(rgb, **k)


attempt("boxes_list", img, boxes=[1])
attempt("boxes_item", img, boxes={"a": 3})
attempt("boxes_nodata", img, boxes={"a": {}})
attempt("boxes_nopos", img, boxes={"a": {"box_data": [{}]}})
attempt("boxes_badpos", img, boxes={"a": {"box_data": [{"position": {"minX": 1}}]}})
attempt(
    "boxes_npcls",
    img,
    boxes={
        "a": {
            "box_data": [
                {"position": {"minX": 1, "maxX": 2, "minY": 1, "maxY": 2}, "class_id": np.int64(3)}
            ]
        }
    },
)
attempt(
    "boxes_nocls",
    img,
    boxes={"a": {"box_data": [{"position": {"minX": 1, "maxX": 2, "minY": 1, "maxY": 2}}]}},
)
attempt(
    "boxes_cap",
    img,
    boxes={
        "a": {
            "box_data": [
                {
                    "position": {"minX": 1, "maxX": 2, "minY": 1, "maxY": 2},
                    "class_id": 1,
                    "box_caption": 3,
                }
            ]
        }
    },
)
attempt(
    "boxes_score",
    img,
    boxes={
        "a": {
            "box_data": [
                {
                    "position": {"minX": 1, "maxX": 2, "minY": 1, "maxY": 2},
                    "class_id": 1,
                    "scores": {"a": "b"},
                }
            ]
        }
    },
)
attempt(
    "boxes_scores",
    img,
    boxes={
        "a": {
            "box_data": [
                {
                    "position": {"minX": 1, "maxX": 2, "minY": 1, "maxY": 2},
                    "class_id": 1,
                    "scores": [1],
                }
            ]
        }
    },
)
attempt("boxes_labels", img, boxes={"a": {"box_data": [], "class_labels": {"a": "b"}}})
attempt("boxes_data", img, boxes={"a": {"box_data": {"a": 1}, "class_labels": {}}})
attempt("masks_list", img, masks=[1])
attempt("masks_item", img, masks={"a": 3})
attempt("masks_nodata", img, masks={"a": {}})
attempt("masks_3d", img, masks={"a": {"mask_data": rgb}})
attempt("masks_neg", img, masks={"a": {"mask_data": np.full((4, 5), -1)}})
attempt("masks_big", img, masks={"a": {"mask_data": np.full((4, 5), 256)}})
attempt("masks_pylist", img, masks={"a": {"mask_data": [[0, 1], [1, 0]]}})
attempt("classes_bad", img, classes=[{"id": 1}])
attempt("Classes_bad", sdk.Classes, [{"name": 1}])
ref = sdk.Image("https://example.com/a/b.jpg?x=1")
attempt("log_ref", run.log, {"ref": ref})
im = sdk.Image(rgb, caption="one")
run.log({"same": im})
run.log({"same": im, "again": im})
run.log({"copy": sdk.Image(im, caption="two")})
run.log({"nest": {"deep": sdk.Image(rgb), "l": [sdk.Image(rgb)]}, "a/b/c": sdk.Image(rgb)})
run.log(
    {"sq": sdk.Image(rgb[None, :, :, :]), "row": sdk.Image(rgb[:1]), "col": sdk.Image(rgb[:, :1])}
)
run.log({"bool": sdk.Image(rgb[:, :, 0] > 20)})
run.summary["img"] = sdk.Image(rgb)
run.log({"empty": []})
run.log({"tuple": (sdk.Image(rgb), sdk.Image(rgb[::-1]))})
run.log({"st": sdk.Image(rgb)}, step=100)
run.log({"dot.key": sdk.Image(rgb), "sp ace": sdk.Image(rgb)})
run.finish()
