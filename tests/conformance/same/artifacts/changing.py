# New files, removal, the end of changes.
import os
import pathlib
import stat
from harness import case


HELLO = "hello"


def EL(env, l):
    return {k: env.error(v) for k, v in l}


def same(env):
    b = env.artifact()
    b.add_file(env.write("t", "zz"), name="q")
    with b.new_file("q") as f:
        f.write("zz")
    return b.manifest.entries["q"].size


def removed(env):
    b = env.artifact()
    with b.new_file("q") as f:
        f.write("zz")
    b.remove("q")
    with b.new_file("q") as f:
        f.write("z")
    return b.manifest.entries["q"].size


@case("new_file2")
def _(env):
    out = {}

    def run(mode="x", name="f", data="hi", fn=None, **kw):
        a = env.artifact()
        with a.new_file(name, mode=mode, **kw) as f:
            r = fn(f) if fn else f.write(data)
        e = a.manifest.entries
        return [
            r if isinstance(r, (int, str)) else None,
            sorted(e),
            {k: [v.digest, v.size, v.skip_cache] for k, v in e.items()},
        ]

    cs = [
        ("x", lambda: run()),
        ("w", lambda: run("w")),
        ("wb", lambda: run("wb", data=b"hi")),
        ("xb", lambda: run("xb", data=b"\xff")),
        ("wtext_bytes", lambda: run("w", data=b"x")),
        ("wb_text", lambda: run("wb", data="x")),
        ("r", lambda: run("r")),
        ("rb", lambda: run("rb", data=b"")),
        ("a", lambda: run("a")),
        ("a+", lambda: run("a+")),
        ("w+", lambda: run("w+", fn=lambda f: (f.write("ab"), f.seek(0), f.read())[2])),
        ("x+", lambda: run("x+")),
        ("r+", lambda: run("r+")),
        ("xt", lambda: run("xt")),
        ("bad", lambda: run("q")),
        ("empty", lambda: run("")),
        ("xw", lambda: run("xw")),
        ("U", lambda: run("U")),
        ("none", lambda: run(None)),
        ("enc16", lambda: run("w", encoding="utf-16")),
        ("enc_latin", lambda: run("w", data="é", encoding="latin-1")),
        ("enc_err", lambda: run("w", data="名", encoding="ascii")),
        ("enc_unknown", lambda: run("w", encoding="nope")),
        ("enc_bin", lambda: run("wb", data=b"x", encoding="utf-8")),
        ("default_enc", lambda: run(data="é")),
        ("crlf", lambda: run("w", data="a\r\nb\n")),
        ("imm", lambda: run(policy="immutable")),
        ("polbad", lambda: run(policy="z")),
        ("polnone", lambda: run(policy=None)),
        ("n_abs", lambda: run(name="/f")),
        ("n_up", lambda: run(name="../f")),
        ("n_dot", lambda: run(name=".")),
        ("n_empty", lambda: run(name="")),
        ("n_nested", lambda: run(name="a/b/c.txt")),
        ("n_norm", lambda: run(name="a//b/./c")),
        ("n_pl", lambda: run(name=pathlib.Path("p/q"))),
        ("n_none", lambda: run(name=None)),
        ("n_int", lambda: run(name=3)),
        ("n_back", lambda: run(name="a\\b")),
        ("n_trail", lambda: run(name="dir/")),
        ("n_bytes", lambda: run(name=b"x")),
        ("nothing", lambda: run(fn=lambda f: None)),
    ]
    out = EL(env, cs)
    a = env.artifact()
    with a.new_file("f") as f:
        f.write("1")
        out["during"] = sorted(a.manifest.entries)
        out["basename"] = os.path.basename(f.name)

    def again(mode, data="2"):
        with a.new_file("f", mode=mode) as f:
            f.write(data)
        return a.manifest.entries["f"].size

    out["x_again"] = env.error(again, "x")
    out["x_again_same"] = env.error(again, "x", "1")
    out["w_again"] = env.error(again, "w", "22")
    out["a_again"] = env.error(again, "a", "333")
    out["size"] = a.size

    def boom():
        with a.new_file("g") as f:
            f.write("x")
            raise KeyError("k")

    out["boom"] = env.error(boom)
    out["after_boom"] = sorted(a.manifest.entries)

    def boom2():
        with a.new_file("g") as f:
            f.write("y")
        return a.manifest.entries["g"].size

    out["retry_after_boom"] = env.error(boom2)

    def closes():
        with a.new_file("h") as f:
            f.write("x")
            f.close()
        return a.manifest.entries["h"].size

    out["closes"] = env.error(closes)

    def nest():
        with a.new_file("n1") as f, a.new_file("n2") as g:
            f.write("1")
            g.write("22")
        return [a.manifest.entries[k].size for k in ("n1", "n2")]

    out["nest"] = env.error(nest)

    def finin():
        b = env.artifact()
        with b.new_file("q") as f:
            f.write("1")
            b.finalize()
        return sorted(b.manifest.entries)

    out["finalize_inside"] = env.error(finin)

    def file_taken():
        b = env.artifact()
        b.add_file(env.write("t", "zz"), name="q")
        with b.new_file("q") as f:
            f.write("1")
        return b.manifest.entries["q"].size

    out["taken"] = env.error(file_taken)

    def file_taken_w():
        b = env.artifact()
        b.add_file(env.write("t", "zz"), name="q")
        with b.new_file("q", "w") as f:
            f.write("1")
        return b.manifest.entries["q"].size

    out["taken_w"] = env.error(file_taken_w)

    def taken_a():
        b = env.artifact()
        b.add_file(env.write("t", "zz"), name="q")
        with b.new_file("q", "a") as f:
            f.write("1")
        return b.manifest.entries["q"].size

    out["taken_a"] = env.error(taken_a)

    def final():
        b = env.artifact()
        b.finalize()
        return b.new_file("x")

    out["final_call"] = env.error(final)

    def final2():
        b = env.artifact()
        b.finalize()
        with b.new_file("/x"):
            pass

    out["final_with"] = env.error(final2)
    out["not_entered"] = env.error(lambda: a.new_file("/bad") and None)
    out["same_content_taken"] = env.error(lambda: same(env))
    out["removed_x"] = env.error(lambda: removed(env))
    e = a.manifest.entries["n1"]
    out["mode"] = oct(stat.S_IMODE(os.stat(e.local_path).st_mode))
    return out


@case("remove2")
def _(env):
    for n in ("a", "d/b", "d/c", "d/s/e", "dd", "d.x"):
        env.write("src/" + n, n)

    def fresh():
        a = env.artifact()
        a.add_dir("src")
        return a

    out = {}
    for n in (
        "a",
        "d",
        "d/",
        "./d",
        "d/.",
        "d//b",
        "./a",
        "d/s",
        "d/s/",
        "d*",
        "",
        ".",
        "/",
        "/a",
        "..",
        "d/../a",
        "D",
        "d/b/",
        "a/",
        "*",
        "dd/",
        "d\\b",
        None,
        5,
        b"a",
        pathlib.Path("d"),
        pathlib.Path("a"),
        ["a"],
    ):
        a = fresh()
        r = env.error(a.remove, n)
        out[repr(n)] = [r, sorted(a.manifest.entries)]
    a = fresh()
    e = a.manifest.entries["d/b"]
    out["entry"] = [env.error(a.remove, e), sorted(a.manifest.entries)]
    out["entry_again"] = env.error(a.remove, e)
    b = fresh()
    out["foreign_entry"] = [env.error(b.remove, e), sorted(b.manifest.entries)]
    out["size"] = [a.size, b.size]
    out["digest"] = [a.digest, b.digest]
    out["staged_left"] = os.path.exists(e.local_path)
    c = fresh()
    c.remove("a")
    c.add_file("src/dd", name="a")
    out["re"] = c.manifest.entries["a"].digest
    return out


@case("final2")
def _(env):
    p = env.write("x", HELLO)
    a = env.artifact()
    e = a.add_file(p)
    t = env.sdk.Table(columns=["a"], data=[[1]])
    out = {"fin": a.finalize(), "again": a.finalize()}
    out.update(
        EL(
            env,
            [
                ("add", lambda: a.add(t, "t")),
                ("add_bad", lambda: a.add(5, "t")),
                ("set", lambda: a.__setitem__("t", t)),
                ("file_missing", lambda: a.add_file("nope")),
                ("dir_missing", lambda: a.add_dir("nope")),
                ("ref_bad", lambda: a.add_reference("x")),
                ("rm_missing", lambda: a.remove("nope")),
                ("rm_entry", lambda: a.remove(e)),
                ("nf", lambda: a.new_file("q").__enter__()),
                ("meta", lambda: setattr(a, "metadata", {"a": 1})),
                ("desc", lambda: setattr(a, "description", "d")),
                ("dist", lambda: setattr(a, "distributed_id", "d")),
                ("local", lambda: a.get_added_local_path_name(p)),
                ("noargs", lambda: a.add_file()),
                ("digest", lambda: a.digest),
                ("size", lambda: a.size),
                ("wait", lambda: a.wait()),
                ("man_add", lambda: a.manifest.remove_entry(e)),
                ("man_after", lambda: list(a.manifest.entries)),
            ],
        )
    )
    try:
        a.add_file(p)
    except Exception as ex:
        out["ex"] = [type(ex).__name__, getattr(ex, "name", None), getattr(ex, "obj", None) is a]
    try:
        a.version
    except Exception as ex:
        out["ex2"] = [type(ex).__name__, getattr(ex, "name", None), getattr(ex, "obj", None) is a]
    out["getattr"] = [getattr(a, "version", "D"), hasattr(a, "aliases")]
    return out
