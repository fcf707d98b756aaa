# What a draft says of itself, and what may be said of it.
import copy
import pathlib
import pickle
from harness import case


def ER(env, **calls):
    return {k: env.error(v) for k, v in calls.items()}


class Odd:
    def __str__(self):
        return "odd!"

    def __repr__(self):
        return "Odd()"


@case("names2")
def _(env):
    mk = lambda n: env.error(lambda: env.artifact(name=n).name)
    names = [
        "a\n",
        "\na",
        "a\t",
        "..",
        "...",
        "_",
        "-",
        "a" * 127,
        "a" * 128 + "/",
        " a",
        "a ",
        "a\\b",
        "a\x00b",
        "a%20",
        "a+b",
        "a@b",
        "a,b",
        "é",
        "名",
        "v1",
        "latest",
        "run-x",
        "source-x",
        "0",
        "1.0",
        "a\r",
        "A.B",
    ]
    out = {repr(n): mk(n) for n in names}
    for bad in (None, 1, b"a", ["a"], pathlib.Path("a"), Odd()):
        out[repr(bad)] = mk(bad)
    return out


@case("types2")
def _(env):
    mk = lambda n, t: env.error(lambda: env.artifact(name=n, type=t).type)
    ts = [
        "",
        "wandb-",
        "wandb",
        "WANDB-x",
        "job",
        "Job",
        "job-x",
        "run_table",
        "run_table2",
        "code",
        "a/b",
        "a:b",
        "ü",
        "x" * 300,
        "model",
        "wandb-history",
        "wandb-run_table",
        "unspecified",
        " ",
        "\n",
    ]
    out = {
        f"{t!r}|{n}": mk(n, t)
        for t in ts
        for n in ("n", "run-", "run-x", "source-", "source-x", "xrun-x")
    }
    for bad in (None, 1, b"model", ["m"], Odd()):
        out[repr(bad)] = mk("n", bad)
    return out


@case("order_of_checks")
def _(env):
    A = env.sdk.Artifact
    return ER(
        env,
        bad_name_bad_type=lambda: A("a b", "wandb-x"),
        long_name_bad_meta=lambda: A("a" * 129, "t", metadata=[]),
        bad_type_bad_meta=lambda: A("a", "job", metadata=[]),
        none_type_bad_name=lambda: A("a b", None),
        missing_type=lambda: A("a"),
        bad_meta_bad_region=lambda: A("a", "t", metadata=[], storage_region=""),
        bad_region=lambda: A("a", "t", storage_region=""),
        blank_region=lambda: A("a", "t", storage_region="  "),
        int_region=lambda: A("a", "t", storage_region=5),
        none_region=lambda: A("a", "t", storage_region=None).manifest.to_manifest_json()[
            "storagePolicyConfig"
        ],
        region=lambda: A("a", "t", storage_region=" coreweave-us ").manifest.to_manifest_json()[
            "storagePolicyConfig"
        ],
        region2=lambda: A("a", "t", storage_region="nowhere").manifest.to_manifest_json()[
            "storagePolicyConfig"
        ],
        unknown_kw=lambda: A("a", "t", foo=1),
        too_many=lambda: A("a", "t", "d", {}, False, None, None, "MD5", 1),
        positional=lambda: A("a", "t", "d", {"k": 1}, True, None, None, "MD5").metadata,
        desc_int=lambda: A("a", "t", description=5).description,
        desc_none=lambda: A("a", "t", description=None).description,
        desc_empty=lambda: A("a", "t", description="").description,
    )


@case("metadata_setting")
def _(env):
    out = {}
    src = {"a": [1]}
    a = env.artifact(metadata=src)
    src["a"].append(2)
    src["b"] = 1
    out["copied"] = a.metadata
    a.metadata["c"] = 3
    out["live"] = a.metadata
    out["same"] = a.metadata is a.metadata
    for k, v in {"none": None, "list": [1], "str": '{"z":1}', "empty": {}, "int": 3}.items():
        out["set_" + k] = env.error(setattr, a, "metadata", v)
        out["after_" + k] = a.metadata
    a.finalize()
    out["final"] = env.error(setattr, a, "metadata", {"q": 1})
    out["final_after"] = a.metadata
    out["desc"] = env.error(setattr, a, "description", "x")
    out["d"] = a.description
    out["desc5"] = env.error(setattr, a, "description", 5)
    out["d5"] = a.description
    out["del"] = env.error(delattr, a, "metadata")
    return out


@case("readonly_properties")
def _(env):
    a = env.artifact()
    names = "id entity project name qualified_name version collection source_entity source_project source_name source_qualified_name source_version source_collection is_link linked_artifacts source_artifact type url description metadata ttl aliases tags distributed_id incremental use_as state manifest digest digest_algorithm size commit_hash file_count created_at updated_at linked_at history_step".split()
    out = {}
    for n in names:
        out["get_" + n] = env.error(lambda: getattr(a, n))
        if isinstance(out["get_" + n].get("ok"), str) and n in ("digest",):
            pass
        out["has_" + n] = hasattr(a, n)
    for n in names:
        out["set_" + n] = env.error(setattr, a, n, "x1")
    out["dist"] = a.distributed_id
    return out


@case("draft_methods")
def _(env):
    a = env.artifact()
    a.add_file(env.write("x", "1"))
    calls = dict(
        new_draft=lambda: a.new_draft(),
        download=lambda: a.download(),
        checkout=lambda: a.checkout(),
        verify=lambda: a.verify(),
        file=lambda: a.file(),
        files=lambda: a.files(),
        get=lambda: a.get("x"),
        getitem=lambda: a["x"],
        get_entry=lambda: a.get_entry("x"),
        get_path=lambda: a.get_path("x"),
        delete=lambda: a.delete(),
        unlink=lambda: a.unlink(),
        used_by=lambda: a.used_by(),
        logged_by=lambda: a.logged_by(),
        json_encode=lambda: a.json_encode(),
        wait=lambda: a.wait(),
        wait0=lambda: a.wait(0),
        wait_t=lambda: a.wait(timeout=1),
        len_=lambda: len(a),
        iter_=lambda: list(a),
        contains=lambda: "x" in a,
        bool_=lambda: bool(a),
        hash_=lambda: hash(a) == hash(a),
        eq=lambda: a == a,
        eq2=lambda: a == env.artifact(),
        eq_none=lambda: a == None,
        lt=lambda: a < a,
        repr_=lambda: repr(a),
        str_=lambda: str(a),
        fmt=lambda: f"{a:>5}",
        delitem=lambda: a.__delitem__("x"),
        call=lambda: a(),
        nope=lambda: a.nope,
        new_attr=lambda: setattr(a, "foo", 1),
        dict_=lambda: isinstance(vars(a), dict),
    )
    return ER(env, **calls)


@case("copy_pickle")
def _(env):
    a = env.artifact(metadata={"k": 1})
    a.add_file(env.write("x", "1"))
    out = {}

    def f():
        b = copy.copy(a)
        return [b.name, sorted(b.manifest.entries), b is a, b == a, b.digest == a.digest]

    out["copy"] = env.error(f)

    def g():
        b = copy.copy(a)
        b.add_file(env.write("y", "2"))
        return sorted(a.manifest.entries)

    out["shared"] = env.error(g)

    def h():
        b = copy.deepcopy(a)
        b.add_file(env.write("z", "2"))
        return [sorted(a.manifest.entries), sorted(b.manifest.entries)]

    out["deep"] = env.error(h)
    out["pickle"] = env.error(lambda: len(pickle.dumps(a)) > 0)
    out["pickle2"] = env.error(lambda: pickle.loads(pickle.dumps(a)).name)
    e = a.manifest.entries["x"]
    out["e_pickle"] = env.error(lambda: pickle.loads(pickle.dumps(e)) == e)
    out["e_copy"] = env.error(lambda: copy.copy(e) == e)
    out["e_deep"] = env.error(lambda: copy.deepcopy(e) == e)
    out["m_deep"] = env.error(lambda: copy.deepcopy(a.manifest).digest() == a.manifest.digest())
    return out


@case("aliases_tags_draft")
def _(env):
    a = env.artifact()
    return ER(
        env,
        al=lambda: a.aliases,
        set_al=lambda: setattr(a, "aliases", ["x"]),
        set_bad=lambda: setattr(a, "aliases", ["a/b"]),
        tags=lambda: a.tags,
        set_tags=lambda: setattr(a, "tags", ["x"]),
        set_tags_bad=lambda: setattr(a, "tags", ["!"]),
        add=lambda: a.aliases.append("x"),
    )
