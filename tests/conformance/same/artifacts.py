# Artifacts: what may be added, logged and asked of them in an offline run.
import datetime
import enum
import os
import pathlib

from confhelp import attempt, obs, sdk, write

write("x.txt", "hello")
write("d/a/b.txt", "1")
write("d/.h", "2")
os.mkdir("d/empty")
os.symlink("../x.txt", "d/link.txt")
os.mkdir("far")
write("far/f.txt", "far")
os.symlink(os.path.abspath("far"), "d/fardir")


class E(enum.Enum):
    A = 1


run = sdk.init(project="conf", id="art1", mode="offline", group="gg")
a = sdk.Artifact(
    "n1",
    "ds",
    description="",
    metadata={
        "t": (1, 2),
        "n": float("nan"),
        "s": slice(1, 2),
        "b": b"x",
        "e": E.A,
        "d": datetime.date(2020, 1, 2),
        "f": print,
        5: 6,
        "set": {1},
        "o": pathlib.PurePosixPath("a/b"),
        "none": None,
        "big": 2**70,
    },
)
obs("md", a.metadata)
a.add_dir("d")
attempt("tmp", a.add_file, "x.txt", "media/plot.v1.png", True)
obs("paths", sorted(a.manifest.entries))
attempt("noscheme", a.add_reference, "x.txt")
attempt("missing", a.add_reference, "file:///nope")
a.ttl = datetime.timedelta(days=2)
run.log_artifact(a, aliases="one", tags=["t 1", "t-2", "t 1"])
obs("size", a.size)
obs("digest", a.digest)
obs("state", a.state)
obs("final_draft", a.is_draft())
attempt("again", run.log_artifact, a, aliases=["second"])
attempt("up", run.upsert_artifact, "x.txt", name="dist")
attempt("fin", run.finish_artifact, "d", name="dist", type="k")
attempt("up2", run.upsert_artifact, "x.txt", distributed_id="id2", aliases=["a"])
b = sdk.Artifact("n2", "ds")
b.ttl = None
attempt("log b", run.log_artifact, b)
c = sdk.Artifact("n3", "ds")
c.ttl = sdk.ArtifactTTL.INHERIT
attempt("log c", c.save)
attempt("wait", c.wait)
attempt("version", lambda: c.version)
attempt("aliases", lambda: c.aliases)
attempt("get", c.get, "x")
attempt("getitem", lambda: c["x"])
attempt("new_draft", c.new_draft)
attempt("setalias", setattr, c, "aliases", ["x"])
attempt("settags", setattr, c, "tags", ["x"])
attempt("ttl", lambda: c.ttl)
attempt("link", c.link, "a/b")
attempt("rlink", run.link_artifact, b, "a/b")
attempt("use", run.use_artifact, "x:latest")
attempt("useb", run.use_artifact, b)
attempt("usem", run.use_model, "x:latest")
attempt("model", run.log_model, "x.txt", "mm", ["al"])
attempt("model2", run.log_model, "nope.txt", "mm")
attempt("linkm", run.link_model, "x.txt", "a/b", "mm")
attempt("bad type", sdk.Artifact, "x", "wandb-foo")
attempt("md list", sdk.Artifact, "x", "t", None, [1])
attempt("md str", sdk.Artifact, "x", "t", None, '{"a": 1}')
attempt("md inf", sdk.Artifact, "x", "t", None, {"a": float("inf")})
attempt("log int", run.log_artifact, 5)
attempt("log none", run.log_artifact, None)
attempt("log missing", run.log_artifact, "nonono")
attempt("uri", run.log_artifact, "gopher://x/y", name="u")
attempt("bad alias", run.log_artifact, "x.txt", aliases=["a:b"])
attempt("int alias", run.log_artifact, "x.txt", aliases=5)
attempt("bad tag", run.log_artifact, "x.txt", tags=["*"])
attempt("path", run.log_artifact, pathlib.Path("x.txt"), name="pp")
attempt("dir slash", run.log_artifact, "d/")
attempt("name colon", run.log_artifact, "x.txt", name="a:b")
attempt("code", run.log_code, name="my code/x")
attempt("code2", run.log_code, "d")
attempt("code3", run.log_code, "d", "all", lambda p: p.endswith(".txt"), lambda p, r: "a/" in p)
attempt("new draft meta", setattr, b, "metadata", {"x": 1})
attempt("meta bad", setattr, b, "metadata", 3)
attempt("desc", setattr, b, "description", "later")
attempt("noattr", lambda: b.nothing)
attempt("config", run.config.update, {"k": b})
attempt("nested", run.config.update, {"k": {"b": b}})
attempt("listed", run.config.update, {"k": [b]})
e = sdk.Artifact("n4", "ds")
with e.new_file("a/b.json") as f:
    f.write('{"k": 1}')


def nf(name, mode="x", data="q"):
    with e.new_file(name, mode=mode) as f:
        f.write(data)


attempt("nf dup", nf, "a/b.json")
attempt("nf w", nf, "a/b.json", "w", "[]")
attempt("nf bad", nf, "../x")
attempt("nf bin", nf, "bin", "wb", b"\x00")
attempt("nf text bin", nf, "bin2", "wb", "x")
attempt("rm", e.remove, "a")
attempt("rm2", e.remove, "a")
attempt("file as dir", e.add_file, "d")
attempt("dir as file", e.add_dir, "x.txt")
attempt("policy", e.add_file, "x.txt", policy="zz")
attempt("pol dir", e.add_dir, "d", policy="zz")
attempt("immutable", e.add_file, "x.txt", policy="immutable")
attempt("add int", e.add, 5, "x")
attempt("add str", e.add, "s", "x")
obs("added", e.get_added_local_path_name("x.txt"))
obs("addednone", e.get_added_local_path_name("nope"))
obs("len", len(e.manifest.entries))
obs("id", e.id)
obs("repr", repr(e))
obs("type", e.type)
obs("name", e.name)
obs("src", e.source_name)
obs("islink", e.is_link)
attempt("qn", lambda: e.qualified_name)
attempt("fc", lambda: e.file_count)
attempt("log e", run.log_artifact, e)
run.finish()
attempt("after", run.log_artifact, e)
attempt("after code", run.log_code)
attempt("after use", run.use_artifact, "x")
attempt("after link", run.link_artifact, e, "x/y")
