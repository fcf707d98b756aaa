"""Collections, links, registries, search and lineage as the unmodified `wandb.Api` sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.test_wandb_client import run_script
from tests.support.server import running_server

if TYPE_CHECKING:
    from pathlib import Path


LOG = """
def artifact(name, type, text, **more):
    made = wandb.Artifact(name, type, **more)
    with made.new_file("x.txt") as file:
        file.write(text)
    return made
def refused(call, *args, **named):
    try:
        call(*args, **named)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
run = wandb.init(project="p", id="r1")
for number in range(3):
    made = artifact("data", "dataset", str(number), metadata={"acc": number / 10})
    aliases, tags = (["best"] if number == 1 else []), (["red"] if number == 2 else [])
    run.log_artifact(made, aliases=aliases, tags=tags).wait()
run.log_artifact(artifact("net", "model", "n")).wait()
run.finish()
run = wandb.init(project="p", id="r2")
run.use_artifact("data:best")
run.log_artifact(artifact("out", "result", "o")).wait()
run.finish()
api = wandb.Api()
"""

COLLECTIONS = """
listed = api.artifacts("dataset", "local/p/data")
lists = {
    "types": [kind.name for kind in api.artifact_types("p")],
    "versions": [(one.name, one.aliases, one.tags) for one in listed],
    "count": len(listed),
    "tagged": [one.name for one in api.artifacts("dataset", "p/data", tags="red")],
    "paged": [one.name for one in api.artifacts(
        "dataset", "p/data", order="+created_at", per_page=1)],
}
collection = api.artifact_collection("dataset", "p/data")
first = [collection.aliases, collection.is_sequence()]
collection.description, collection.tags, collection.name = "words", ["a", "b c"], "renamed"
collection.save()
collection.type, collection.tags = "corpus", ["a"]
collection.save()
again = api.artifact_collection("corpus", "p/renamed")
collection.name = "net"
taken = refused(collection.save)
middle = api.artifact("p/renamed:v1")
run = api.run("p/r2")
lineage = {
    "used_by": [one.id for one in middle.used_by()], "logged_by": middle.logged_by().id,
    "logged": [one.name for one in run.logged_artifacts()],
    "used": [one.name for one in run.used_artifacts()],
    "files": [one.name for one in api.run("p/r1").files() if "manifest" in one.name],
}
again.delete()
result(lists=lists, first=first, taken=taken, lineage=lineage,
       again=[again.description, sorted(again.tags), again.type],
       left=[api.artifact_exists("p/renamed:v0"), api.artifact_exists("p/net:v0")])
"""


async def test_collections_are_listed_changed_and_deleted(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        said = run_script(server, tmp_path / "c", LOG + COLLECTIONS)
    assert said["lists"] == {
        "types": ["dataset", "model", "result"],
        "versions": [
            ["data:v2", ["latest"], ["red"]],
            ["data:v1", ["best"], []],
            ["data:v0", [], []],
        ],
        "count": 3,
        "tagged": ["data:v2"],
        "paged": ["data:v0", "data:v1", "data:v2"],
    }
    assert [sorted(said["first"][0]), said["first"][1]] == [["best", "latest"], True]
    assert said["again"] == ["words", ["a"], "corpus"]
    assert "already" in said["taken"]
    assert said["lineage"] == {
        "used_by": ["r2"],
        "logged_by": "r1",
        "logged": ["out:v0"],
        "used": ["renamed:v1"],
        "files": [],
    }
    assert said["left"] == [False, True]


REGISTRY = """
made = api.create_registry("m", visibility="organization", description="d",
                           artifact_types=["model"])
net, data = api.artifact("p/net:latest"), api.artifact("p/data:v0")
link = net.link("wandb-registry-m/Nets", aliases=["prod"])
open_one = api.create_registry("all", visibility="restricted")
for version in ("v2", "v0"):
    api.artifact(f"p/data:{version}").link("local/wandb-registry-all/Data")
facts = [made.full_name, made.entity, made.organization, list(made.artifact_types), made.visibility,
         made.allow_all_artifact_types, link.qualified_name, link.source_qualified_name,
         sorted(link.aliases), link.is_link]
refusals = [
    refused(api.create_registry, "m", visibility="restricted"),
    refused(data.link, "wandb-registry-m/Data"),
    refused(net.link, "wandb-registry-none/Nets"),
    refused(net.link, "elsewhere/wandb-registry-m/Nets"),
    refused(net.link, "p/data"),
    refused(net.link, "wandb-registry-m/Nets", aliases=["v7"]),
    refused(api.registry, "none"),
]
names = lambda found: [one.name for one in found]
search = [
    names(api.registries(order="name")), names(api.registries(filter={"name": "m"})),
    names(api.registries(filter={"name": {"$regex": "^wandb-registry-a"}})),
    names(api.registries().collections(filter={"name": {"$contains": "at"}}, order="-name")),
    names(api.registries().collections().versions(filter={"alias": "prod"})),
    names(api.registries().versions(filter={"metadata.acc": {"$gt": 0.1}})),
    names(api.registries().versions(filter={"$or": [{"tag": "red"}, {"version": "v1"}]},
                                    order="+created_at")),
    names(api.registry("all").versions(order="-linked_at", per_page=1)),
    names(api.registries(order="name").collections(order="-created_at").versions()),
]
pages = api.registries().versions(per_page=1)
next(pages)
resumed = names(api.registries().versions(start=pages.cursor))
registry = api.registry("m")
registry.description, registry.visibility, registry.name = "new", "restricted", "n"
registry.artifact_types.append("dataset")
registry.save()
registry = api.registry("n")
changed = [registry.description, registry.visibility, list(registry.artifact_types)]
crew = api.team("crew")
registry.add_members(crew)
registry.update_member(crew, "admin")
people = [(one.kind.value, one.role) for one in registry.members()]
registry.remove_members(crew)
people.append(len(registry.members()))
linked = api.artifact("p/net:v0").linked_artifacts
latest = api.artifact("wandb-registry-all/Data").source_version
api.artifact("wandb-registry-all/Data:latest").unlink()
moved = api.artifact("wandb-registry-all/Data").source_version
registry.collections()[0].delete()
emptied = len(registry.collections())
registry.delete()
result(facts=facts, refusals=refusals, search=search, resumed=resumed, changed=changed,
       people=people, linked=[one.qualified_name for one in linked], latest=[latest, moved],
       emptied=emptied, gone=refused(api.registry, "n"), kept=api.artifact_exists("p/net:v0"))
"""


async def test_registries_are_made_linked_searched_and_deleted(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        said = run_script(server, tmp_path / "c", LOG + REGISTRY)
    assert said["facts"] == [
        "wandb-registry-m",
        "local",
        "local",
        ["model"],
        "organization",
        False,
        "local/wandb-registry-m/Nets:v0",
        "local/p/net:v0",
        ["latest", "prod"],
        True,
    ]
    reasons = ("already exists", "'dataset'", "no registry", "elsewhere", "sequence", "v7", "none")
    for refusal, reason in zip(said["refusals"], reasons, strict=True):
        assert reason in refusal
    assert said["search"] == [
        ["all", "m"],
        ["m"],
        ["all"],
        ["Data"],
        ["Nets:v0"],
        ["Data:v0"],
        ["Data:v1", "Data:v0"],
        ["Data:v1", "Data:v0"],
        ["Data:v1", "Data:v0", "Nets:v0"],
    ]
    assert said["resumed"] == ["Data:v0", "Nets:v0"]
    assert said["changed"] == ["new", "restricted", ["model", "dataset"]]
    assert said["people"] == [["User", "admin"], ["Entity", "admin"], 1]
    assert said["linked"] == ["local/wandb-registry-n/Nets:v0"]
    assert said["latest"] == ["v0", "v2"]
    assert said["emptied"] == 0 and "n" in said["gone"] and said["kept"]
