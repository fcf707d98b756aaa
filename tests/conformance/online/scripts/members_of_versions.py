# Every member of a version: read, edited, downloaded in parts, checked, tampered with, deleted.
import os
from pathlib import Path

from sameness import attempt, facts, note, sdk, start, tree, write

for name, text in {
    "data/a.txt": "one",
    "data/deep/b.txt": "two",
    "data/deep/c.txt": "three",
    "data/deeper/d.txt": "4",
    "data/ü é.txt": "5",
}.items():
    write(name, text)
run = start()
run.log({"x": 1})
run.log({"x": 2})
art = sdk.Artifact("every", "dataset", description="d", metadata={"k": [1, {"z": None}]})
art.add_dir("data")
attempt("wait unlogged", art.wait, 1)
logged = run.log_artifact(art, aliases=["a", "b"], tags=["t one", "t"])
note("same object", logged is art)
art.wait(240)
note("facts", facts(art))
note("url", art.url.rsplit("/", 4)[1:])
attempt("id", lambda: [bool(art.id), bool(art.commit_hash)])
for name in (
    "history_step",
    "distributed_id",
    "incremental",
    "use_as",
    "source_collection",
    "collection",
):
    attempt(name, lambda name=name: getattr(getattr(art, name), "name", getattr(art, name)))
note("created", [len(art.created_at), art.created_at[10]])
for name in (
    "id",
    "name",
    "type",
    "version",
    "size",
    "digest",
    "state",
    "entity",
    "aliases_",
    "file_count",
    "created_at",
    "url",
):
    attempt("set " + name, setattr, art, name, "x")
art = run.use_artifact("every:a")
note("fetched", facts(art))
note("history", art.history_step)
attempt("files", lambda: sorted((f.name, f.size, f.mimetype, f.md5) for f in art.files()))
attempt(
    "files names",
    lambda: sorted(f.name for f in art.files(names=["a.txt", "deep/c.txt", "absent"])),
)
attempt(
    "files page",
    lambda: [len(art.files(per_page=2)), sorted(f.name for f in art.files(per_page=2))],
)
attempt("files per_page kw", lambda: sorted(f.name for f in art.files(["a.txt"], 1)))
attempt(
    "files index",
    lambda: [bool(art.files()[0].name), bool(art.files()[4].url), bool(art.files()[0].direct_url)],
)
attempt(
    "file download",
    lambda: Path(
        next(f for f in art.files() if f.name == "deep/b.txt")
        .download(root="files", replace=True)
        .name
    ).read_text(),
)
attempt("file of many", art.file)
attempt("get_path", lambda: Path(art.get_path("a.txt").download(root="gp")).read_text())
attempt("get_path absent", art.get_path, "nope")
attempt("get_entry absent", art.get_entry, "nope")
attempt("get_entry folder", art.get_entry, "deep")
attempt("get of a file", art.get, "a.txt")
attempt("get_added", art.get_added_local_path_name, "data/a.txt")
attempt("getitem", lambda: art["a.txt"])
entry = art.get_entry("deep/b.txt")
attempt(
    "entry",
    lambda: [
        entry.path,
        entry.size,
        entry.digest,
        entry.ref,
        entry.extra,
        bool(entry.birth_artifact_id),
    ],
)
attempt("entry url", lambda: entry.ref_url().rsplit("/", 2)[1:])
attempt("entry target", entry.ref_target)
attempt("entry download", lambda: entry.download())
attempt("entry root", lambda: entry.download(root="er"))
attempt("prefix", lambda: tree(art.download(root="p1", path_prefix="deep")))
attempt("prefix slash", lambda: tree(art.download(root="p2", path_prefix="deep/")))
attempt("prefix none", lambda: tree(art.download(root="p3", path_prefix="zz")))
attempt("prefix file", lambda: tree(art.download(root="p4", path_prefix="a.t")))
attempt("prefix dot", lambda: tree(art.download(root="p5", path_prefix="./deep")))
attempt("default root", lambda: [art.download(), sorted(tree(art.download()))])
attempt("path root", lambda: [str(art.download(root=Path("pr/x"))), sorted(tree("pr/x"))])
write("kept/foreign.txt", "f")
write("kept/a.txt", "wrong")
attempt("kept", lambda: tree(art.download(root="kept")))
attempt("verify foreign", art.verify, "kept")
attempt("checkout", lambda: [art.checkout(root="kept"), tree("kept")])
attempt("verify", art.verify, "kept")
write("kept/deep/b.txt", "tamper")
attempt("verify tampered", art.verify, "kept")
attempt("download mends", lambda: tree(art.download(root="kept")))
os.remove("kept/a.txt")
attempt("verify missing", art.verify, "kept")
attempt("verify absent", art.verify, "absent-root")
attempt("checkout default", lambda: art.checkout())
attempt("verify default", art.verify)
note(
    "json_encode",
    {
        k: (v if k not in ("id",) and "client" not in k.lower() else bool(v))
        for k, v in art.json_encode().items()
    },
)
attempt("logged_by", lambda: art.logged_by().id == run.id)
attempt("used_by", lambda: [r.id == run.id for r in art.used_by()])
for what, call in {
    "add_file": lambda: art.add_file("data/a.txt"),
    "add_dir": lambda: art.add_dir("data"),
    "add_reference": lambda: art.add_reference("foo://x", "x"),
    "remove": lambda: art.remove("a.txt"),
    "new_file": lambda: art.new_file("q").__enter__(),
    "add": lambda: art.add(sdk.Table(columns=["a"], data=[[1]]), "t"),
    "setitem": lambda: art.__setitem__("t", 1),
    "finalize": art.finalize,
    "is_draft": art.is_draft,
    "log again": lambda: run.log_artifact(art).wait().version,
    "eq": lambda: art == run.use_artifact("every:b"),
    "hash": lambda: bool(hash(art) or True),
    "len": lambda: len(art.manifest.entries),
    "unlink": art.unlink,
    "linked": lambda: art.linked_artifacts,
    "source": lambda: art.source_artifact.name,
    "draft same": lambda: art.new_draft().digest == art.digest,
}.items():
    attempt(what, call)
for value in (["x", "y"], [], ["latest"], ["a", "a"], "text", None, ["v3"], ["sp ace"], [""], [5]):
    attempt(f"aliases {value!r}", setattr, art, "aliases", value)
    attempt(f"aliases {value!r} saved", art.save)
    attempt(f"aliases {value!r} seen", lambda: sorted(run.use_artifact("every:v0").aliases))
    attempt("mine", lambda: sorted(art.aliases))
for value in (["x", "y y"], ["x", "x"], [], "text", ["bad!"], None, ["ü"]):
    attempt(f"tags {value!r}", setattr, art, "tags", value)
    attempt(f"tags {value!r} saved", art.save)
    attempt(f"tags {value!r} seen", lambda: run.use_artifact("every:v0").tags)
for value in ("other", "", None, "ü" * 300):
    attempt(f"description {str(value)[:5]!r}", setattr, art, "description", value)
    attempt("saved", art.save)
    attempt("seen", lambda: (run.use_artifact("every:v0").description or "none")[:10])
for value in (
    {"a": 1},
    {},
    None,
    '{"b": 2}',
    {"n": float("nan")},
    {str(i): i for i in range(101)},
    [1],
):
    attempt(f"metadata {str(value)[:12]!r}", setattr, art, "metadata", value)
    attempt("saved", art.save)
    attempt("seen", lambda: run.use_artifact("every:v0").metadata)
run.finish()
