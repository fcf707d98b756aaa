# Paths, replacing, removing, new files and temporary names: the manifest after each step.
import pathlib
import unicodedata

from confhelp import attempt, obs, sdk, write


def after(name, artifact):
    entries = sorted([p, e.digest, e.size, e.ref] for p, e in artifact.manifest.entries.items())
    obs(name, [entries, artifact.size, artifact.digest])


write("x", "hello")
write("y.tar.gz", "other")
a = sdk.Artifact("paths", "ds")
names = [
    "a\\b",
    "a\tb",
    "a:b",
    "a:",
    "?*<>|",
    "#h",
    "...",
    "..x",
    ".hid",
    "C:",
    "C:/x",
    "a/..",
    "./k",
]
names += ["//srv/share/f", "a\\..\\b", "..\\x", "", "n" * 300, "\U0001f600", "\uffff", "Z", "b//c/"]
names += [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
for name in names:
    attempt(f"add {name!r}", lambda name=name: str(a.add_file("x", name).path))
after("paths", a)
for name in ("media/p.v1.png", "noext", ".h.txt", "a.b/c", "a..b", None):
    attempt(f"tmp {name!r}", lambda name=name: str(a.add_file("y.tar.gz", name, is_tmp=True).path))
after("tmp", a)

a = sdk.Artifact("steps", "ds")
for mode, data in (("x", "1"), ("x", "2"), ("w", "3"), ("wb", b"\0"), ("r", "4"), ("no", "5")):

    def fill(mode=mode, data=data):
        with a.new_file("new", mode) as file:
            file.write(data)

    attempt(f"new_file {mode}", fill)
    after(mode, a)
write("d/one", "1")
write("d/s/two", "2")
a.add_dir("d", ".")
a.add_dir("d", "./q//")
write("d/one", "changed")
attempt("again", a.add_dir, "d", "q")
a.add_dir(pathlib.Path("d"), pathlib.PurePosixPath("q"), merge=True)
after("merged", a)
attempt("other contents", a.add_file, "x", "one")
a.add_file("x", "./one/", overwrite=True)
for item in ("q/s/", "./q", "q", "", ".", "/one", "on", pathlib.PurePosixPath("s"), "s"):
    attempt(f"remove {item!r}", a.remove, item)
    after("left", a)
a.add_reference("other://place", "new2")
attempt("refer elsewhere", a.add_reference, "other://elsewhere", "new2")
attempt("a draft's entry", a.add_reference, a.manifest.entries["one"], "n")
for uri in ("", "x/y", "/abs", "://x", "1x://y", "file://", "file:rel", "file:///none", "mail:x"):
    attempt(f"refer {uri}", a.add_reference, uri)
after("end", a)
metadata = ('"x"', "[1]", "{", {"a": float("inf")}, {"a": (1, {2: None})}, {"a": "\ud800"}, 5)
for value in metadata:
    attempt("metadata", lambda value=value: sdk.Artifact("m", "t", metadata=value).metadata)
attempt("incremental", setattr, a, "incremental", True)
