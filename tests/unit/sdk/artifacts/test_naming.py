"""Names of artifacts on a server, and ids of drafts."""

from __future__ import annotations

import pytest

from trackd.artifacts.facts import new_client_id
from trackd.artifacts.naming import ArtifactPath, is_registry, is_version


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("name", ("", "", "name")),
        ("name:v3", ("", "", "name:v3")),
        ("project/name:a/b", ("", "project", "name:a/b")),
        ("entity/project/name:x:y", ("entity", "project", "name:x:y")),
        ("", ("", "", "")),
    ],
)
def test_a_path_has_up_to_three_parts_and_an_alias_that_may_have_slashes(
    text: str, parts: tuple[str, str, str]
) -> None:
    path = ArtifactPath.parse(text)
    assert (path.entity, path.project, path.name) == parts
    assert str(path) == text
    assert path.collection == "name" if text else not path.collection


def test_more_parts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"has 4 parts: use \[\[entity/\]project/\]name"):
        ArtifactPath.parse("a/b/c/d:v0")


def test_what_a_path_does_not_say_comes_from_elsewhere() -> None:
    path = ArtifactPath.parse("p/n").with_defaults(project="other", entity="e")
    assert str(path) == "e/p/n"


def test_registries_and_versions_are_told_by_their_names() -> None:
    assert is_registry("wandb-registry-models") and not is_registry("wandb-registry-")
    assert is_version("v12") and not is_version("v1x") and not is_version("latest")


def test_client_ids_are_letters_and_digits_and_never_repeat() -> None:
    ids = {new_client_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(id_) == 128 and id_.isalnum() and id_.isascii() for id_ in ids)
