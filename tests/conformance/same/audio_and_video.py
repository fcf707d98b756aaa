# Audio and Video: samples, frames, files, bytes, lists, refusals.
# volatile: wav mp4 gif webm ogg
import io

import numpy as np
from confhelp import attempt, sdk, write

run = sdk.init(project="conf", id="av", name="s", mode="offline")
w = np.sin(np.arange(800) / 10)
run.log(
    {
        "a": sdk.Audio(w, sample_rate=8000),
        "c": sdk.Audio(w, sample_rate=8000, caption="x"),
        "stereo": sdk.Audio(np.stack([w, w], 1), 8000),
        "pl": sdk.Audio([0.0, 0.5, -0.5], 100),
    }
)
attempt("norate", sdk.Audio, w)
write("clip.mp3", "some bytes")
run.log({"p": sdk.Audio("clip.mp3", caption="c")})
attempt("nofile", sdk.Audio, "nothing.wav")
run.log({"l": [sdk.Audio("clip.mp3"), sdk.Audio(w, 4000, caption="z")]})
run.log({"l2": [sdk.Audio(w, 4000)]})
attempt("ref", run.log, {"r": sdk.Audio("s3://bucket/clip.wav")})
f = (np.arange(3 * 3 * 16 * 16) % 255).reshape(3, 3, 16, 16).astype(np.uint8)
run.log({"v": sdk.Video(f, format="gif"), "v2": sdk.Video(f, fps=2, format="mp4", caption="vv")})
run.log({"v5": sdk.Video(np.stack([f, f, f]), format="gif")})
attempt("nosamples", sdk.Audio, None, sample_rate=3)
attempt("noformat", sdk.Video, f)
attempt("badformat", sdk.Video, f, format="avi")
attempt("baddim", sdk.Video, f[0], format="gif")
attempt("list", sdk.Video, [1, 2], format="gif")
write("m.mp4", "bytes")
write("m.avi", "bytes")
run.log({"vp": sdk.Video("m.mp4", fps=3), "vb": sdk.Video(io.BytesIO(b"xyz"), format="webm")})
attempt("avi", sdk.Video, "m.avi")
attempt("novideo", sdk.Video, "n.mp4")
attempt("bytes_noformat", sdk.Video, io.BytesIO(b"x"))
write("m2.mp4", "bytes2")
run.log({"vl": [sdk.Video("m.mp4", caption="1"), sdk.Video("m2.mp4")]})
run.log({"vl2": [sdk.Video("m.mp4"), sdk.Video("m2.mp4", caption="2")]})
run.log({"mix": [sdk.Audio("clip.mp3"), sdk.Video("m.mp4")]})
run.summary["aud"] = sdk.Audio(w, 8000)
run.finish()
