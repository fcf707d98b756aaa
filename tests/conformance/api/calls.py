"""What both `Api`s answer, call by call: one line of JSON each.

Usage: calls.py MODULE PROJECT REGISTRY
"""

import importlib
import itertools
import json
import sys

module, project, registry_name = sys.argv[1:4]
tracking = importlib.import_module(module)
api = tracking.Api()
OWN_WORDS = {project: "PROJECT", registry_name: "REGISTRY"}


def plain(value):
    text = json.dumps(value, default=repr, sort_keys=True)
    for word, shown in OWN_WORDS.items():
        text = text.replace(word, shown)
    return json.loads(text)


def tell(label, call):
    try:
        told = {"answer": plain(call())}
    except Exception as error:  # noqa: BLE001 - what is raised is what is compared
        told = {"raised": [kind.__name__ for kind in type(error).__mro__], "text": str(error)}
    print(json.dumps({"call": label, **told}), flush=True)


def facts(artifact):
    return [
        artifact.name, artifact.qualified_name, artifact.type, artifact.version,
        sorted(artifact.aliases), sorted(artifact.tags), artifact.description, artifact.metadata,
        artifact.size, artifact.file_count, artifact.digest, artifact.state, artifact.is_link,
        artifact.source_name, artifact.entity, artifact.project,
    ]  # fmt: skip


def of_collection(found):
    return [
        found.name, found.type, found.entity, found.project, found.description, sorted(found.tags),
        found.is_sequence(), sorted(found.aliases),
    ]  # fmt: skip


def of_registry(found):
    return [
        found.name, found.full_name, found.organization, found.entity, found.description,
        found.visibility, found.allow_all_artifact_types, list(found.artifact_types), found.path,
    ]  # fmt: skip


def names(things):
    return [each.name for each in things]


# --- runs, projects -------------------------------------------------------------------------------
tell("default entity", lambda: api.default_entity)
tell("runs", lambda: sorted(run.id for run in api.runs(project)))
tell("runs count", lambda: len(api.runs(project)))
tell("run", lambda: [api.run(f"{project}/maker").state, api.run(f"{project}/maker").path])
tell("no run", lambda: api.run(f"{project}/nobody"))
tell("run of docker style", lambda: api.run(f"{project}:maker").id)
tell("no project", lambda: list(api.runs("there-is-none")))
tell("logged", lambda: sorted(names(api.run(f"{project}/maker").logged_artifacts())))
tell("logged count", lambda: len(api.run(f"{project}/maker").logged_artifacts()))
tell("used", lambda: sorted(names(api.run(f"{project}/taker").used_artifacts())))
tell("run files", lambda: sorted(names(api.run(f"{project}/maker").files())))
tell("run file", lambda: api.run(f"{project}/maker").file("config.yaml").name)
tell("no run file", lambda: api.run(f"{project}/maker").file("nothing"))
tell("projects", lambda: project in names(api.projects()))
tell("project", lambda: [api.project(project).name, api.project(project).path])
tell("no project's id", lambda: api.project("there-is-none").id)
tell("project types", lambda: sorted(names(api.project(project).artifacts_types())))
tell("project collections", lambda: sorted(names(api.project(project).collections())))
tell("project collections by name", lambda: names(api.project(project).collections(order="-name")))
tell(
    "project collections filtered",
    lambda: names(api.project(project).collections(filters={"name": "model"})),
)

# --- artifacts ------------------------------------------------------------------------------------
for name in ("data", "data:latest", "data:v0", "data:best", "model:good", "shown:linked"):
    tell(f"artifact {name}", lambda name=name: facts(api.artifact(f"{project}/{name}")))
for name in ("data:v99", "data:none", "nothing:v0", "a/b/c/d:v0", ""):
    tell(f"no artifact {name}", lambda name=name: facts(api.artifact(f"{project}/{name}")))
tell("artifact of another type", lambda: api.artifact(f"{project}/data", type="model"))
tell("artifact without a name", lambda: api.artifact(None))
tell("artifact of no project", lambda: api.artifact("there-is-none/data:v0"))
tell("exists", lambda: [api.artifact_exists(f"{project}/data:{v}") for v in ("v0", "v99", "best")])
tell("exists with type", lambda: api.artifact_exists(f"{project}/data:v0", type="model"))
tell("exists in no project", lambda: api.artifact_exists("there-is-none/data:v0"))
tell("versions", lambda: names(api.artifacts("dataset", f"{project}/data")))
tell(
    "versions in small pages",
    lambda: names(api.artifacts("dataset", f"{project}/data", per_page=2)),
)
tell(
    "versions, oldest",
    lambda: names(api.artifacts("dataset", f"{project}/data", order="+created_at")),
)
tell(
    "versions, newest",
    lambda: names(api.artifacts("dataset", f"{project}/data", order="-created_at")),
)
tell("versions with a tag", lambda: names(api.artifacts("dataset", f"{project}/data", tags=["t1"])))
tell(
    "versions with tags",
    lambda: names(api.artifacts("dataset", f"{project}/data", tags=["t0", "t1"])),
)
tell("versions count", lambda: len(api.artifacts("dataset", f"{project}/data")))
tell("versions by index", lambda: api.artifacts("dataset", f"{project}/data", per_page=2)[3].name)
tell(
    "versions by slice", lambda: names(api.artifacts("dataset", f"{project}/data", per_page=2)[1:3])
)
tell("versions beyond", lambda: api.artifacts("dataset", f"{project}/data")[17].name)
tell("versions of another type", lambda: names(api.artifacts("model", f"{project}/data")))
tell("versions of nothing", lambda: names(api.artifacts("dataset", f"{project}/nothing")))
tell("versions, odd page", lambda: names(api.artifacts("dataset", f"{project}/data", per_page=0)))
tell("versions, odd order", lambda: names(api.artifacts("dataset", f"{project}/data", order="!x")))


def go_on():
    first = api.artifacts("dataset", f"{project}/data", per_page=2)
    begun = names(itertools.islice(first, 2))
    rest = api.artifacts("dataset", f"{project}/data", per_page=2, start=first.cursor)
    return begun, names(rest)


tell("versions gone on with", go_on)
tell("collection", lambda: of_collection(api.artifact_collection("dataset", f"{project}/data")))
tell("portfolio", lambda: of_collection(api.artifact_collection("dataset", f"{project}/shown")))
tell("collection of another type", lambda: api.artifact_collection("model", f"{project}/data"))
tell("no collection", lambda: api.artifact_collection("dataset", f"{project}/nothing"))
tell(
    "collection exists",
    lambda: [api.artifact_collection_exists(f"{project}/{n}", "dataset") for n in ("data", "nix")],
)
tell("collections", lambda: sorted(names(api.artifact_collections(project, "dataset"))))
tell("collections count", lambda: len(api.artifact_collections(project, "dataset")))
tell("collections of no type", lambda: names(api.artifact_collections(project, "nothing")))
tell(
    "collections, small pages",
    lambda: sorted(names(api.artifact_collections(project, "dataset", per_page=1))),
)
tell(
    "collection's versions",
    lambda: names(api.artifact_collection("dataset", f"{project}/data").artifacts(per_page=3)),
)
tell(
    "portfolio's versions",
    lambda: names(api.artifact_collection("dataset", f"{project}/shown").artifacts()),
)
tell("types", lambda: sorted(names(api.artifact_types(project))))
tell("type", lambda: api.artifact_type("dataset", project).name)
tell("no type", lambda: api.artifact_type("nothing", project).name)
tell(
    "type's collections", lambda: sorted(names(api.artifact_type("dataset", project).collections()))
)
tell(
    "files",
    lambda: [[f.name, f.size, f.digest] for f in api.artifact(f"{project}/data:v1").files()],
)
tell("files count", lambda: len(api.artifact(f"{project}/data:v1").files()))
tell("files by name", lambda: names(api.artifact(f"{project}/data:v1").files(names=["nothing"])))
tell("logged by", lambda: api.artifact(f"{project}/data:v1").logged_by().id)
tell("used by", lambda: [run.id for run in api.artifact(f"{project}/data:best").used_by()])
tell(
    "collection of a version", lambda: of_collection(api.artifact(f"{project}/data:v1").collection)
)

# --- registries -----------------------------------------------------------------------------------
tell("organization", lambda: [api.organization().name, api.organization().org_entity.name])
tell("no organization", lambda: api.organization("there-is-none"))
tell("registry", lambda: of_registry(api.registry(registry_name)))
tell("no registry", lambda: api.registry("there-is-none"))
tell("registry twice", lambda: api.create_registry(registry_name, "organization"))
tell("registry, odd visibility", lambda: api.create_registry("odd", "secret"))
tell("registry, odd name", lambda: api.create_registry("o/d", "restricted"))
tell("registry, long name", lambda: api.create_registry("x" * 200, "restricted"))
tell("registry, odd type", lambda: api.create_registry("odd", "restricted", artifact_types=["a:b"]))
mine = {"name": registry_name}
tell("registries", lambda: names(api.registries(filter=mine)))
tell(
    "registries by regex", lambda: names(api.registries(filter={"name": {"$regex": registry_name}}))
)
tell("registries, none", lambda: names(api.registries(filter={"name": "there-is-none"})))
tell("registries, odd field", lambda: names(api.registries(filter={"colour": 1})))
tell("registries, odd order", lambda: names(api.registries(order="colour")))
tell("registries of nobody", lambda: names(api.registries("there-is-none")))
tell("registries' collections", lambda: names(api.registries(filter=mine).collections()))
tell(
    "registries' collections filtered",
    lambda: names(api.registries(filter=mine).collections(filter={"name": "nix"})),
)
tell(
    "registries' collections ordered",
    lambda: names(api.registries(filter=mine, order="name").collections(order="-name")),
)
tell(
    "registries' versions", lambda: [facts(each) for each in api.registries(filter=mine).versions()]
)
tell(
    "registries' versions by alias",
    lambda: names(api.registries(filter=mine).versions(filter={"alias": "production"})),
)
tell(
    "registries' versions by no alias",
    lambda: names(api.registries(filter=mine).versions(filter={"alias": "nix"})),
)
tell(
    "collections' versions",
    lambda: names(api.registries(filter=mine).collections(filter={"name": "served"}).versions()),
)
tell("versions ordered", lambda: names(api.registries(filter=mine, order="name").versions()))
tell("versions by order", lambda: names(api.registries(filter=mine).versions(order="-created_at")))
tell(
    "versions, odd field", lambda: names(api.registries(filter=mine).versions(filter={"colour": 1}))
)
tell("start with order", lambda: api.registries(order="name").collections(start="abc"))
tell("registry's collections", lambda: names(api.registry(registry_name).collections()))
tell("registry's versions", lambda: names(api.registry(registry_name).versions()))
tell(
    "registry artifact",
    lambda: facts(api.artifact(f"wandb-registry-{registry_name}/served:production")),
)
tell("registry types", lambda: names(api.artifact_types(f"wandb-registry-{registry_name}")))
tell(
    "registry collection",
    lambda: of_collection(
        api.artifact_collection("model", f"wandb-registry-{registry_name}/served")
    ),
)
tell(
    "registry user members",
    lambda: [[m.user.username, str(m.role)] for m in api.registry(registry_name).user_members()],
)
tell("registry no member", lambda: api.registry(registry_name).add_members())
tell("registry odd member", lambda: api.registry(registry_name).add_members(17))

# --- searching deeper -----------------------------------------------------------------------------
found = api.registries(filter=mine)
for label, wanted in {
    "or": {"$or": [{"alias": "nix"}, {"alias": "production"}]},
    "and": {"$and": [{"alias": "production"}, {"version": "v0"}]},
    "tag in": {"tag": {"$in": ["x", "y"]}},
    "not": {"$not": {"alias": "production"}},
    "nor": {"$nor": [{"alias": "production"}]},
    "index": {"version": "v0"},
    "index number": {"version": 0},
    "metadata": {"metadata.loss": {"$gt": 0.1}},
    "created": {"created_at": {"$gt": "2020-01-01T00:00:00"}},
    "created later": {"created_at": {"$gt": "2120-01-01T00:00:00"}},
    "size": {"artifact_size": {"$lt": 100}},
    "aliases": {"aliases": "latest"},
    "two names of one": {"alias": "a", "aliases": "b"},
    "empty": {},
    "unknown operator": {"alias": {"$near": 1}},
    "regex": {"alias": {"$regex": "^prod"}},
    "exists": {"alias": {"$exists": True}},
}.items():
    tell(f"versions {label}", lambda wanted=wanted: names(found.versions(filter=wanted)))
for label, wanted in {
    "regex": {"name": {"$regex": "^ser"}},
    "contains": {"name": {"$contains": "erv"}},
    "in": {"name": {"$in": ["served", "x"]}},
    "ne": {"name": {"$ne": "served"}},
    "tag": {"tag": "nix"},
    "description": {"description": None},
    "odd": {"colour": 1},
}.items():
    tell(f"collections {label}", lambda wanted=wanted: names(found.collections(filter=wanted)))
for label, wanted in {
    "in": {"name": {"$in": [registry_name, "x"]}},
    "whole name": {"name": f"wandb-registry-{registry_name}"},
    "description": {"description": "what we serve", "name": registry_name},
    "or": {"$or": [{"name": registry_name}, {"name": "x"}]},
}.items():
    tell(f"registries {label}", lambda wanted=wanted: names(api.registries(filter=wanted)))
tell("registries newest", lambda: names(api.registries(filter=mine, order="-created_at")))
tell("registries length", lambda: api.registries(filter=mine).length)
tell("registries one by one", lambda: registry_name in names(api.registries(per_page=1)))
tell("registries cursor", lambda: api.registries(start="nonsense").cursor)
tell("registries nonsense", lambda: names(api.registries(start="nonsense")))
tell(
    "ordered collections' versions",
    lambda: names(api.registries(filter=mine, order="name").collections().versions()),
)
tell("ordered versions cursor", lambda: api.registries(filter=mine, order="name").versions().cursor)
tell("ordered versions index", lambda: api.registries(filter=mine, order="name").versions()[0])
tell("ordered versions count", lambda: len(api.registries(filter=mine, order="name").versions()))
tell("versions count", lambda: len(found.versions()))
tell("collections count", lambda: len(found.collections()))
tell("collection of a version", lambda: of_collection(next(iter(found.versions())).collection))
tell("source of a version", lambda: next(iter(found.versions())).source_artifact.qualified_name)
tell("registry with organization", lambda: api.registry(registry_name, "local").name)
tell(
    "registry artifact with organization",
    lambda: facts(api.artifact(f"local/wandb-registry-{registry_name}/served:v0")),
)
tell(
    "registry artifact of another organization",
    lambda: facts(api.artifact(f"foreign/wandb-registry-{registry_name}/served:v0")),
)
tell(
    "registry's artifacts",
    lambda: names(api.artifacts("model", f"wandb-registry-{registry_name}/served")),
)
tell("registry project", lambda: api.project(f"wandb-registry-{registry_name}").path)
# --- members
tell("users", lambda: [user.username for user in api.users("local")])
tell("user", lambda: api.user("local").username)
tell("no user", lambda: api.user("nobody"))
tell(
    "member is changed",
    lambda: [
        [m.user.username, str(m.role)]
        for m in api.registry(registry_name)
        .update_member(api.user("local"), "viewer")
        .user_members()
    ],
)
tell(
    "member with an odd role",
    lambda: api.registry(registry_name).update_member(api.user("local"), "king"),
)
tell(
    "member is removed",
    lambda: len(api.registry(registry_name).remove_members(api.user("local")).user_members()),
)
tell(
    "member is added",
    lambda: len(api.registry(registry_name).add_members(api.user("local").id).user_members()),
)
tell("teams", lambda: api.registry(registry_name).team_members())
# --- runs
tell(
    "runs filtered",
    lambda: [
        r.id
        for r in api.runs(project, filters={"display_name": {"$exists": True}}, order="-created_at")
    ],
)
tell(
    "runs of a state",
    lambda: sorted(r.id for r in api.runs(project, filters={"state": "finished"})),
)
tell("runs none", lambda: [r.id for r in api.runs(project, filters={"state": "failed"})])
tell("runs odd filter", lambda: [r.id for r in api.runs(project, filters={"$near": 1})])
tell("runs index", lambda: api.runs(project)[0].id)
tell("runs per page", lambda: sum(1 for _ in api.runs(project, per_page=1)))
tell("history", lambda: api.run(f"{project}/maker").history(pandas=False))
tell("scan", lambda: list(api.run(f"{project}/maker").scan_history()))
tell("scan odd", lambda: list(api.run(f"{project}/maker").scan_history(keys=[1])))
tell("run path", lambda: api.from_path(f"local/{project}/runs/maker").id)
tell("project path", lambda: api.from_path(f"local/{project}").name)
tell("odd path", lambda: api.from_path("a/b/c/d/e"))
tell("files like", lambda: sorted(names(api.run(f"{project}/maker").files(pattern="%.yaml"))))
tell("files like and named", lambda: api.run(f"{project}/maker").files(names=["a"], pattern="b"))
tell(
    "run attributes",
    lambda: [
        type(getattr(api.run(f"{project}/maker"), n)).__name__
        for n in (
            "created_at",
            "heartbeat_at",
            "tags",
            "notes",
            "group",
            "job_type",
            "storage_id",
            "url",
            "user",
            "entity",
            "read_only",
            "commit",
            "sweep_name",
            "description",
            "display_name",
        )
    ],
)
tell("run no attribute", lambda: api.run(f"{project}/maker").colour)


def fetch():
    (file,) = api.artifact(f"{project}/data:v1").files()
    with file.download("fetched", replace=True) as opened:
        return opened.read(), file.size, file.mimetype


tell("file of an artifact", fetch)


def fetch_again(**options):
    (file,) = api.artifact(f"{project}/data:v1").files()
    with file.download("fetched", **options) as opened:
        return opened.read()


tell("file again", fetch_again)
tell("file again, exists", lambda: fetch_again(exist_ok=True))
tell(
    "logged from outside",
    lambda: (
        api.run(f"{project}/taker")
        .log_artifact(api.artifact(f"{project}/data:v0"), aliases=["again"])
        .name
    ),
)
tell("logged from outside then", lambda: sorted(api.artifact(f"{project}/data:again").aliases))
tell(
    "logged from another project",
    lambda: (
        api.run(f"{project}/taker")
        .log_artifact(api.artifact(f"wandb-registry-{registry_name}/served:v0"))
        .name
    ),
)
tell("use nothing", lambda: api.run(f"{project}/taker").use_artifact("data"))
tell("log nothing", lambda: api.run(f"{project}/taker").log_artifact("data"))
tell(
    "with overrides",
    lambda: (
        tracking.Api(overrides={"project": project, "entity": "local"})
        .artifact("data:v0")
        .qualified_name
    ),
)
tell("runs with overrides", lambda: len(tracking.Api(overrides={"project": project}).runs()))
tell(
    "types with overrides",
    lambda: sorted(names(tracking.Api(overrides={"project": project}).artifact_types())),
)
tell("types odd project", lambda: names(api.artifact_types("there-is-none")))
tell(
    "collections odd page", lambda: names(api.artifact_collections(project, "dataset", per_page=-1))
)
tell("registries odd page", lambda: names(api.registries(per_page=0)))
tell(
    "collections of types filtered",
    lambda: names(
        api.artifact_type("dataset", project).collections(
            filters={"name": {"$regex": "^da"}}, order="+name"
        )
    ),
)
tell(
    "collections of types odd filter",
    lambda: names(api.artifact_type("dataset", project).collections(filters={"colour": 1})),
)
tell("project collections count", lambda: len(api.project(project).collections()))
tell("aliases of the old model registry", lambda: facts(api.artifact("model-registry/x:v0")))


def artifact_edit():
    a = api.artifact(f"{project}/model:good")
    a.aliases.append("new")
    a.tags = ["q"]
    a.description = "d"
    a.metadata["z"] = 1
    a.save()
    return facts(api.artifact(f"{project}/model:new"))


tell("artifact is edited", artifact_edit)

# --- changes --------------------------------------------------------------------------------------


def change_collection():
    found = api.artifact_collection("dataset", f"{project}/data")
    found.description, found.tags = "all of it", ["one", "two"]
    found.save()
    found.tags = ["two", "three"]
    found.save()
    return of_collection(api.artifact_collection("dataset", f"{project}/data"))


def rename_collection():
    found = api.artifact_collection("result", f"{project}/report")
    found.name, found.type = "summary", "text"
    found.save()
    return of_collection(api.artifact_collection("text", f"{project}/summary"))


def set_type_of_portfolio():
    api.artifact_collection("dataset", f"{project}/shown").type = "model"


def odd_collection_name(name):
    found = api.artifact_collection("dataset", f"{project}/data")
    found.name = name
    found.save()


def change_type_to_reserved():
    found = api.artifact_collection("dataset", f"{project}/data")
    found.type = "wandb-history"
    found.save()


def change_registry():
    found = api.registry(registry_name)
    found.description, found.visibility = "new words", "restricted"
    found.artifact_types.append("dataset")
    found.save()
    return of_registry(api.registry(registry_name))


def remove_saved_type():
    api.registry(registry_name).artifact_types.remove("model")


def add_type_while_all_are_allowed():
    found = api.registry(registry_name)
    found.allow_all_artifact_types = True
    found.artifact_types.append("more")
    found.save()


def change_run():
    run = api.run(f"{project}/maker")
    run.tags, run.notes, run.config["lr"] = ["x"], "words", 3
    run.summary["best"] = 4
    run.update()
    api.flush()
    run = api.run(f"{project}/maker")
    return [run.tags, run.notes, run.config, run.summary["best"]]


def delete_portfolio():
    api.artifact_collection("dataset", f"{project}/shown").delete()
    return api.artifact_collection_exists(f"{project}/shown", "dataset")


def delete_collection():
    api.artifact_collection("dataset", f"{project}/data").delete()
    return [
        api.artifact_collection_exists(f"{project}/data", "dataset"),
        api.artifact_exists(f"{project}/data:v0"),
    ]


def delete_registry():
    found = api.registry(registry_name)
    found.delete()
    return [names(api.registries(filter=mine)), api.artifact_exists(f"{project}/model:good")]


tell("change a collection", change_collection)
tell("rename a collection", rename_collection)
tell("type of a portfolio", set_type_of_portfolio)
tell("long name of a collection", lambda: odd_collection_name("x" * 129))
tell("slash in the name of a collection", lambda: odd_collection_name("a/b"))
tell("reserved type", change_type_to_reserved)
tell("change a registry", change_registry)
tell("remove a saved type", remove_saved_type)
tell("type while all are allowed", add_type_while_all_are_allowed)
tell("change a run", change_run)
tell(
    "use from outside",
    lambda: api.run(f"{project}/taker").use_artifact(api.artifact(f"{project}/model:good")).name,
)
tell("used then", lambda: sorted(names(api.run(f"{project}/taker").used_artifacts())))
tell("use a draft", lambda: api.run(f"{project}/taker").use_artifact(tracking.Artifact("x", "y")))
tell("delete a portfolio", delete_portfolio)
tell("delete a registry", delete_registry)
tell("delete a collection", delete_collection)
