# Files and folders that are added.
import json
import os
import pathlib
from harness import case


HELLO = "hello"


def EL(env, l):
    return {k: env.error(v) for k, v in l}


@case("paths3")
def _(env):
    p = env.write("x", HELLO)
    out = {}
    names = [
        "",
        " ",
        "a b",
        "a\tb",
        "a\nb",
        "a\\b",
        "a:b",
        "ab:c",
        "c:x",
        "C:",
        "c:",
        "C:/x",
        "a/C:/x",
        "a/c:",
        "~",
        "~/x",
        "~root",
        "$HOME",
        "%41",
        "a?b",
        "a*b",
        "é",
        "e\u0301",
        "名/前",
        "a/../b",
        "..",
        "../",
        "..a",
        "a..",
        "...",
        "a/...",
        "./..",
        "a/./../b",
        "./a",
        "././a",
        "a/.",
        "a/",
        "a//",
        "/",
        "//",
        "///x",
        "\\\\h\\s\\x",
        "\\\\?\\C:\\x",
        "a\\..\\b",
        "..\\x",
        "a/..\\b",
        "\\",
        "a\\",
        "con",
        "NUL",
        "a" * 255,
        "a" * 256,
        "a/" * 60 + "b",
        ".hidden",
        ".git/config",
        "-",
        "--x",
        "😀",
        "\u202e",
        "\x7f",
        "\x01",
        "a\x00b",
    ]
    for n in names:
        a = env.artifact()
        r = env.error(lambda a=a, n=n: a.add_file(p, name=n).path)
        r["paths"] = sorted(a.manifest.entries)
        out[ascii(n)] = json.loads(json.dumps(r))
    for n in (
        None,
        5,
        b"by",
        pathlib.PurePosixPath("p/q"),
        pathlib.PureWindowsPath("w\\q"),
        pathlib.PureWindowsPath("C:\\q"),
        ["x"],
        0,
        False,
        b"",
    ):
        a = env.artifact()
        r = env.error(lambda a=a, n=n: str(a.add_file(p, name=n).path))
        out[repr(n)] = json.loads(json.dumps(r))
    return out


@case("add_file_args")
def _(env):
    p = env.write("d/x.tar.gz", HELLO)
    env.write("noext", "1")
    os.symlink(p, env.work / "link")
    os.symlink(env.work / "nope", env.work / "broken")
    os.symlink(env.work / "d", env.work / "dlink")
    os.mkfifo(env.work / "fifo")
    A = env.artifact

    def tmp(n, src=p):
        a = A()
        e = a.add_file(src, name=n, is_tmp=True)
        return [e.path, sorted(a.manifest.entries), a.get_added_local_path_name(src)]

    def unread():
        q = env.write("secret", "s")
        os.chmod(q, 0)
        return A().add_file(q).path

    out = EL(
        env,
        [
            ("pathlib", lambda: A().add_file(pathlib.Path(p)).path),
            ("bytes", lambda: A().add_file(os.fsencode(p)).path),
            ("none", lambda: A().add_file(None)),
            ("int", lambda: A().add_file(0)),
            ("int99", lambda: A().add_file(99)),
            ("empty", lambda: A().add_file("")),
            ("list", lambda: A().add_file([p])),
            ("rel", lambda: A().add_file("d/x.tar.gz").path),
            ("dot", lambda: A().add_file("./noext").path),
            ("updown", lambda: A().add_file("d/../noext").path),
            ("link", lambda: A().add_file("link").path),
            ("linksize", lambda: A().add_file("link").size),
            ("broken", lambda: A().add_file("broken")),
            ("dlink", lambda: A().add_file("dlink")),
            ("fifo", lambda: A().add_file("fifo")),
            ("devnull", lambda: A().add_file("/dev/null")),
            ("slash", lambda: A().add_file("noext/")),
            ("nul", lambda: A().add_file("a\0b")),
            ("tmp1", lambda: tmp("media/plot.v1.png")),
            ("tmp2", lambda: tmp("plain")),
            ("tmp3", lambda: tmp(".hidden")),
            ("tmp4", lambda: tmp("a.b/c")),
            ("tmp5", lambda: tmp(None)),
            ("tmp6", lambda: tmp("x.")),
            ("tmpnone", lambda: A().add_file(p, is_tmp=None).path),
            ("skipnone", lambda: A().add_file(p, skip_cache=None).skip_cache),
            ("skipint", lambda: A().add_file(p, skip_cache=1).skip_cache),
            ("skipstr", lambda: A().add_file(p, skip_cache="yes").skip_cache),
            ("skip2", lambda: A().add_file(p, skip_cache=2).skip_cache),
            ("polnone", lambda: A().add_file(p, policy=None).path),
            ("polempty", lambda: A().add_file(p, policy="").path),
            ("pol5", lambda: A().add_file(p, policy=5)),
            ("polup", lambda: A().add_file(p, policy="Mutable")),
            ("order_pol_missing", lambda: A().add_file("nope", policy="x")),
            ("order_name_missing", lambda: A().add_file("nope", name="/x")),
            ("order_pol_name", lambda: A().add_file(p, name=5, policy="x")),
            ("noargs", lambda: A().add_file()),
            (
                "kw",
                lambda: (
                    A()
                    .add_file(
                        local_path=p,
                        name="n",
                        is_tmp=False,
                        skip_cache=True,
                        policy="mutable",
                        overwrite=True,
                    )
                    .path
                ),
            ),
            ("pos", lambda: A().add_file(p, "n", False, False, "immutable", False).local_path == p),
            ("unread", unread),
        ],
    )
    return out


@case("add_same")
def _(env):
    p = env.write("x", "1")
    q = env.write("y", "1")
    r = env.write("z", "2")
    a = env.artifact()
    e1 = a.add_file(p)
    out = {}
    e2 = a.add_file(p)
    out["same_obj"] = e1 is e2
    out["man_is"] = a.manifest.entries["x"] is e2
    out["eq"] = e1 == e2
    e3 = a.add_file(q, name="x")
    out["eq3"] = e3 == e2
    out["entry_is"] = a.manifest.entries["x"] is e3
    out["local"] = [
        a.get_added_local_path_name(s)
        for s in (
            p,
            q,
            r,
            "x",
            "./x",
            "",
        )
    ]
    out["conflict"] = env.error(a.add_file, r, name="x")
    out["local2"] = a.get_added_local_path_name(r)
    a.add_file(r, name="x", overwrite=True)
    out["local3"] = [a.get_added_local_path_name(s) for s in (p, q, r)]
    a.remove("x")
    out["local4"] = [a.get_added_local_path_name(s) for s in (p, q, r)]
    a.add_file(p, name="k/1")
    a.add_file(p, name="k/2")
    out["last"] = a.get_added_local_path_name(p)
    out["pathlib"] = env.error(a.get_added_local_path_name, pathlib.Path(p))
    out["none"] = env.error(a.get_added_local_path_name, None)
    a.add_file(pathlib.Path(r), name="pl")
    out["pl"] = a.get_added_local_path_name(r)
    os.makedirs(env.work / "dd")
    env.write("dd/1", "1")
    a.add_dir("dd")
    out["dd"] = [a.get_added_local_path_name(s) for s in ("dd/1", "./dd/1", env.dir("dd/1"))]
    a.add_dir("./dd/", name="e")
    out["ddd"] = [a.get_added_local_path_name(s) for s in ("dd/1", "./dd/1", env.dir("dd/1"))]
    out["skip_update"] = [
        a.add_file(p, name="s").skip_cache,
        a.add_file(p, name="s", skip_cache=True).skip_cache,
        a.manifest.entries["s"].skip_cache,
    ]
    # policy change
    i = a.add_file(p, name="s", policy="immutable")
    out["pol"] = [i.local_path == p, a.manifest.entries["s"].local_path == p]
    # file vs folder
    out["prefix"] = env.error(lambda: a.add_file(p, name="s/t").path)
    out["prefix2"] = env.error(lambda: a.add_file(p, name="k").path)
    out["paths"] = sorted(a.manifest.entries)
    out["size"] = a.size
    return out


@case("add_dir_args")
def _(env):
    for n, c in {"d/a": "1", "d/s/b": "2", "d/s/t/.h": "3", "d/ü n": "4"}.items():
        env.write(n, c)
    (env.work / "d/empty/e2").mkdir(parents=True)
    (env.work / "none").mkdir()
    env.write("other/o", "5")
    os.symlink(env.work / "other", env.work / "d/lnk")
    os.symlink(env.work / "d/a", env.work / "d/flnk")
    os.symlink(env.work / "d", env.work / "toplink")
    A = env.artifact

    def t(*x, **k):
        a = A()
        r = a.add_dir(*x, **k)
        return [r, sorted(a.manifest.entries), a.size]

    out = EL(
        env,
        [
            ("plain", lambda: t("d")),
            ("slash", lambda: t("d/")),
            ("dotslash", lambda: t("./d")),
            ("abs", lambda: t(env.dir("d"))),
            ("pathlib", lambda: t(pathlib.Path("d"))),
            ("bytes", lambda: t(b"d")),
            ("dot", lambda: t(".")),
            ("empty_dir", lambda: t("none")),
            ("emptystr", lambda: t("")),
            ("none", lambda: t(None)),
            ("file", lambda: t("d/a")),
            ("missing", lambda: t("nope")),
            ("toplink", lambda: t("toplink")),
            ("name", lambda: t("d", name="n")),
            ("name_slash", lambda: t("d", name="n/")),
            ("name_dot", lambda: t("d", name=".")),
            ("name_dotn", lambda: t("d", name="./n")),
            ("name_empty", lambda: t("d", name="")),
            ("name_abs", lambda: t("d", name="/n")),
            ("name_up", lambda: t("d", name="..")),
            ("name_up2", lambda: t("d", name="n/../m")),
            ("name_c", lambda: t("d", name="C:\\n")),
            ("name_pl", lambda: t("d", name=pathlib.Path("n"))),
            ("name_int", lambda: t("d", name=5)),
            ("name_bytes", lambda: t("d", name=b"n")),
            ("pol_bad", lambda: t("d", policy="x")),
            ("pol_bad_missing", lambda: t("nope", policy="x")),
            ("pol_bad_empty", lambda: t("none", policy="x")),
            ("pol_none", lambda: t("d", policy=None)),
            ("imm", lambda: t("d", policy="immutable")),
            ("skip", lambda: t("d", skip_cache=True)),
            ("pos", lambda: t("d", "n", True, "immutable", True)),
            ("name_up_empty", lambda: t("none", name="..")),
        ],
    )
    a = A()
    a.add_dir("d", policy="immutable", skip_cache=True)
    out["imm_entries"] = {
        k: [os.path.relpath(e.local_path), e.skip_cache]
        for k, e in sorted(a.manifest.entries.items())
    }
    os.symlink(env.work / "nowhere", env.work / "d/broken")
    a = A()
    out["broken"] = [
        env.error(a.add_dir, "d"),
    ]
    a = A()
    out["broken_imm"] = [
        env.error(a.add_dir, "d", policy="immutable"),
    ]
    return out


@case("add_dir_conflicts")
def _(env):
    env.write("d/a", "1")
    env.write("d/b", "2")
    out = {}
    a = env.artifact()
    a.add_dir("d")
    a.add_dir("d")
    out["again"] = sorted(a.manifest.entries)
    env.write("d/a", "9")
    env.write("d/c", "3")
    out["conf"] = env.error(a.add_dir, "d")
    out["digest_a"] = a.manifest.entries["a"].digest
    a.add_dir("d", merge=True)
    out["after"] = env.describe(a)
    b = env.artifact()
    b.add_file("d/a", name="n/a")
    b.add_dir("d", name="n")
    out["b"] = sorted(b.manifest.entries)
    b.remove("n")
    out["rem"] = sorted(b.manifest.entries)
    b.add_dir("d", name="n")
    out["re"] = b.digest
    return out
