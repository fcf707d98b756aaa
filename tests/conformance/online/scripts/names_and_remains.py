# Using, logging of paths and addresses, drafts, waits, and what remains after a deletion.
from pathlib import Path

from sameness import PROJECT, arrived, attempt, facts, sdk, start, tree, write

write("d/a.txt", "one")
write("d/s/b.txt", "two")
write("m/w.bin", "w")
run = start(group="g")
one = sdk.Artifact("one", "dataset")
one.add_dir("d")
run.log_artifact(one, aliases="solo").wait()
attempt("type right", lambda: run.use_artifact("one:latest", type="dataset").name)
attempt("type wrong", lambda: run.use_artifact("one:latest", type="model").name)
attempt("no alias", lambda: run.use_artifact("one").name)
attempt("aliases given", lambda: run.use_artifact("one:v0", aliases=["q"]).name)
attempt("use_as", lambda: run.use_artifact("one:v0", use_as="train").use_as)
attempt("absent", run.use_artifact, "absent:latest")
attempt("absent alias", run.use_artifact, "one:nope")
attempt("absent version", run.use_artifact, "one:v9")
attempt("absent project", run.use_artifact, "nowhere/one:v0")
attempt("absent entity", run.use_artifact, "nobody/nowhere/one:v0")
for name in (
    "",
    ":",
    ":v0",
    "one:",
    "a/b/c/d:v0",
    "one:v0:x",
    "o ne:v0",
    "one:a/b",
    "/one:v0",
    5,
    None,
):
    attempt(f"name {name!r}", run.use_artifact, name)
attempt("full", lambda: run.use_artifact(one.qualified_name).qualified_name)
attempt("digest", lambda: run.use_artifact(f"one:{one.digest}").name)
attempt("by object", lambda: run.use_artifact(one).name)
draft = sdk.Artifact("used", "dataset")
draft.add_file("d/a.txt")
attempt("use a draft", lambda: run.use_artifact(draft, aliases=["u"]).name)
attempt("then", lambda: [draft.wait().name, sorted(draft.aliases), draft.state])
attempt(
    "draft of another type",
    lambda: run.use_artifact(sdk.Artifact("used", "model"), type="model").wait().type,
)
other = sdk.Artifact("one", "model")
other.add_file("d/a.txt")
attempt("log another type", lambda: run.log_artifact(other).wait().version)
attempt(
    "log a path", lambda: facts(run.log_artifact("d/a.txt").wait())["name"].replace(run.id, "<run>")
)
attempt("log a folder", lambda: facts(run.log_artifact("d", type="x").wait())["type"])
attempt(
    "log a uri",
    lambda: [
        (p, e.ref and e.ref.split("/")[-1])
        for p, e in run.log_artifact(Path("d/a.txt").absolute().as_uri(), name="uri", type="x")
        .wait()
        .manifest.entries.items()
    ],
)
attempt(
    "log a folder uri",
    lambda: sorted(
        run.log_artifact(Path("d").absolute().as_uri(), name="furi", type="x")
        .wait()
        .manifest.entries
    ),
)
attempt("log a Path", lambda: run.log_artifact(Path("d/a.txt"), name="pp").wait().name)
attempt("log none", run.log_artifact, None)
attempt("log bad name", run.log_artifact, "d/a.txt", "b a d")
attempt(
    "artifact with name",
    lambda: run.log_artifact(sdk.Artifact("nn", "t"), name="other").wait().name,
)
attempt(
    "artifact with type",
    lambda: run.log_artifact(sdk.Artifact("nn", "t"), type="other").wait().type,
)
attempt(
    "tags", lambda: run.log_artifact(sdk.Artifact("tt", "t"), tags=["a", "b c", "a"]).wait().tags
)
attempt(
    "alias v7", lambda: run.log_artifact(sdk.Artifact("vv", "t"), aliases=["v7"]).wait().aliases
)
attempt(
    "alias long",
    lambda: run.log_artifact(sdk.Artifact("vw", "t"), aliases=["x" * 200]).wait().aliases,
)
attempt("empty artifact", lambda: facts(run.log_artifact(sdk.Artifact("empty", "t")).wait()))
attempt("empty download", lambda: tree(run.use_artifact("empty:v0").download()))
again = sdk.Artifact("one", "dataset")
again.add_dir("d")
attempt(
    "same again",
    lambda: [
        run.log_artifact(again, aliases=["extra"]).wait().version,
        sorted(again.aliases),
        again.id == one.id,
    ],
)
second = sdk.Artifact("one", "dataset")
second.add_file("m/w.bin")
attempt("second", lambda: [run.log_artifact(second).wait().version, sorted(second.aliases)])
back = sdk.Artifact("one", "dataset")
back.add_dir("d")
attempt("back to first", lambda: [run.log_artifact(back).wait().version, sorted(back.aliases)])
attempt("latest", lambda: run.use_artifact("one:latest").version)
with_ref = sdk.Artifact("refs", "t")
with_ref.add_reference("foo://nowhere", "r")
with_ref.add_reference((Path("d/a.txt").absolute()).as_uri(), "f.txt")
with_ref.add_file("m/w.bin")
attempt("refs", lambda: facts(run.log_artifact(with_ref).wait()))
got = run.use_artifact("refs:v0")
attempt("refs download", lambda: got.download(root="r1"))
attempt(
    "refs missing allowed", lambda: tree(got.download(root="r2", allow_missing_references=True))
)
write("d/a.txt", "changed")
attempt("verify refs", got.verify, "r2")
attempt("size", lambda: [got.size, got.file_count])
attempt("single", lambda: Path(run.use_artifact("used:v0").file()).read_text())
attempt("single root", lambda: Path(run.use_artifact("used:v0").file("fr")).name)
attempt("upsert without id", lambda: run.upsert_artifact(sdk.Artifact("up", "t")).wait().name)
attempt(
    "finish without parts",
    lambda: run.finish_artifact(sdk.Artifact("up2", "t"), distributed_id="q").wait().version,
)
attempt("code", lambda: run.log_code("m"))
attempt("log_model name", lambda: run.log_model("m/w.bin", "mod", aliases=["x"]))
attempt("use_model file", lambda: Path(arrived(run.use_model, "mod:x")).name)
attempt("use_model bad", run.use_model, "one:v0")
attempt("log_model bad", run.log_model, "absent-path", "mod2")
attempt("log_model bad name", run.log_model, "m/w.bin", "mo d")
attempt("link_model absent", run.link_model, "absent-path", "reg")
attempt("link_model bad", run.link_model, "m/w.bin", "a/b/c")
draft = got.new_draft()
attempt(
    "draft",
    lambda: [
        draft.name,
        draft.state,
        draft.digest == got.digest,
        sorted(draft.manifest.entries),
        draft.size,
    ],
)
attempt(
    "draft edits",
    lambda: [
        draft.remove("r"),
        draft.add_file("m/w.bin", "w2.bin").path,
        draft.add_file("d/s/b.txt", "w.bin", overwrite=True).path,
        draft.remove("f.txt"),
    ],
)
attempt("draft clash", draft.add_file, "d/s/b.txt", "w2.bin")
attempt("draft logged", lambda: facts(run.log_artifact(draft).wait()))
attempt("draft tree", lambda: tree(run.use_artifact("refs:v1").download()))
attempt(
    "draft unchanged",
    lambda: run.log_artifact(run.use_artifact("refs:v1").new_draft()).wait().version,
)
gone = run.use_artifact("refs:v0")
attempt("delete", gone.delete)
attempt("state", lambda: [gone.state, gone.is_draft()])
for name in (
    "name",
    "version",
    "digest",
    "aliases",
    "size",
    "file_count",
    "manifest",
    "url",
    "ttl",
    "tags",
    "metadata",
):
    attempt("gone " + name, lambda name=name: str(type(getattr(gone, name)).__name__))
for what, call in {
    "download": lambda: gone.download(root="gone"),
    "logged_by": gone.logged_by,
    "used_by": gone.used_by,
    "new_draft": gone.new_draft,
    "save": gone.save,
    "link": lambda: gone.link(f"{PROJECT}/pf"),
    "wait": lambda: gone.wait().state,
    "use": lambda: run.use_artifact("refs:v0").name,
    "delete": gone.delete,
    "get_entry": lambda: gone.get_entry("f.txt").path,
    "verify": lambda: gone.verify("r2"),
    "use object": lambda: run.use_artifact(gone).name,
}.items():
    attempt("gone " + what, call)
run.finish()
attempt("log after finish", run.log_artifact, "d/s/b.txt")
attempt("use after finish", run.use_artifact, "one:v0")
attempt("members after finish", lambda: run.use_artifact)
