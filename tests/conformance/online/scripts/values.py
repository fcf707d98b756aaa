# Tables and media are read back from artifacts, and referred to from others and from rows.
import datetime

import numpy as np
from sameness import arrived, attempt, note, sdk, start, tree, write

write("page.html", "<html><body>hi</body></html>")
day = datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)
run = start()
image = sdk.Image(
    np.arange(48, dtype=np.uint8).reshape(4, 4, 3),
    caption="c",
    classes=[{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    masks={"m": {"mask_data": np.ones((4, 4), dtype=np.uint8), "class_labels": {1: "cat"}}},
    boxes={
        "b": {
            "box_data": [
                {
                    "position": {"minX": 0, "maxX": 0.5, "minY": 0, "maxY": 0.5},
                    "class_id": 1,
                    "scores": {"acc": 0.5},
                }
            ],
            "class_labels": {1: "cat"},
        }
    },
)
plain = sdk.Table(
    columns=["i", "f", "s", "n", "t", "l", "b"],
    data=[
        [1, 1.5, "x", None, day, [1, 2], True],
        [2, float("nan"), "y", None, day, [3], False],
    ],
)
media = sdk.Table(columns=["id", "image", "html"], data=[[1, image, sdk.Html("page.html")]])
arrays = sdk.Table(columns=["a", "v"], data=[[np.ones((2, 200)), np.zeros(3)] for _ in range(2)])
keys = sdk.Table(columns=["key", "value"], data=[["a", 1], ["b", 2]])
keys.set_pk("key")
refers = sdk.Table(columns=["key"], data=[["a"], ["b"]])
refers.set_fk("key", keys, "key")
art = sdk.Artifact("vals", "dataset")
for name, value in {
    "plain": plain,
    "media": media,
    "arrays": arrays,
    "keys": keys,
    "refers": refers,
    "image": image,
    "html": sdk.Html("<p>x</p>"),
    "classes": sdk.Classes([{"id": 1, "name": "one"}]),
}.items():
    art.add(value, name)
art.add(sdk.JoinedTable("plain.table.json", "keys.table.json", "i"), "joined")
art.add(sdk.Table(columns=["p"], data=[[1]]), "parts/one")
art.add(sdk.Table(columns=["p"], data=[[2]]), "parts/two")
art.add(sdk.data_types.PartitionedTable("parts"), "whole")
run.log_artifact(art).wait()
note("entries", sorted(entry for entry in art.manifest.entries if "media/" not in entry))
got = run.use_artifact("vals:latest")
note("no such value", got.get("absent"))
note("no such value", got["absent"])
for name in ("plain", "keys", "refers"):
    table = got.get(name)
    note(name, [table.columns, [[str(cell) for cell in row] for row in table.data]])
note("types", [str(type(cell).__name__) for cell in got.get("plain").data[0]])
note("by suffix", got.get("plain.table.json") is not None)
table = got.get("media")
note("cells", [type(cell).__name__ for cell in table.data[0]])
cell = table.data[0][1]
note("picture", [cell.image.size, list(cell.image.getpixel((1, 0)))])
note("html", table.data[0][2].html)
table = got.get("arrays")
note("arrays", [[list(np.shape(cell)) for cell in row] for row in table.data])
picture = got.get("image")
note("image", [type(picture).__name__, picture.image.size])
note("page", got["html"].html)
note("equal classes", got.get("classes") == sdk.Classes([{"id": 1, "name": "one"}]))
note("joined", type(got.get("joined")).__name__)
whole = got.get("whole")
note("parts", [[number, row] for number, row in whole.iterrows()])
entry = got.get_entry("plain")
note("entry", [entry.path, entry.ref])
note("url", entry.ref_url().split("/", 3)[3])
attempt("no target", entry.ref_target)

second = sdk.Artifact("refers", "dataset")
made = second.add(got.get("plain"), "again")
note("added", [made.path, made.ref.split("/", 3)[3], made.size])
made = second.add_reference(got.get_entry("html.html-file.json"), "page.json")[0]
note("reference", [made.path, made.ref.split("/", 3)[3], made.size])
mixed = sdk.Table(columns=["x"], data=[[got.get("image")]])
second.add(mixed, "mixed")
note(
    "mixed",
    sorted([e.path, bool(e.ref)] for e in second.manifest.entries.values() if "image" in e.path),
)
run.log_artifact(second).wait()
again = run.use_artifact("refers:latest")
table = again.get("again")
note("through reference", [table.columns, len(table.data)])
note("picture through reference", list(again.get("mixed").data[0][0].image.getpixel((1, 0))))
note("files", sorted(tree(again.download(root="refers"))))
before = f"run-{run.id}"
run.log({"table": sdk.Table(columns=["c"], data=[[1], [2]])})
run.log({"read": got.get("plain")})
run.finish()
run = start()
logged = arrived(run.use_artifact, f"{before}-table:latest")
note("logged table", [logged.type, sorted(logged.manifest.entries), logged.get("table").data])
read = arrived(run.use_artifact, f"{before}-read:latest")
note("logged again", [read.type, [bool(e.ref) for e in read.manifest.entries.values()]])
note("its rows", len(read.get("read").data))
run.finish()
