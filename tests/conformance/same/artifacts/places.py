# Pages that are referred to, names of all kinds, and changes one after the other.
import json
import os
import pathlib
import unicodedata

from harness import case


def E(env, **c):
    return {k: env.error(v) for k, v in c.items()}


def ent(env, *x, **k):
    a = env.artifact()
    r = a.add_reference(*x, **k)
    return json.loads(
        env.norm_text(
            json.dumps(
                [
                    [
                        str(e.path),
                        e.ref,
                        e.size,
                        e.extra,
                        e.digest,
                        e.birth_artifact_id,
                        e.local_path,
                        e.skip_cache,
                    ]
                    for e in r
                ]
            )
        )
    )


@case("http2")
def _(env):
    R = env.routes
    R["/a.bin"] = (b"12345", {"ETag": '"v1"'}, True)
    R["/redir"] = (b"", {"Location": env.http + "/a.bin"}, True)
    R["/redir2"] = (b"", {"Location": "/a.bin"}, True)
    R["/low"] = (b"1", {"etag": '"low"'}, True)
    R["/ü.txt"] = (b"1", {"ETag": '"u"'}, True)
    R["/%C3%BC.txt"] = (b"1", {"ETag": '"u"'}, True)
    R["/q.txt?a=1"] = (b"1", {"ETag": '"q1"'}, True)
    R["/q.txt?a=2"] = (b"1", {"ETag": '"q2"'}, True)
    R["/type"] = (
        b"1",
        {"Content-Type": "text/html", "ETag": '"t"', "Content-Encoding": "identity"},
        True,
    )
    h = env.http
    e = lambda *x, **k: lambda: ent(env, *x, **k)

    def two():
        a = env.artifact()
        a.add_reference(h + "/q.txt?a=1")
        a.add_reference(h + "/q.txt?a=2")
        return [sorted(env.norm_text(k) for k in a.manifest.entries), a.size, a.digest]

    def change():
        a = env.artifact()
        a.add_reference(h + "/a.bin")
        R["/a.bin"] = (b"123456", {"ETag": '"v2"'}, True)
        r = env.error(lambda: a.add_reference(h + "/a.bin"))
        R["/a.bin"] = (b"12345", {"ETag": '"v1"'}, True)
        return [r, env.describe(a)]

    def mix():
        a = env.artifact()
        a.add_reference(h + "/a.bin")
        r = env.error(lambda: len(a.add_reference(h + "/a.bin", checksum=False)))
        a.remove("a.bin")
        r2 = env.error(lambda: len(a.add_reference(h + "/a.bin", checksum=False)))
        return [r, r2, [env.norm_text(x.digest) for x in a.manifest.entries.values()], a.size]

    return E(
        env,
        low=e(h + "/low"),
        uni=e(h + "/ü.txt"),
        unienc=e(h + "/%C3%BC.txt"),
        two=two,
        change=change,
        mix=mix,
        type_=e(h + "/type"),
        nohost=e("http://"),
        bad=e("http://[::1/x"),
        https=e("https://127.0.0.1:1/x", checksum=False),
        sp=e(h + "/a.bin "),
        frag=e(h + "/a.bin#x", name="f"),
    )


@case("unicode")
def _(env):
    out = {}
    for form in ("NFC", "NFD"):
        n = unicodedata.normalize(form, "é.txt")
        env.write("u/" + n, form)
    env.write("u/a b%20c.txt", "1")
    env.write("u/.dot/.x", "2")
    env.write("u/日本/ü", "3")
    env.write("u/new\nline", "4")
    env.write("u/back\\slash", "5")
    env.write("u/quote'\"", "6")
    env.write("u/😀", "7")
    env.write("u/ tr ", "8")
    env.write("u/-x", "10")
    env.write("u/~", "11")
    env.write("u/CON", "12")
    env.write("u/x" * 40 + "/y", "13")
    a = env.artifact()
    a.add_dir("u")
    out["a"] = env.describe(a)
    b = env.artifact()
    b.add_reference(env.uri("u"))
    out["b"] = sorted(b.manifest.entries)
    out["bd"] = b.digest
    out["same"] = a.digest == b.digest
    c = env.artifact()
    c.add_dir("u", name="é/x y")
    out["c"] = [sorted(c.manifest.entries), c.digest]
    c.remove("é/x y/日本")
    out["c2"] = sorted(c.manifest.entries)
    out["c3"] = env.error(c.remove, unicodedata.normalize("NFD", "é"))
    out["c4"] = env.error(c.remove, unicodedata.normalize("NFC", "é/x y/.dot"))
    out["c5"] = [sorted(c.manifest.entries), c.digest, c.size]
    return out


@case("sequences")
def _(env):
    p = env.write("x", "1")
    q = env.write("y", "2")
    out = {}
    a = env.artifact()
    a.add_file(p, name="k")
    a.remove("k")
    e = a.add_file(q, name="k", policy="immutable", skip_cache=True)
    out["1"] = [
        e.local_path == q,
        e.skip_cache,
        a.digest,
        a.size,
        a.get_added_local_path_name(p),
        a.get_added_local_path_name(q),
    ]
    e2 = a.add_file(q, name="k")
    out["2"] = [e2.local_path == q, e2.skip_cache, e2 is e, a.manifest.entries["k"].skip_cache]
    out["3"] = env.error(lambda: a.add_file(p, name="k").path)
    out["4"] = env.error(lambda: a.add_file(p, name="k", overwrite=True).digest)
    out["5"] = env.error(
        lambda: [
            a.add_reference(env.uri("x"), name="k")[0].ref is not None,
            a.manifest.entries["k"].ref is None,
            a.size,
        ]
    )
    out["6"] = env.error(lambda: [a.add_reference("zz://x", name="k")[0].digest])
    a.remove("k")
    out["7"] = env.error(lambda: [a.add_reference("zz://x", name="k")[0].digest, a.size, a.digest])
    out["8"] = env.error(lambda: a.add_file(p, name="k").path)
    out["9"] = env.error(
        lambda: [a.add_file(p, name="k", overwrite=True).path, a.manifest.entries["k"].ref]
    )
    with a.new_file("k", mode="w") as f:
        f.write("new")
    out["10"] = [a.manifest.entries["k"].size, a.digest]
    env.write("d/k", "dir")
    env.write("d/sub/z", "z")
    out["12"] = env.error(
        lambda: [a.add_dir("d", merge=True), sorted(a.manifest.entries), a.digest]
    )
    t = env.sdk.Table(columns=["a"], data=[[1]])
    out["13"] = env.error(lambda: str(a.add(t, "t").path))
    a.remove("t.table.json")
    out["14"] = env.error(lambda: [str(a.add(t, "t2").path), sorted(a.manifest.entries)])
    t2 = env.sdk.Table(columns=["a"], data=[[2]])
    a["u"] = t2
    out["16"] = sorted(a.manifest.entries)
    a["u2"] = env.sdk.Html("<b>")
    out["17"] = sorted(a.manifest.entries)
    a.description = "d"
    a.metadata["k"] = 1
    a.finalize()
    a.finalize()
    out["18"] = env.describe(a)
    b = env.artifact()
    b.add_dir("d", name="s", policy="immutable")
    b.add_dir("d", name="s", policy="mutable", merge=True)
    out["19"] = [e.local_path.startswith(env.dir()) for e in b.manifest.entries.values()]
    return out


@case("symlinks")
def _(env):
    env.write("d/a", "1")
    env.write("o/b", "2")
    env.write("o/c/d", "3")
    os.symlink("a", env.work / "d/l")
    os.symlink(env.work / "o", env.work / "d/dl")
    os.symlink("../o/b", env.work / "d/rel")
    (env.work / "d/e").mkdir()
    (env.work / "d/.git").mkdir()
    env.write("d/.git/x", "g")
    env.write("d/__pycache__/p.pyc", "p")
    env.write("d/wandb/run-1/x", "w")
    env.write("d/.wandb/z", "w")
    out = {}
    a = env.artifact()
    a.add_dir("d")
    out["d"] = [sorted(a.manifest.entries), a.digest, a.size]
    b = env.artifact()
    b.add_reference(env.uri("d"))
    out["r"] = [sorted(b.manifest.entries), b.size]
    c = env.artifact()
    c.add_file("d/l")
    c.add_file("d/rel")
    out["f"] = sorted(c.manifest.entries)
    out["local"] = env.error(lambda: a.get_added_local_path_name("d/dl/c/d"))
    f = env.artifact()
    f.add_dir(pathlib.Path("d/../d/dl"))
    out["ff"] = sorted(f.manifest.entries)
    return out


@case("newfiles")
def _(env):
    out = {}
    a = env.artifact()
    with a.new_file("b.bin", "wb") as f:
        f.write(b"\x00\xff")
    with a.new_file("t.txt", encoding="utf-16-le") as f:
        f.write("é")
    with a.new_file("d/e/f.json") as f:
        json.dump({"a": 1}, f)
    with a.new_file("empty") as f:
        pass
    out["d"] = env.describe(a)

    def boom(name, mode="x"):
        with a.new_file(name, mode) as f:
            f.write("q")
            raise ValueError("x")

    out["boom"] = env.error(boom, "g")
    out["boom2"] = env.error(boom, "empty", "w")
    out["p"] = [sorted(a.manifest.entries), a.size]

    def sysexit():
        with a.new_file("se") as f:
            raise SystemExit(3)

    out["se"] = env.error(sysexit)
    out["p2"] = sorted(a.manifest.entries)

    def same():
        with a.new_file("empty") as f:
            pass

    out["same"] = env.error(same)
    cm = a.new_file("cm")
    out["cm"] = [hasattr(cm, "__enter__"), "cm" in a.manifest.entries]
    f = cm.__enter__()
    f.write("x")
    cm.__exit__(None, None, None)
    out["cm2"] = "cm" in a.manifest.entries
    out["skip"] = [a.manifest.entries["cm"].skip_cache, a.manifest.entries["b.bin"].extra]
    out["added_local"] = a.get_added_local_path_name("cm")
    with a.new_file("pp", policy="immutable") as f:
        f.write("1")
    out["pol"] = os.path.exists(a.manifest.entries["pp"].local_path)
    with a.new_file("w", "w") as f:
        out["fname"] = [os.path.isabs(f.name), f.mode, f.encoding is not None]
    return out
