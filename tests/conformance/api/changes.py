"""Collections, registries and runs are edited and deleted."""

from telling import (
    api,
    mine,
    names,
    of_collection,
    of_registry,
    project,
    registry_name,
    tell,
    tracking,
)

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


def tags_of_nothing():
    api.artifact_collection("dataset", f"{project}/data").tags = None


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
tell("tags None", tags_of_nothing)
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
