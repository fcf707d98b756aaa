# volatile: wav
# Audio, Video, Object3D, Molecule, Html in single and list form.
import io
import wave

import numpy as np
from confhelp import attempt, obs, sdk, write

run = sdk.init(project="conf", id="mediafiles", mode="offline")
with wave.open("a.wav", "wb") as f:
    f.setnchannels(1)
    f.setsampwidth(2)
    f.setframerate(8000)
    f.writeframes(b"\0\0" * 800)
run.log({"aud": sdk.Audio("a.wav"), "aud_c": sdk.Audio("a.wav", caption="c", sample_rate=8000)})
run.log({"auds": [sdk.Audio("a.wav", caption="x"), sdk.Audio("a.wav")]})
attempt("aud_np", lambda: run.log({"audnp": sdk.Audio(np.zeros(80), sample_rate=8000)}))
attempt("aud_nosr", sdk.Audio, np.zeros(80))
attempt("aud_nofile", lambda: run.log({"x": sdk.Audio("nope.wav")}))
write("v.mp4", "fakebytes")
write("v.gif", "gifbytes")
write("v.avi", "x")
run.log({"vid": sdk.Video("v.mp4"), "gif": sdk.Video("v.gif", caption="cap", fps=4)})
run.log({"vids": [sdk.Video("v.mp4", caption="a"), sdk.Video("v.gif")]})
attempt("vid_bad", sdk.Video, "v.avi")
attempt("vid_bytes", lambda: run.log({"vb": sdk.Video(io.BytesIO(b"abc"), format="webm")}))
attempt("vid_bytes_nf", sdk.Video, io.BytesIO(b"abc"))
attempt("vid_arr_nf", sdk.Video, np.zeros((2, 3, 4, 4), np.uint8))
attempt("vid_fmt", sdk.Video, "v.mp4", format="zzz")
pc = np.array([[0.0, 0, 0], [1, 1, 1]])
run.log(
    {
        "pc": sdk.Object3D(pc),
        "pc4": sdk.Object3D(np.array([[0.0, 0, 0, 1]])),
        "pc6": sdk.Object3D(np.array([[0.0, 0, 0, 255, 0, 0]]), caption="c"),
    }
)
run.log(
    {
        "scene": sdk.Object3D(
            {
                "type": "lidar/beta",
                "points": pc,
                "boxes": np.array([{"corners": [[0, 0, 0]] * 8, "label": "b", "color": [1, 2, 3]}]),
                "vectors": np.array([]),
            }
        )
    }
)
write("o.obj", "v 0 0 0\n")
write("o.gltf", "{}")
write("p.pts.json", "[]")
write("o.xyz", "")
run.log(
    {
        "obj": sdk.Object3D("o.obj"),
        "gltf": sdk.Object3D(open("o.gltf")),
        "pts": sdk.Object3D("p.pts.json"),
    }
)
run.log({"objs": [sdk.Object3D(pc), sdk.Object3D("o.obj")]})
attempt("o_bad", sdk.Object3D, "o.xyz")
attempt("o_shape", sdk.Object3D, np.zeros((2, 5)))
attempt("o_type", sdk.Object3D, {"type": "zz"})
attempt("o_none", sdk.Object3D, 5)
attempt("from_numpy", lambda: run.log({"fn": sdk.Object3D.from_numpy(pc)}))
attempt(
    "from_pc", lambda: run.log({"fp": sdk.Object3D.from_point_cloud(points=[[0, 0, 0]], boxes=[])})
)
attempt("from_file", lambda: run.log({"ff": sdk.Object3D.from_file("o.obj", "obj")}))
write("m.pdb", "ATOM\n")
write("h.html", "<p>")
run.log(
    {
        "mols": [sdk.Molecule("m.pdb"), sdk.Molecule("m.pdb", caption="q")],
        "htmls": [sdk.Html("<a>"), sdk.Html("<b>", inject=False)],
    }
)
run.log(
    {
        "html_io": sdk.Html(io.StringIO("<head></head><i>x</i>")),
        "html_f": sdk.Html(open("h.html")),
        "html_doc": sdk.Html("<html><head><title>t</title></head><body>x</body></html>"),
        "htmlpath": sdk.Html("h.html", data_is_not_path=True),
    }
)
attempt("html_bad", sdk.Html, 5)
attempt("mol_bad", sdk.Molecule, io.StringIO("x"))
attempt("mol_rdkit", sdk.Molecule.from_smiles, "CC")
run.log(
    {
        "h": sdk.Histogram([1, 2, 2, 3]),
        "h64": sdk.Histogram(np.arange(100), num_bins=10),
        "nph": sdk.Histogram(np_histogram=np.histogram([1, 2, 3], bins=3)),
    }
)
attempt("h_513", sdk.Histogram, [1, 2], num_bins=513)
attempt("h_bad", sdk.Histogram, np_histogram=([1], [1]))
attempt("h_none", sdk.Histogram)
run.log({"hl": [sdk.Histogram([1, 2]), sdk.Histogram([3])]})
attempt(
    "box3d",
    lambda: sdk.box3d(center=(0, 0, 0), size=(1, 1, 1), orientation=(1, 0, 0, 0), color=(1, 2, 3)),
)
obs(
    "box3dv",
    str(
        sorted(
            sdk.box3d(center=(0, 0, 0), size=(1, 1, 1), orientation=(1, 0, 0, 0), color=(1, 2, 3))
        )
    ),
)
run.summary["sh"] = sdk.Html("<s>")
run.summary["shist"] = sdk.Histogram([1, 2])
run.summary["sarr"] = np.arange(100.0)
run.finish()
