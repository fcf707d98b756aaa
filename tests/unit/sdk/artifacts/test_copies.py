"""Copies of artifacts are artifacts of their own, with files of their own."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trackd.artifacts import Artifact, Manifest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def draft(tmp_path: Path) -> Artifact:
    (tmp_path / "a").write_text("one")
    made = Artifact("data", "dataset", metadata={"k": [1]})
    made.add_file(tmp_path / "a")
    made.add_reference("nfs://host/b", name="b")
    return made


def _pickled(draft: Artifact) -> Artifact:
    return pickle.loads(pickle.dumps(draft))


@pytest.mark.parametrize("copied", [copy.deepcopy, _pickled])
def test_a_copy_of_a_draft_goes_its_own_way(
    draft: Artifact, copied: Callable[[Artifact], Artifact], tmp_path: Path
) -> None:
    made = copied(draft)
    assert made.digest == draft.digest
    assert made.client_id != draft.client_id
    (tmp_path / "c").write_text("three")
    made.add_file(tmp_path / "c")
    made.metadata["k"].append(2)
    made.remove("b")
    assert sorted(draft.manifest.entries) == ["a", "b"]
    assert draft.metadata == {"k": [1]}


def test_a_copy_keeps_its_files_when_the_first_is_gone(draft: Artifact) -> None:
    made = copy.deepcopy(draft)
    draft.remove_staged()
    assert Path(made.manifest.entries["a"].local_path or "").read_text() == "one"


def test_a_shallow_copy_shares_contents_and_keeps_the_files(draft: Artifact) -> None:
    made = copy.copy(draft)
    del draft
    assert Path(made.manifest.entries["a"].local_path or "").read_text() == "one"


def test_what_was_pickled_says_so_when_its_files_are_gone(draft: Artifact) -> None:
    text = pickle.dumps(draft)
    draft.remove_staged()
    with pytest.raises(FileNotFoundError, match="entry 'a' went with"):
        pickle.loads(text)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"version": 2}, "version 2"),
        ({"version": "1"}, "version '1'"),
        ({"storagePolicy": "other"}, "storagePolicy 'other'"),
        ({"storagePolicyConfig": {"storageLayout": "V3"}}, "storageLayout 'V3'"),
        ({"contents": None}, "'contents' must be an object"),
        ({"contents": {"a": {"size": 1}}}, "entry 'a': digest None"),
        ({"contents": {"a": {"digest": "d", "size": -1}}}, "entry 'a': size -1"),
        ({"contents": {"a": {"digest": "d", "extra": []}}}, "entry 'a': extra"),
    ],
)
def test_a_manifest_that_is_none_is_refused(
    draft: Artifact, change: dict[str, object], match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        Manifest.from_manifest_json(draft.manifest.to_manifest_json() | change)


def test_a_manifest_comes_back_from_its_json(draft: Artifact) -> None:
    form = draft.manifest.to_manifest_json()
    form["contents"]["a"] |= {"local_path": "/home/me/a", "skip_cache": True}
    read = Manifest.from_manifest_json(form)
    assert read.to_manifest_json() == draft.manifest.to_manifest_json()
    assert read.entries["a"].local_path is None
