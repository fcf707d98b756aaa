# Entries, manifests and digests.
import json
from harness import case


HELLO = "hello"


def EL(env, l):
    return {k: env.error(v) for k, v in l}


@case("entry_object")
def _(env):
    p = env.write("x.txt", HELLO)
    a = env.artifact()
    e = a.add_file(p, name="k/x.txt")
    r = a.add_reference("zz://h/p?q#f", name="r")[0]
    loc = e.local_path
    rep = lambda s: s.replace(loc, "LOCAL")
    out = EL(
        env,
        [
            ("path", lambda: e.path),
            ("ptype", lambda: isinstance(e.path, str)),
            ("digest", lambda: e.digest),
            ("size", lambda: e.size),
            ("ref", lambda: e.ref),
            ("extra", lambda: e.extra),
            ("birth", lambda: e.birth_artifact_id),
            ("skip", lambda: e.skip_cache),
            ("parent", lambda: e.parent_artifact()),
            ("dl", lambda: e.download()),
            ("dlr", lambda: e.download("x")),
            ("rt", lambda: e.ref_target()),
            ("ru", lambda: e.ref_url()),
            ("rrt", lambda: r.ref_target()),
            ("rru", lambda: r.ref_url()),
            ("rdl", lambda: r.download()),
            (
                "json",
                lambda: {k: (v if k != "local_path" else "L") for k, v in e.to_json().items()},
            ),
            ("rjson", lambda: r.to_json()),
            ("algv", lambda: e.digest_algorithm().value),
            ("algn", lambda: e.digest_algorithm().name),
            ("rsize", lambda: r.size),
            ("rlocal", lambda: r.local_path),
            ("rdigest", lambda: r.digest),
            ("rref", lambda: r.ref),
            ("eq", lambda: e == a.manifest.entries["k/x.txt"]),
            ("ne", lambda: e == r),
            ("hash", lambda: hash(e)),
            ("set_digest", lambda: setattr(e, "digest", "abc")),
            ("adigest", lambda: a.digest),
            ("asize", lambda: a.size),
            ("bool", lambda: bool(e)),
            ("keys", lambda: sorted(a.manifest.entries)),
            ("birth2", lambda: e.birth_artifact_id),
        ],
    )
    return out


@case("manifest_object")
def _(env):
    a = env.artifact()
    a.add_file(env.write("b", HELLO))
    a.add_file(env.write("a", "1"))
    a.add_reference("zz://h/p", name="r/1")
    m = a.manifest
    out = EL(
        env,
        [
            ("keys", lambda: list(m.entries)),
            ("len", lambda: len(m.entries)),
            ("digest", lambda: m.digest() == a.digest),
            ("size", lambda: m.size()),
            ("get", lambda: m.get_entry_by_path("a").path),
            ("get_none", lambda: m.get_entry_by_path("zz")),
            ("get_norm", lambda: m.get_entry_by_path("./a")),
            ("dir", lambda: [e.path for e in m.get_entries_in_directory("r")]),
            ("dir2", lambda: [e.path for e in m.get_entries_in_directory("r/")]),
            ("dir0", lambda: [e.path for e in m.get_entries_in_directory("")]),
            ("diff", lambda: list(m.to_manifest_json())),
            ("order", lambda: list(m.to_manifest_json()["contents"])),
            ("full", lambda: m.to_manifest_json()),
            ("jsonable", lambda: json.dumps(m.to_manifest_json())),
            ("version", lambda: m.version()),
            ("same", lambda: a.manifest is m),
            ("eqself", lambda: m == m),
            ("add", lambda: m.add_entry(m.entries["a"])),
            ("rm", lambda: m.remove_entry(m.entries["a"])),
            ("after", lambda: list(m.entries)),
            ("asize", lambda: a.size),
            ("in", lambda: "b" in m.entries),
            ("items", lambda: [k for k, v in m.entries.items()]),
            ("values", lambda: [v.path for v in m.entries.values()]),
            ("getitem", lambda: m.entries["zz"]),
            ("getd", lambda: m.entries.get("zz", "d")),
            ("cls_from", lambda: list(type(m).from_manifest_json(m.to_manifest_json()).entries)),
            ("bool", lambda: bool(env.artifact().manifest)),
            ("len_m", lambda: len(m)),
        ],
    )
    return out


@case("manifest_from")
def _(env):
    a = env.artifact()
    M = type(a.manifest)
    base = {
        "version": 1,
        "storagePolicy": "wandb-storage-policy-v1",
        "storagePolicyConfig": {"storageLayout": "V2"},
        "contents": {},
    }

    def mk(**k):
        d = {**base, **k}
        d = {x: y for x, y in d.items() if y is not ...}
        return env.error(lambda: M.from_manifest_json(d).to_manifest_json())

    return {
        "ok": mk(),
        "v0": mk(version=0),
        "v2": mk(version=2),
        "vs": mk(version="1"),
        "vnone": mk(version=None),
        "vabs": mk(version=...),
        "vf": mk(version=1.0),
        "vt": mk(version=True),
        "polabs": mk(storagePolicy=...),
        "polbad": mk(storagePolicy="x"),
        "cfgabs": mk(storagePolicyConfig=...),
        "lay1": mk(storagePolicyConfig={"storageLayout": "V1"}),
        "lay3": mk(storagePolicyConfig={"storageLayout": "V3"}),
        "cfgempty": mk(storagePolicyConfig={}),
        "region": mk(storagePolicyConfig={"storageLayout": "V2", "storageRegion": "r"}),
        "contabs": mk(contents=...),
        "contnone": mk(contents=None),
        "cont": mk(contents={"b": {"digest": "d", "size": 0}, "a": {"digest": "e"}}),
        "local": mk(
            contents={"a": {"digest": "d", "local_path": "/x/y", "size": 1, "skip_cache": True}}
        ),
        "nod": mk(contents={"a": {"size": 1}}),
        "neg": mk(contents={"a": {"digest": "d", "size": -1}}),
        "birth": mk(contents={"a": {"digest": "d", "birthArtifactID": "QQ==", "size": 3}}),
        "extra": mk(contents={"a": {"digest": "d", "extra": {"alg": "XXH128"}, "size": 3}}),
        "ref": mk(contents={"a": {"digest": "d", "ref": "s3://x/y"}}),
        "unk": mk(contents={"a": {"digest": "d", "foo": 1}}),
        "unktop": mk(foo=1),
        "badpath": mk(contents={"/a": {"digest": "d"}}),
        "badpath2": mk(contents={"../a": {"digest": "d"}}),
        "norm": mk(contents={"a//b": {"digest": "d"}}),
    }


@case("digest2")
def _(env):
    out = {}
    names = ["aa", "B", "a/b", "a-b", "a.b", "é", "e\u0301", "名", "😀", "\ufffd", "z", "a b", "A"]
    a = env.artifact()
    for n in names:
        a.add_file(env.write("f", n), name=n)
    out["all"] = a.digest
    out["order"] = list(a.manifest.entries)
    b = env.artifact()
    for n in reversed(names):
        b.add_file(env.write("f", n), name=n)
    out["same"] = a.digest == b.digest
    x = env.artifact(digest_algorithm="XXH128")
    for n in names:
        x.add_file(env.write("f", n), name=n)
    out["x"] = env.describe(x)
    out["xalg"] = x.digest_algorithm.value
    x.add_reference(env.uri("f"), name="ref")
    x.add_reference("q://z", name="ref2")
    with x.new_file("nf") as f:
        f.write("n")
    x.add(env.sdk.Table(columns=["a"], data=[[1]]), "t")
    x.add_dir(env.dir(), name="dd")
    out["x2"] = {k: v for k, v in env.describe(x)["contents"].items()}
    out["xe"] = x.manifest.entries["nf"].digest_algorithm().value
    out["xtmp"] = x.add_file(env.dir("f"), name="t.txt", is_tmp=True).path
    out["xempty"] = env.artifact(digest_algorithm="XXH128").digest
    out["cmp"] = env.error(lambda: x.digest_algorithm == "MANIFEST_XXH128")
    out["s"] = str(x.digest_algorithm)
    out["n"] = x.digest_algorithm.name
    out["algs"] = {
        repr(k): env.error(lambda: env.artifact(digest_algorithm=k).digest_algorithm.value)
        for k in ("MD5", "XXH128")
    }
    return out
