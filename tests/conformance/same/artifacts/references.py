# References to files, servers and other artifacts.
import json
import os
import pathlib
from harness import case


def EL(env, l):
    return {k: env.error(v) for k, v in l}


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
                        env._digest_token({"digest": e.digest, "ref": e.ref}),
                    ]
                    for e in r
                ]
            )
        )
    )


@case("file_refs")
def _(env):
    for n, c in {
        "a": "1",
        "d/b": "2",
        "d/s/c": "3",
        "d/.h": "4",
        "sp ace": "5",
        "d2/e": "6",
        "u/é": "7",
        "zero": "",
        "pl+us": "8",
        "q/x;y": "9",
        "q/x=y&z": "10",
    }.items():
        env.write(n, c)
    os.symlink(env.work / "a", env.work / "lnk")
    os.symlink(env.work / "d2", env.work / "d/dl")
    os.symlink(env.work / "a", env.work / "d/fl")
    os.symlink(env.work / "nope", env.work / "brk")
    (env.work / "empty").mkdir()
    os.symlink(env.work / "d2", env.work / "dlink")
    w = "file://" + env.dir()
    E = lambda *x, **k: lambda: ent(env, *x, **k)
    return EL(
        env,
        [
            ("a", E(w + "/a")),
            ("a_n", E(w + "/a", name="n/a")),
            ("a_ncs", E(w + "/a", checksum=False)),
            ("a_n_ncs", E(w + "/a", name="z", checksum=False)),
            ("dir", E(w + "/d")),
            ("dir_slash", E(w + "/d/")),
            ("dir_n", E(w + "/d", name="p/q")),
            ("dir_nslash", E(w + "/d", name="p/")),
            ("dir_ndot", E(w + "/d", name=".")),
            ("dir_ncs", E(w + "/d", checksum=False)),
            ("dir_n_ncs", E(w + "/d", name="k", checksum=False)),
            ("empty", E(w + "/empty")),
            ("empty_ncs", E(w + "/empty", checksum=False)),
            ("missing", E(w + "/no")),
            ("missing_ncs", E(w + "/no", checksum=False)),
            ("lnk", E(w + "/lnk")),
            ("lnk_ncs", E(w + "/lnk", checksum=False)),
            ("brk", E(w + "/brk")),
            ("dlink", E(w + "/dlink")),
            ("zero", E(w + "/zero")),
            ("space", E(w + "/sp ace")),
            ("space_enc", E(w + "/sp%20ace")),
            ("uni", E(w + "/u/é")),
            ("uni_enc", E(w + "/u/%C3%A9")),
            ("plus", E(w + "/pl+us")),
            ("semi", E(w + "/q/x;y")),
            ("eq", E(w + "/q/x=y&z")),
            ("dots", E(w + "/d/../a")),
            ("dot", E(w + "/./a")),
            ("dbl", E(w + "//a")),
            ("localhost", E("file://localhost" + env.dir("a"))),
            ("host", E("file://otherhost" + env.dir("a"))),
            ("one_slash", E("file:" + env.dir("a"))),
            ("rel", E("file://a")),
            ("rel2", E("file:a")),
            ("reldot", E("file://./a")),
            ("tilde", E("file://~/a")),
            ("bare", E("file://")),
            ("root3", E("file:///nope/x")),
            ("upper", E("FILE://" + env.dir("a"))),
            ("query", E(w + "/a?x=1")),
            ("frag", E(w + "/a#f")),
            ("max1", E(w + "/d", max_objects=1)),
            ("max4", E(w + "/d", max_objects=4)),
            ("max3", E(w + "/d", max_objects=3)),
            ("max0", E(w + "/d", max_objects=0)),
            ("maxneg", E(w + "/d", max_objects=-1)),
            ("max_file", E(w + "/a", max_objects=0)),
            ("max1_ncs", E(w + "/d", max_objects=1, checksum=False)),
            ("n_abs", E(w + "/a", name="/n")),
            ("n_up", E(w + "/a", name="../n")),
            ("n_dot", E(w + "/a", name=".")),
            ("n_empty", E(w + "/a", name="")),
            ("n_c", E(w + "/a", name="C:\\n")),
            ("n_int", E(w + "/a", name=3)),
            ("n_pl", E(w + "/a", name=pathlib.PurePosixPath("x/y"))),
            ("n_norm", E(w + "/a", name="x//y/./z/")),
            ("dn_abs", E(w + "/d", name="/n")),
            ("dn_up", E(w + "/d", name="..")),
            ("dn_empty", E(w + "/d", name="")),
            ("uri_pl", E(pathlib.Path(env.dir("a")))),
            ("uri_none", E(None)),
            ("uri_int", E(5)),
            ("uri_bytes", E(b"file:///x")),
            ("uri_empty", E("")),
            ("noscheme", E("a/b")),
            ("colon", E("a:b")),
            ("win", E("C:\\x")),
            ("scheme_only", E("x:")),
            ("slashslash", E("//h/x")),
            ("noargs", lambda: env.artifact().add_reference()),
            ("pos", E(w + "/a", "n", False, 3)),
            ("kw", E(uri=w + "/a", name="n", checksum=True, max_objects=None)),
            ("cs_none", E(w + "/a", checksum=None)),
        ],
    )


@case("file_ref_twice")
def _(env):
    env.write("a", "1")
    env.write("d/x", "1")
    env.write("d/y", "2")
    a = env.artifact()
    u = env.uri("a")
    out = {}
    r = a.add_reference(u)
    r2 = a.add_reference(u)
    out["same"] = len(a.manifest.entries)
    env.write("a", "22")
    out["changed"] = env.error(lambda: len(a.add_reference(u)))
    out["size"] = a.size
    out["ncs_clash"] = env.error(lambda: len(a.add_reference(u, checksum=False)))
    a.add_reference(env.uri("d"), name="k")
    env.write("d/x", "9")
    env.write("d/z", "9")
    out["dir_changed"] = env.error(lambda: len(a.add_reference(env.uri("d"), name="k")))
    out["paths"] = sorted(a.manifest.entries)
    b = env.artifact()
    b.add_file(env.dir("a"))
    b.add_reference(u)
    out["over_file"] = [
        b.manifest.entries["a"].ref is None,
        b.manifest.entries["a"].local_path is None,
    ]
    b.add_file(env.dir("a"))
    out["over_ref"] = [b.manifest.entries["a"].ref is None]
    out["digest_same"] = (
        lambda f, r: (f.add_file(env.dir("a")), r.add_reference(u), f.digest == r.digest)[2]
    )(env.artifact(), env.artifact())
    out["local_name"] = a.get_added_local_path_name(env.dir("a"))
    r = b.add_reference(env.uri("a"), name="q")[0]
    b.remove(r)
    out["rm"] = sorted(b.manifest.entries)
    out["rm_dir"] = (a.remove("k"), sorted(a.manifest.entries))[1]
    return out


@case("other_refs")
def _(env):
    E = lambda *x, **k: lambda: ent(env, *x, **k)
    return EL(
        env,
        [
            ("nfs", E("nfs://h/p/f", name="n")),
            ("nfs_nn", E("nfs://h/p/f")),
            ("nfs_ncs", E("nfs://h/p", name="n", checksum=False)),
            ("nfs_ncs_nn", E("nfs://h/p", checksum=False)),
            ("ftp", E("ftp://h/f", name="a//b")),
            ("data", E("data:text/plain,hi", name="d")),
            ("urn", E("urn:isbn:5", name="u")),
            ("mail", E("mailto:a@b", name="m")),
            ("up", E("NFS://H/P", name="n")),
            ("gcs", E("hdfs://x/y?z=1#q", name="h")),
            ("sp", E("nfs://h/a b", name="s")),
            ("trail", E("nfs://h/p/", name="s/")),
            ("max", E("nfs://h/p", name="s", max_objects=0)),
            ("n_abs", E("nfs://h", name="/s")),
            ("n_up", E("nfs://h", name="..")),
            ("n_dot", E("nfs://h", name=".")),
            ("n_empty", E("nfs://h", name="")),
            ("ws", E(" nfs://h", name="s")),
            ("num", E("1x://h", name="s")),
            ("plus", E("s3+x://h", name="s")),
            ("uni", E("ü://h", name="s")),
            ("wca_bad", E("wandb-client-artifact://nope/x")),
            ("wca_bad_n", E("wandb-client-artifact://nope/x", name="n")),
            ("wca_latest", E("wandb-client-artifact://abc:latest/x", name="n")),
        ],
    )


@case("http_refs")
def _(env):
    R = env.routes
    R["/f.txt"] = (b"12345", {"ETag": '"abc"'}, True)
    R["/noetag"] = (b"123", {}, True)
    R["/weak"] = (b"1", {"ETag": 'W/"abc"'}, True)
    R["/bare"] = (b"1", {"ETag": "abc"}, True)
    R["/empty_etag"] = (b"1", {"ETag": '""'}, True)
    R["/e2"] = (b"1", {"ETag": ""}, True)
    R["/chunk"] = (b"12345", {"ETag": '"c"'}, False)
    R["/zero"] = (b"", {"ETag": '"z"'}, True)
    R["/"] = (b"root", {"ETag": '"r"'}, True)
    R["/d/"] = (b"dd", {"ETag": '"d"'}, True)
    R["/a%20b"] = (b"sp", {"ETag": '"s"'}, True)
    R["/q?x=1&y=2"] = (b"qq", {"ETag": '"q"'}, True)
    R["/inner"] = (b"1", {"ETag": '"a"b"'}, True)
    R["/quoted"] = (b"1", {"ETag": "'x'"}, True)
    R["/d/e/f.bin"] = (b"1", {}, True)
    R["/md"] = (b"1", {"Content-MD5": "x", "Last-Modified": "y", "ETag": '"m"'}, True)
    R["/uni"] = (b"1", {"ETag": '"m m"'}, True)
    h = env.http
    E = lambda *x, **k: lambda: ent(env, *x, **k)
    return EL(
        env,
        [
            (p or "none", E(h + p))
            for p in (
                "/f.txt",
                "/noetag",
                "/weak",
                "/bare",
                "/empty_etag",
                "/e2",
                "/chunk",
                "/zero",
                "/d/e/f.bin",
                "/md",
                "/uni",
                "/inner",
                "/quoted",
                "/404",
                "/f.txt?x=1",
                "/q?x=1&y=2",
                "/f.txt#frag",
                "/a%20b",
                "/a b",
                "/f.txt/",
                "/d/",
                "/",
                "/d/../f.txt",
                "//f.txt",
                "/f.txt;p=1",
            )
        ]
        + [
            ("n", E(h + "/f.txt", name="k/n.txt")),
            ("n_norm", E(h + "/f.txt", name="k//n/")),
            ("n_abs", E(h + "/f.txt", name="/n")),
            ("n_up", E(h + "/f.txt", name="..")),
            ("n_empty", E(h + "/f.txt", name="")),
            ("n_dot", E(h + "/f.txt", name=".")),
            ("ncs", E(h + "/f.txt", checksum=False)),
            ("ncs404", E(h + "/404", checksum=False)),
            ("ncs_n", E(h + "/404", name="z", checksum=False)),
            ("ncs_q", E(h + "/x?y=1", checksum=False)),
            ("ncs_root", E(h + "/", checksum=False)),
            ("ncs_slash", E(h + "/d/", checksum=False)),
            ("max0", E(h + "/f.txt", max_objects=0)),
            ("up", E(h.replace("http", "HTTP") + "/f.txt")),
            ("refused_ncs", E("http://127.0.0.1:1/x", checksum=False)),
            ("404n", E(h + "/404", name="x")),
        ],
    )


@case("ref_entry_objects")
def _(env):
    a = env.artifact()
    e = a.add_file(env.write("x", "1"))
    b = env.artifact(name="b")
    out = EL(
        env,
        [
            ("draft_entry", lambda: b.add_reference(e)),
            ("draft_entry_n", lambda: b.add_reference(e, name="n")),
            ("ref_entry", lambda: b.add_reference(a.add_reference("z://q", name="r")[0])),
        ],
    )
    t = env.sdk.Table(columns=["a"], data=[[1]])
    te = a.add(t, "t")
    a.finalize()
    r = b.add(t, "t")
    out["r"] = [
        str(r.path),
        r.ref.split("/", 3)[3],
        r.size,
        r.digest,
        r.digest == te.digest,
        r.ref.split("://")[0],
    ]
    r2 = b.add(t, "t2")
    out["r2"] = str(r2.path)
    out["paths"] = sorted(b.manifest.entries)
    out["wca"] = env.error(
        lambda: [
            (str(x.path), x.size, x.digest == e.digest)
            for x in b.add_reference(r.ref.rsplit("/", 1)[0] + "/x")
        ]
    )
    out["wca_n"] = env.error(
        lambda: [
            (str(x.path), x.size, x.digest == e.digest)
            for x in b.add_reference(r.ref.rsplit("/", 1)[0] + "/x", name="own")
        ]
    )
    out["wca_missing"] = env.error(
        lambda: b.add_reference(r.ref.rsplit("/", 1)[0] + "/nope", name="own2")
    )
    out["wca_ncs"] = env.error(
        lambda: [
            (str(x.path), x.size, x.digest == e.digest)
            for x in b.add_reference(r.ref.rsplit("/", 1)[0] + "/x", name="own3", checksum=False)
        ]
    )
    out["target"] = env.error(lambda: r.ref_target().split("://")[0])
    return out
