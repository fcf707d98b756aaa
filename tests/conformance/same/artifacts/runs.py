# Artifacts of runs that are offline or disabled.
import copy
import datetime
import json
import os
import pathlib
from harness import case


def EL(env, l):
    return {k: env.error(v) for k, v in l}


@case("offline_run")
def _(env):
    s = env.sdk
    run = s.init(project="p", mode="offline", id="rid")
    A = lambda n="a", t="dataset", **k: s.Artifact(n, t, **k)
    env.write("f.txt", "1")
    env.write("d/x", "2")
    env.write("d/s/y", "3")
    env.write("c/a.py", "a")
    env.write("c/b.ipynb", "b")
    env.write("c/c.txt", "c")
    R = lambda v: v.replace("rid", "RID") if isinstance(v, str) else v

    def desc(a):
        return [
            a.name,
            a.type,
            sorted(a.manifest.entries),
            a.state,
            a.is_draft(),
            a.id,
            a.digest,
            a.size,
        ]

    def lg(*x, **k):
        return desc(run.log_artifact(*x, **k))

    def full(n="a", t="dataset"):
        a = A(n, t)
        a.add_file("f.txt")
        return a

    a = full()
    out = EL(
        env,
        [
            ("art", lambda: lg(a)),
            ("again", lambda: lg(a)),
            ("same", lambda: run.log_artifact(a) is a),
            ("after_add", lambda: a.add_file("f.txt", name="q")),
            ("after_meta", lambda: setattr(a, "metadata", {"a": 1})),
            ("after_name", lambda: a.name),
            ("aliases", lambda: lg(full("b"), aliases=["x"])),
            ("al_str", lambda: lg(full("b"), aliases="x")),
            ("al_bad", lambda: lg(full("b"), aliases=["x/y"])),
            ("al_bad2", lambda: lg(full("b"), aliases=["x:y"])),
            ("al_int", lambda: lg(full("b"), aliases=[1])),
            ("al_none", lambda: lg(full("b"), aliases=None)),
            ("al_empty", lambda: lg(full("b"), aliases=[])),
            ("tags", lambda: lg(full("b"), tags=["x y"])),
            ("tags_bad", lambda: lg(full("b"), tags=["x.y"])),
            ("tags_str", lambda: lg(full("b"), tags="x")),
            (
                "tags_bad_state",
                lambda: (
                    lambda z: [
                        env.error(run.log_artifact, z, tags=["!"]),
                        env.error(z.add_file, "f.txt", name="k"),
                    ]
                )(full("c")),
            ),
            (
                "al_bad_state",
                lambda: (
                    lambda z: [
                        env.error(run.log_artifact, z, aliases=["a/b"]),
                        env.error(z.add_file, "f.txt", name="k"),
                    ]
                )(full("c")),
            ),
            ("path", lambda: lg("f.txt")),
            ("dir", lambda: lg("d")),
            ("dirslash", lambda: lg("d/")),
            ("pl", lambda: lg(pathlib.Path("f.txt"))),
            ("uri", lambda: lg("file://" + env.dir("f.txt"))[:3]),
            ("missing", lambda: lg("nope")),
            ("glob", lambda: lg("*.txt")),
            ("list", lambda: lg(["f.txt"])),
            ("none", lambda: lg(None)),
            ("int", lambda: lg(5)),
            ("empty", lambda: lg("")),
            ("dict", lambda: lg({})),
            ("dot", lambda: lg(".")),
            ("named", lambda: lg("f.txt", name="nm", type="ty")),
            ("named_bad", lambda: lg("f.txt", name="n m")),
            ("type_bad", lambda: lg("f.txt", type="job")),
            ("name_on_art", lambda: lg(full("d"), name="zz", type="qq")),
            ("noargs", lambda: run.log_artifact()),
            ("pos", lambda: lg("f.txt", "nm2", "ty2", ["a"], ["t"])),
            ("other_scheme", lambda: lg("zz://a/b")),
            ("other_named", lambda: lg("zz://a/b", name="u")),
            (
                "meta_late",
                lambda: (
                    lambda z: (
                        z.metadata.update({str(i): 1 for i in range(101)}),
                        run.log_artifact(z),
                    )[1]
                )(full("e")),
            ),
            (
                "meta_inf",
                lambda: (lambda z: (z.metadata.update(a=float("inf")), run.log_artifact(z))[1])(
                    full("e")
                ),
            ),
            ("empty_art", lambda: lg(A("empty"))),
            ("inc", lambda: lg(A("inc", incremental=True))),
            ("upsert", lambda: desc(run.upsert_artifact(full("u"), distributed_id="D"))),
            (
                "upsert_did",
                lambda: (
                    lambda z: (run.upsert_artifact(z, distributed_id="D"), z.distributed_id)[1]
                )(full("u2")),
            ),
            ("upsert_none", lambda: run.upsert_artifact(full("u3"))),
            ("finish", lambda: desc(run.finish_artifact(full("u"), distributed_id="D"))),
            ("finish_none", lambda: run.finish_artifact(full("u3"))),
            (
                "upsert_path",
                lambda: desc(run.upsert_artifact("f.txt", name="up", type="t", distributed_id="D")),
            ),
            ("use_str", lambda: run.use_artifact("a:latest")),
            ("use_art", lambda: run.use_artifact(full("use"))),
            ("use_art_t", lambda: desc(run.use_artifact(full("use"), type="dataset"))),
            ("use_logged", lambda: run.use_artifact(a)),
            ("use_none", lambda: run.use_artifact(None)),
            ("use_as", lambda: run.use_artifact(full("use2"), use_as="x")),
            ("use_aliases", lambda: run.use_artifact(full("use3"), aliases=["q"])),
            ("link", lambda: run.link_artifact(full("l"), "p/c")),
            ("link_logged", lambda: run.link_artifact(a, "p/c")),
            ("link_bad", lambda: run.link_artifact(full("l2"), "a/b/c/d")),
            ("alink", lambda: full("l3").link("p/c")),
            ("alink_logged", lambda: a.link("p/c")),
            ("log_model", lambda: run.log_model("f.txt")),
            ("log_model_n", lambda: run.log_model("d", name="m", aliases=["x"])),
            ("log_model_bad", lambda: run.log_model("nope")),
            ("log_model_bn", lambda: run.log_model("f.txt", name="a b")),
            ("code", lambda: desc(run.log_code("c"))),
            ("code_n", lambda: desc(run.log_code("c", name="src"))),
            ("code_bad", lambda: run.log_code("nope")),
            ("code_none_inc", lambda: run.log_code("c", include_fn=lambda p: False)),
            ("code_txt", lambda: desc(run.log_code("c", include_fn=lambda p: p.endswith(".txt")))),
            ("code_ex", lambda: desc(run.log_code("c", exclude_fn=lambda p: p.endswith(".py")))),
            ("code_name_odd", lambda: desc(run.log_code("c", name="a/b c"))),
            ("save_draft", lambda: (lambda z: (z.save(), desc(z))[1])(full("sv"))),
            ("wait", lambda: a.wait()),
            ("wait_t", lambda: a.wait(timeout=1)),
            ("version", lambda: a.version),
            ("al", lambda: a.aliases),
            ("ttl", lambda: a.ttl),
            ("dl", lambda: a.download()),
            ("get", lambda: a.get("x")),
            ("entry", lambda: a.get_entry("f.txt")),
            ("manifest", lambda: sorted(a.manifest.entries)),
            ("local", lambda: os.path.exists(a.manifest.entries["f.txt"].local_path)),
            ("logged_by", lambda: a.logged_by()),
            ("repr", lambda: repr(a)),
            ("desc_set", lambda: setattr(a, "description", "x")),
            ("save_logged", lambda: a.save()),
            ("del", lambda: a.delete()),
            ("cfg", lambda: run.config.update({"art": a})),
            ("cfg2", lambda: setattr(run.config, "art2", a)),
            ("logrow", lambda: run.log({"a": a})),
            ("summ", lambda: run.summary.update({"a": 1})),
            ("logged_artifacts", lambda: run.logged_artifacts()),
            ("used_artifacts", lambda: run.used_artifacts()),
        ],
    )
    run.finish()
    out.update(
        EL(
            env,
            [
                ("fin_log", lambda: run.log_artifact("f.txt")),
                ("fin_use", lambda: run.use_artifact("a")),
                ("fin_save", lambda: a.save()),
                ("fin_code", lambda: run.log_code()),
                ("fin_model", lambda: run.log_model("f.txt")),
                ("fin_link", lambda: run.link_artifact(a, "x")),
                ("fin_ups", lambda: run.upsert_artifact("f.txt", distributed_id="d")),
            ],
        )
    )
    return json.loads(json.dumps(out).replace("rid", "RID"))


@case("disabled_run")
def _(env):
    s = env.sdk
    run = s.init(mode="disabled")
    env.write("f.txt", "1")
    a = s.Artifact("a", "t")
    a.add_file("f.txt")
    T = lambda f: lambda: type(f()).__name__
    return EL(
        env,
        [
            ("log", lambda: run.log_artifact(a) is a),
            ("path", T(lambda: run.log_artifact("f.txt"))),
            ("missing", T(lambda: run.log_artifact("nope"))),
            ("wait", lambda: a.wait()),
            ("use", T(lambda: run.use_artifact("x"))),
            ("usea", T(lambda: run.use_artifact(a))),
            ("ups", T(lambda: run.upsert_artifact(a, distributed_id="d"))),
            ("fin", T(lambda: run.finish_artifact(a, distributed_id="d"))),
            ("code", T(lambda: run.log_code("."))),
            ("model", T(lambda: run.log_model("f.txt"))),
            ("umodel", T(lambda: run.use_model("m"))),
            ("lmodel", T(lambda: run.link_model("f.txt", "r"))),
            ("link", T(lambda: run.link_artifact(a, "x"))),
            ("draft", lambda: a.is_draft()),
            ("add", T(lambda: a.add_file("f.txt", name="q"))),
            ("version", lambda: a.version),
            ("fin2", lambda: run.finish()),
        ],
    )


@case("mutations_after_log")
def _(env):
    s = env.sdk
    run = s.init(project="p", mode="offline", id="r2")
    env.write("f", "1")
    out = {}
    a = s.Artifact("a", "t", metadata={"k": 1})
    e = a.add_file("f")
    run.log_artifact(a)
    out["m"] = env.error(lambda: a.metadata.update(z=1))
    out["md"] = a.metadata
    out["size"] = env.error(setattr, e, "size", 9)
    out["rm"] = env.error(a.remove, e)
    out["new"] = env.error(a.new_file, "x")
    out["set"] = env.error(a.__setitem__, "x", s.Table())
    out["ref"] = env.error(a.add_reference, "x://y")
    out["dir"] = env.error(a.add_dir, ".")
    out["dist"] = env.error(setattr, a, "distributed_id", "q")
    out["ttl"] = env.error(setattr, a, "ttl", datetime.timedelta(1))
    out["ttlv"] = env.error(lambda: str(a.ttl))
    b = copy.copy(a)
    out["copy_add"] = env.error(b.add_file, "f", name="z")
    c = copy.deepcopy
    t = s.Table(columns=["a"], data=[[1]])
    z = s.Artifact("z", "t")
    z.add(t, "t")
    run.log_artifact(z)
    t.add_data(2)
    y = s.Artifact("y", "t")
    r = y.add(t, "t")
    out["ref2"] = [r.ref is not None and r.ref.split("/", 3)[3], r.size]
    run.log({"t": t})
    run.finish()
    return out
