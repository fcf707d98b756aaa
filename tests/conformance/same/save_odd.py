# save(): literal names, absolute paths, folders, hidden and dangling files, what is there already.
import os
import pathlib

from confhelp import attempt, obs, sdk, write

for name in ("a[1].txt", "a1.txt", "d/e/f.bin", "d/g.bin", ".hidden.txt", "d/.h/x.txt", "x y.txt"):
    write(name, name)
os.symlink("nowhere", "dangling.txt")
os.symlink("a1.txt", "link.txt")
run = sdk.init(project="conf", id="saveodd", name="s", mode="offline")


def tails(paths):
    if not isinstance(paths, list):
        return paths
    return [os.path.relpath(p, run.dir).replace(os.sep, "/") for p in paths]


obs("folder", tails(run.save("d/e")))
obs("magic", tails(run.save("a[1].txt")))
obs("literal", tails(run.save("a[1].txt", glob=False)))
obs("literal_pattern", tails(run.save("*.none", glob=False)))
obs("absolute", tails(run.save(os.path.abspath("d/e/f.bin"))))
obs(
    "absolute_base",
    tails(run.save(os.path.abspath("d/e/f.bin"), base_path=os.getcwd(), policy="end")),
)
obs("stars", tails(run.save("d/*")))
obs("twice", tails(run.save("d/**/*")))
obs("hidden", tails(run.save(".hidden.txt", policy="now")))
obs("hidden_glob", [n for n in tails(run.save("./*.txt")) if n != "requirements.txt"])
obs("blank", tails(run.save("x y.txt")))
obs("bytes", tails(run.save(b"a1.txt", policy="now")))
obs("path", tails(run.save(pathlib.Path("d") / "g.bin")))
obs("dots", tails(run.save("d/../a1.txt")))
obs("link", tails(run.save("link.txt")))
obs("dangling", tails(run.save("dangling.txt", glob=False)))
obs("gs", run.save("gs://bucket/key"))
attempt("star", run.save, "*")
attempt("star_below", run.save, "*/g.bin")
attempt("outside", run.save, "../x.txt", base_path=".")
attempt("itself", run.save, "d", base_path="d")
attempt("policy", run.save, "a1.txt", policy=None)
attempt("policy_cloud", lambda: obs("cloud_first", run.save("s3://b/k", policy="bad")))
attempt("number", run.save, 5)
attempt("nothing", run.save)
os.makedirs(os.path.join(run.dir, "own"), exist_ok=True)
with open(os.path.join(run.dir, "own", "made.txt"), "w") as file:
    file.write("made here")
obs("own", tails(run.save(os.path.join(run.dir, "own", "made.txt"), base_path=run.dir)))
obs("own_relative", tails(run.save("own/*.txt")))
obs("module", tails(sdk.save("a1.txt")))
run.finish()
attempt("after", run.save, "a1.txt")
