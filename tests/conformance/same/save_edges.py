# save: globs, bases, policies, odd arguments.
import os

from confhelp import attempt, obs, sdk, write

run = sdk.init(project="conf", id="saveedges", mode="offline")
for p in ("a.txt", "d/b.txt", "d/e/c.txt", "d/x.bin", "[odd].txt", "s p.txt"):
    write(p, p)
rel = lambda r: sorted(os.path.relpath(x, run.dir) for x in r) if isinstance(r, list) else r
obs("one", rel(run.save("a.txt")))
obs("glob", rel(run.save("d/*.txt")))
obs("base", rel(run.save("d/e/c.txt", base_path="d")))
obs("abs", rel(run.save(os.path.abspath("d/x.bin"))))
obs("now", rel(run.save("d/x.bin", policy="now")))
obs("end", rel(run.save("s p.txt", policy="end")))
obs("none", rel(run.save("nope*")))
obs("odd", rel(run.save("[odd].txt")))
obs("oddlit", rel(run.save("[odd].txt", glob=False)))
obs("bytes", rel(run.save(b"a.txt")))
obs("pathlib", rel(run.save(__import__("pathlib").Path("a.txt"))))
write("dd/q.txt", "q")
obs("dir", rel(run.save("dd")))
obs("rec", rel(run.save("d/**/*.txt")))
obs("dot", rel(run.save("./a.txt")))
attempt("policy", run.save, "a.txt", policy="zz")
attempt("outside", run.save, "../x")
attempt("base_bad", run.save, "a.txt", base_path="d")
attempt("star", run.save, "*")
attempt("startxt", run.save, "*.txt")
attempt("star/", run.save, "*/b.txt")
attempt("num", run.save, 5)
attempt("empty", run.save, "")
attempt("s3", run.save, "s3://b/k")
attempt("baseself", run.save, "d", base_path="d")
write(os.path.join(run.dir, "direct.txt"), "x")
obs("direct", rel(run.save(os.path.join(run.dir, "direct.txt"))))
attempt("direct2", lambda: run.save("direct.txt", base_path=run.dir))
with open("a.txt", "a") as f:
    f.write("more")
run.finish()
attempt("after", run.save, "a.txt")
