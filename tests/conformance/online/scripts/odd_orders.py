# What scripts do in an order that nobody had in mind: twice, too early, too late, after a deletion.

from sameness import attempt, facts, note, sdk, start, tree, write

write("data/a.txt", "one")
run = start()
twice = sdk.Artifact("twice", "dataset")
twice.add_dir("data")
run.log_artifact(twice)
attempt("logged twice", lambda: run.log_artifact(twice, aliases=["again"]) is twice)
note("waited", facts(twice.wait()))
attempt("waited again", lambda: twice.wait(0.0) is twice)
attempt("logged once more", lambda: run.log_artifact(twice).wait().version)
attempt("set description", setattr, twice, "description", "new")
twice.save()
note("description", sdk.Api().artifact(twice.qualified_name).description)

empty = sdk.Artifact("empty", "dataset")
note("empty", facts(run.log_artifact(empty).wait()))
note("empty folder", tree(empty.download(root="empty")))

source = sdk.Artifact("source", "dataset")
source.add_dir("data")
run.log_artifact(source).wait()
entry = source.get_entry("a.txt")
crossing = sdk.Artifact("crossing", "dataset")
attempt("entry of another", lambda: [e.path for e in crossing.add_reference(entry, "x/y.txt")])
attempt("entry again", lambda: [e.path for e in crossing.add_reference(entry, "x/y.txt")])
run.log_artifact(crossing).wait()
note("crossing", tree(crossing.download(root="crossing")))
attempt("deleted", source.delete, delete_aliases=True)
attempt("state after", lambda: source.state)
attempt("deleted again", source.delete, delete_aliases=True)
attempt("used after", run.use_artifact, "source:v0")
attempt("downloaded after", source.download, root="gone")
write("data/a.txt", "two")
anew = sdk.Artifact("source", "dataset")
anew.add_dir("data")
attempt("logged after", lambda: run.log_artifact(anew).wait().version)

here = sdk.Api().artifact(f"{anew.qualified_name}")
root = here.download(root="kept")
write("kept/own.txt", "mine")
write("kept/a.txt", "changed by hand")
attempt("verify", here.verify, "kept")
here.download(root="kept")
note("downloaded again", tree("kept"))
here.checkout(root="kept")
note("checked out", tree("kept"))

for aliases in ("one", ["two", "two", "latest"], ["v9"], ["a:b"], ["a/b"], [""], "x" * 129):
    made = sdk.Artifact("aliases", "dataset", metadata={"n": str(aliases)[:9]})
    write("one.txt", str(aliases)[:50])
    made.add_file("one.txt")
    attempt(
        f"aliases {str(aliases)[:12]}",
        lambda made=made, aliases=aliases: sorted(
            run.log_artifact(made, aliases=aliases).wait().aliases
        ),
    )
attempt("no latest", lambda: here.aliases.remove("latest"))
attempt("saved without", here.save)
attempt("aliases then", lambda: sdk.Api().artifact(f"{anew.qualified_name}").aliases)
attempt("tags", setattr, here, "tags", ["a", "a", "b c"])
attempt("saved", here.save)
attempt("tags then", lambda: sorted(sdk.Api().artifact(f"{anew.qualified_name}").tags))
run.finish()
attempt("logged in a finished run", run.log_artifact, sdk.Artifact("late", "dataset"))
attempt("used in a finished run", run.use_artifact, "source:latest")
attempt("waited after the run", lambda: anew.wait() is anew)
attempt("downloaded after the run", lambda: tree(anew.download(root="late")))
