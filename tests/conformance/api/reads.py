"""Runs, projects, artifacts, collections and types are read."""

import itertools

from telling import api, facts, names, of_collection, project, registry_name, tell, tracking

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
