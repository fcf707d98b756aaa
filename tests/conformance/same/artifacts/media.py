# Images and other media in artifacts.
import io
import json
import os
import pathlib

import numpy as np
from harness import case


def EL(env, l):
    return {k: env.error(v) for k, v in l}


def show(env, a, text=True):
    d = env.describe(a)
    if text:
        d["texts"] = {
            k: open(e.local_path).read()
            for k, e in sorted(a.manifest.entries.items())
            if k.endswith(".json") and e.local_path
        }
        for k, v in d["texts"].items():
            try:
                d["texts"][k] = json.dumps(json.loads(v)) == v and "same:" + v or v
            except Exception:
                pass
    return d


def one(env, obj, name="v", **k):
    a = env.artifact()
    e = a.add(obj, name, **k)
    return [str(e.path), show(env, a)]


def png(env, name="p.png", size=(4, 3), color=(10, 20, 30)):
    from PIL import Image

    Image.new("RGB", size, color).save(env.write(name, b""))
    return env.dir(name)


@case("images")
def _(env):
    I = env.sdk.Image
    p = png(env)
    import PIL.Image as P

    C = env.sdk.Classes([{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}])
    box = {
        "box_data": [
            {
                "position": {"minX": 0, "maxX": 0.5, "minY": 0, "maxY": 0.5},
                "class_id": 1,
                "scores": {"a": 0.5},
                "box_caption": "c",
            }
        ],
        "class_labels": {1: "cat"},
    }
    pix = {
        "box_data": [
            {
                "position": {"middle": [1, 1], "width": 2, "height": 2},
                "class_id": 1,
                "domain": "pixel",
            }
        ]
    }
    mask = {"mask_data": np.ones((3, 4), np.uint8), "class_labels": {1: "cat"}}
    arr = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    o = lambda f, n="v", **k: lambda: one(env, f(), n, **k)
    env.write("mask.png", open(png(env, "mm.png", color=(1, 1, 1)), "rb").read())

    def two():
        a = env.artifact()
        i = I(p)
        a.add(i, "x")
        a.add(i, "y")
        a.add(I(p), "z")
        return show(env, a)

    def same_content_other_file():
        a = env.artifact()
        q = png(env, "q/p.png")
        a.add(I(p), "x")
        a.add(I(q), "z")
        return show(env, a)

    def tab():
        t = env.sdk.Table(columns=["i"], data=[[I(p, caption="k")], [I(p)]])
        return one(env, t)

    def tabc():
        t = env.sdk.Table(
            columns=["i"], data=[[I(p, classes=C, boxes={"b": box}, masks={"m": mask})], [I(p)]]
        )
        return one(env, t)

    def tabcl():
        t = env.sdk.Table(columns=["i"])
        t.add_data(I(p, classes=C))
        return one(env, t)

    def fin():
        a = env.artifact()
        i = I(p)
        a.add(i, "x")
        a.finalize()
        b = env.artifact()
        e = b.add(i, "x")
        return [str(e.path), e.size, sorted(b.manifest.entries), e.ref.split("/", 3)[3]]

    def fintab():
        a = env.artifact()
        i = I(p)
        a.add(i, "x")
        a.finalize()
        b = env.artifact()
        t = env.sdk.Table(columns=["i"], data=[[i]])
        b.add(t, "x")
        return [sorted((k, (e.ref or "").split("://")[0]) for k, e in b.manifest.entries.items())]

    def imgfile():
        i = I(p)
        os.remove(p)
        r = one(env, i)
        png(env)
        return r

    return EL(
        env,
        [
            ("file", o(lambda: I(p))),
            ("file_pl", o(lambda: I(pathlib.Path(p)))),
            ("cap", o(lambda: I(p, caption="c"))),
            ("arr", o(lambda: I(arr))),
            ("arr_cap", o(lambda: I(arr, caption="ü"))),
            ("arr_mode", o(lambda: I(arr[:, :, 0], mode="L"))),
            ("arr_jpg", o(lambda: I(arr, file_type="jpg"))),
            ("pil", o(lambda: I(P.new("RGB", (2, 2))))),
            ("float", o(lambda: I(np.linspace(0, 1, 12).reshape(3, 4)))),
            ("classes", o(lambda: I(p, classes=C))),
            ("classes_l", o(lambda: I(p, classes=[{"id": 1, "name": "x"}]))),
            ("boxes", o(lambda: I(p, boxes={"b": box}))),
            ("boxes_c", o(lambda: I(p, boxes={"b": box}, classes=C))),
            ("pix", o(lambda: I(p, boxes={"b": pix}, classes=C))),
            ("pix_nc", o(lambda: I(p, boxes={"b": pix}))),
            ("mask", o(lambda: I(p, masks={"m": mask}))),
            ("mask_c", o(lambda: I(p, masks={"m": mask}, classes=C))),
            ("mask_nolab", o(lambda: I(p, masks={"m": {"mask_data": np.ones((3, 4), np.uint8)}}))),
            (
                "maskp",
                o(
                    lambda: I(
                        p,
                        masks={"m": {"path": env.dir("mask.png"), "class_labels": {1: "cat"}}},
                        classes=C,
                    )
                ),
            ),
            ("two_masks", o(lambda: I(p, masks={"m": mask, "n k/é": mask}, classes=C))),
            ("both", o(lambda: I(p, masks={"m": mask}, boxes={"b": box, "c": box}, classes=C))),
            ("name_sub", o(lambda: I(p), "a/b/c")),
            ("name_media", o(lambda: I(p), "media/images/x")),
            ("name_dot", o(lambda: I(p), ".")),
            ("name_suf", o(lambda: I(p), "x.image-file.json")),
            ("name_ext", o(lambda: I(p), "x.png")),
            ("name_up", o(lambda: I(p), "../x")),
            ("name_abs", o(lambda: I(p), "/x")),
            ("name_empty", o(lambda: I(p), "")),
            ("name_none", o(lambda: I(p), None)),
            ("name_int", o(lambda: I(p), 5)),
            ("name_pl", o(lambda: I(p), pathlib.PurePosixPath("k/l"))),
            ("two", two),
            ("sameother", same_content_other_file),
            ("tab", tab),
            ("tabc", tabc),
            ("tabcl", tabcl),
            ("fin", fin),
            ("fintab", fintab),
            ("imgfile", imgfile),
            ("norm_off", o(lambda: I(arr, normalize=False))),
            ("grouping", o(lambda: I(p, grouping=3))),
            ("bmp", o(lambda: I(arr, file_type="bmp"))),
            ("gif", o(lambda: I(arr, file_type="gif"))),
            ("badft", o(lambda: I(arr, file_type="zz"))),
        ],
    )


@case("other_media")
def _(env):
    s = env.sdk
    o = lambda f, n="v", **k: lambda: one(env, f(), n, **k)
    env.write("a.wav", b"RIFF....WAVE")
    env.write("v.mp4", b"mp4")
    env.write("h.html", "<b>x</b>")
    env.write("m.pdb", "ATOM")
    env.write("o.obj", "v 0 0 0")
    env.write("p.pts.json", "[[1,2,3]]")
    env.write("x.glb", b"glb")
    env.write("noext", b"x")
    env.write("g.gif", b"GIF89a")
    env.write("bk.json", "{}")
    return EL(
        env,
        [
            ("html", o(lambda: s.Html("<p>hi</p>"))),
            ("html_noinj", o(lambda: s.Html("<p>hi</p>", inject=False))),
            ("html_file", o(lambda: s.Html("h.html"))),
            ("html_fileni", o(lambda: s.Html("h.html", inject=False))),
            ("html_pl", o(lambda: s.Html(pathlib.Path("h.html")))),
            ("html_io", o(lambda: s.Html(io.StringIO("<i>")))),
            ("html_dns", o(lambda: s.Html("h.html", data_is_not_path=True))),
            ("audio", o(lambda: s.Audio("a.wav"))),
            ("audio_cap", o(lambda: s.Audio("a.wav", caption="c"))),
            ("audio_sr", o(lambda: s.Audio("a.wav", sample_rate=5, caption="c"))),
            ("audio_arr", o(lambda: s.Audio(np.zeros(10), sample_rate=8000))),
            ("audio_nosr", o(lambda: s.Audio(np.zeros(10)))),
            ("video", o(lambda: s.Video("v.mp4"))),
            ("video_cap", o(lambda: s.Video("v.mp4", caption="c"))),
            ("video_gif", o(lambda: s.Video("g.gif", format="gif"))),
            ("video_ext", o(lambda: s.Video("noext"))),
            ("mol", o(lambda: s.Molecule("m.pdb"))),
            ("mol_cap", o(lambda: s.Molecule("m.pdb", caption="c"))),
            ("mol_io", o(lambda: s.Molecule(io.StringIO("ATOM"), file_type="pdb"))),
            ("obj", o(lambda: s.Object3D("o.obj"))),
            ("obj_cap", o(lambda: s.Object3D("o.obj", caption="c"))),
            ("obj_pts", o(lambda: s.Object3D("p.pts.json"))),
            ("obj_arr", o(lambda: s.Object3D(np.zeros((2, 3))))),
            ("obj_arr6", o(lambda: s.Object3D(np.ones((2, 6))))),
            ("glb", o(lambda: s.Object3D("x.glb"))),
            (
                "obj_dict",
                o(
                    lambda: s.Object3D(
                        {
                            "type": "lidar/beta",
                            "points": np.array([[1, 2, 3]]),
                            "boxes": np.array([]),
                        }
                    )
                ),
            ),
            ("classes", o(lambda: s.Classes([{"id": 1, "name": "a"}]))),
            ("classes_dup", o(lambda: s.Classes([{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]))),
            ("classes_empty", o(lambda: s.Classes([]))),
            ("classes_x", o(lambda: s.Classes([{"id": 1, "name": "a", "color": "red"}]))),
            ("classes_bad", o(lambda: s.Classes([{"id": 1}]))),
            ("classes_s", o(lambda: s.Classes([{"id": "1", "name": 2}]))),
            ("classes_media", o(lambda: s.Classes([{"id": 1, "name": "a"}]), "media/cls")),
            ("hist", o(lambda: s.Histogram([1, 2]))),
            ("plotly", o(lambda: 5)),
            ("none", o(lambda: None)),
            ("str", o(lambda: "x")),
            ("dict", o(lambda: {})),
            ("art", o(lambda: env.artifact())),
            ("cls", o(lambda: s.Table)),
            ("img_cls", o(lambda: s.Image)),
            ("list", o(lambda: [s.Html("x")])),
            ("graph", o(lambda: s.Graph())),
            (
                "two_html",
                lambda: (
                    lambda a: (
                        a.add(s.Html("h.html"), "1"),
                        a.add(s.Html("h.html"), "2"),
                        show(env, a),
                    )[2]
                )(env.artifact()),
            ),
            ("mediatable", o(lambda: s.Table(columns=["a"], data=[[1]]), "media/tables/x")),
            ("mediatable2", o(lambda: s.Table(columns=["a"], data=[[1]]), "media/tables")),
            ("mediatable3", o(lambda: s.Table(columns=["a"], data=[[1]]), "media/tablesx/y")),
            ("mediatable4", o(lambda: s.Html("x"), "media/tables/h")),
            (
                "tabmix",
                o(
                    lambda: s.Table(
                        columns=["h", "a", "o"],
                        data=[[s.Html("h.html"), s.Audio("a.wav"), s.Object3D("o.obj")]],
                    )
                ),
            ),
            ("tab_opt", o(lambda: s.Table(columns=["h"], data=[[s.Html("h.html")], [None]]))),
            ("tab_v", o(lambda: s.Table(columns=["h"], data=[[s.Video("v.mp4")]]))),
            ("tab_m", o(lambda: s.Table(columns=["h"], data=[[s.Molecule("m.pdb")]]))),
            (
                "tab_cls",
                o(lambda: s.Table(columns=["h"], data=[[s.Classes([{"id": 1, "name": "x"}])]])),
            ),
            (
                "tab_listimg",
                o(lambda: s.Table(columns=["h"], data=[[[s.Html("h.html"), s.Html("h.html")]]])),
            ),
            ("tab_dictimg", o(lambda: s.Table(columns=["h"], data=[[{"k": s.Html("h.html")}]]))),
            (
                "tab_tab",
                o(lambda: s.Table(columns=["h"], data=[[s.Table(columns=["a"], data=[[1]])]])),
            ),
            ("tab_hist", o(lambda: s.Table(columns=["h"], data=[[s.Histogram([1, 2, 3])]]))),
            ("tab_art", o(lambda: s.Table(columns=["h"], data=[[env.artifact()]]))),
        ],
    )
