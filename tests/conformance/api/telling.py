"""What the calls have in common: the `Api`, and how its answers are told."""

import importlib
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


mine = {"name": registry_name}
