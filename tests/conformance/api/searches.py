"""Registries are read and searched, and their members changed."""

from telling import api, facts, mine, names, of_collection, of_registry, registry_name, tell

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
