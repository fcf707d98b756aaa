# Members of entries and manifests, and values that are rarely added alone.
import copy
import json
import os
import pathlib
import pickle

import numpy as np
from harness import case


def show(env, a):
    d = env.describe(a)
    d["texts"] = {
        k: open(e.local_path, errors="replace").read()
        for k, e in sorted(a.manifest.entries.items())
        if k.endswith("json") and e.local_path
    }
    return d


def E(env, **c):
    return {k: env.error(v) for k, v in c.items()}


@case("values_alone")
def _(env):
    s = env.sdk
    D = s.data_types

    def one(o, name="v"):
        a = env.artifact()
        e = a.add(o, name)
        return [str(e.path), show(env, a)]

    import plotly.graph_objects as go

    fig = go.Figure(go.Bar(y=[1, 2]))
    bb = {
        "box_data": [
            {
                "position": {"minX": 0, "maxX": 0.5, "minY": 0, "maxY": 0.5},
                "class_id": 1,
                "scores": {"a": 1},
            }
        ],
        "class_labels": {1: "x"},
    }

    def g():
        g = s.Graph()
        n = g.add_node(id=1, name="a")
        m = g.add_node(id=2, name="b")
        g.add_edge(n, m)
        return g

    return E(
        env,
        plotly=lambda: one(s.Plotly(fig)),
        graph=lambda: one(g()),
        tgraph=lambda: one(s.Table(columns=["g"], data=[[g()]])),
        tplotly=lambda: one(s.Table(columns=["g", "n"], data=[[s.Plotly(fig), 1]])),
        bb=lambda: one(D.BoundingBoxes2D(bb, "k")),
        bb2=lambda: one(D.BoundingBoxes2D({"box_data": []}, "k"), "a/b"),
        mask=lambda: one(
            D.ImageMask({"mask_data": np.ones((2, 2), np.uint8), "class_labels": {1: "x"}}, "k")
        ),
        mask2=lambda: one(
            D.ImageMask({"mask_data": np.ones((2, 2), np.uint8)}, "k"), "m.mask.json"
        ),
        tmask=lambda: one(
            s.Table(
                columns=["g"], data=[[D.ImageMask({"mask_data": np.ones((2, 2), np.uint8)}, "k")]]
            )
        ),
        tbb=lambda: one(s.Table(columns=["g"], data=[[D.BoundingBoxes2D(bb, "k")]])),
        hist=lambda: one(s.Histogram([1])),
        obj3=lambda: one(s.Object3D.from_numpy(np.zeros((3, 3)))),
        obj3b=lambda: one(
            s.Object3D.from_point_cloud(
                points=[[0, 0, 0]],
                boxes=[{"corners": [[0, 0, 0]] * 8, "label": "x", "color": [1, 2, 3]}],
                vectors=[],
                point_cloud_type="lidar/beta",
            )
        ),
    )


@case("logical_path")
def _(env):
    a = env.artifact()
    e = a.add_file(env.write("x.tar.gz", "1"), name="a/b/x.tar.gz")
    p = e.path
    return E(
        env,
        parts=lambda: p.parts,
        parent=lambda: str(p.parent),
        ptype=lambda: type(p).__name__,
        partype=lambda: type(p.parent).__name__,
        name=lambda: p.name,
        stem=lambda: p.stem,
        suffix=lambda: p.suffix,
        suffixes=lambda: p.suffixes,
        div=lambda: str(p / "q"),
        divt=lambda: type(p / "q").__name__,
        rel=lambda: str(p.relative_to("a")),
        wn=lambda: str(p.with_name("z")),
        ws=lambda: p.with_suffix(".zip"),
        is_abs=lambda: p.is_absolute(),
        match=lambda: p.match("*.gz"),
        posix=lambda: p.as_posix(),
        jp=lambda: p.joinpath("x", "y"),
        path=lambda: str(p.to_path()),
        nope=lambda: p.nope,
        has=lambda: hasattr(p, "exists"),
        parents=lambda: [str(x) for x in p.parents],
        eq=lambda: p == "a/b/x.tar.gz",
        hash_=lambda: hash(p) == hash("a/b/x.tar.gz"),
        up=lambda: p.upper(),
        split=lambda: p.split("/"),
        add=lambda: type(p + "x").__name__,
        fmt=lambda: f"{p}",
        repr_=lambda: repr(p),
        js=lambda: json.dumps(p),
        uri=lambda: p.as_uri(),
        root=lambda: p.root,
        anchor=lambda: p.anchor,
        isrel=lambda: p.is_relative_to("a"),
        pick=lambda: pickle.loads(pickle.dumps(p)) == p,
        cp=lambda: copy.deepcopy(p) == p,
        inn=lambda: p in a.manifest.entries,
        fs=lambda: os.fspath(p),
        pl=lambda: str(pathlib.Path(p)),
        mkd=lambda: p.exists(),
        rdiv=lambda: "x" / p,
        ref=lambda: type(a.add_reference("s9://x", name="r/s")[0].path).__name__,
        nf=lambda: [type(k).__name__ for k in a.manifest.entries],
        enc=lambda: p.encode().decode(),
        inst=lambda: isinstance(p, str),
    )


@case("manifest_edit")
def _(env):
    a = env.artifact()
    e = a.add_file(env.write("x", "1"), name="d/x")
    f = a.add_file(env.write("y", "22"), name="y")
    m = a.manifest
    out = {}
    out["pop"] = env.error(lambda: [m.entries.pop("y").path, sorted(m.entries), a.size])
    out["set"] = env.error(
        lambda: [m.entries.__setitem__("z", f), sorted(m.entries), a.size, a.digest]
    )
    out["del"] = env.error(lambda: [m.entries.__delitem__("d/x"), sorted(m.entries), a.digest])
    out["add_after"] = env.error(
        lambda: [a.add_file(env.write("x", "1"), name="d").path, sorted(m.entries)]
    )
    out["upd"] = env.error(lambda: [m.entries.update({"q": e}), sorted(m.entries)])
    out["clear"] = env.error(lambda: [m.entries.clear(), len(m), a.size, a.digest])
    out["isdict"] = isinstance(m.entries, dict)
    out["json"] = env.error(lambda: m.storage_policy.config())
    out["name"] = env.error(lambda: m.storage_policy.name())
    out["ver"] = env.error(lambda: m.manifest_version)
    out["alg"] = env.error(lambda: [m.digest_algorithm.value, m.digest_algorithm.name])
    out["addpos"] = env.error(lambda: [m.add_entry(e, True), sorted(m.entries)])
    M = type(m)
    En = type(e)
    out["newl"] = env.error(lambda: En(path="a/b", digest="x", local_path=env.dir("x")).size)
    out["birth"] = env.error(
        lambda: En(path="a/b", digest="x", birth_artifact_id="q").birth_artifact_id
    )
    out["eq"] = env.error(
        lambda: En(path="a/b", digest="x", size=3) == En(path="a/b", digest="x", size=3)
    )
    out["addnew"] = env.error(
        lambda: [m.add_entry(En(path="k//l", digest="x", size=3)), sorted(m.entries), a.size]
    )
    out["addbad"] = env.error(lambda: m.add_entry(En(path="../l", digest="x", size=3)))
    out["addabs"] = env.error(lambda: m.add_entry(En(path="/l", digest="x", size=3)))
    out["addself"] = env.error(lambda: m.add_entry(5))
    out["rm5"] = env.error(lambda: m.remove_entry(En(path="nope", digest="x")))
    out["eqm"] = env.error(lambda: env.artifact().manifest == env.artifact().manifest)
    out["tojson"] = env.error(
        lambda: En(path="a/b", digest="x", ref="r", extra={"a": 1}, skip_cache=True).to_json()
    )
    return out
