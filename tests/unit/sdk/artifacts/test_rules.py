"""The rules for names, paths, tags and metadata decide as those of the real client do."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wandb.sdk.artifacts import _validators as reference
from wandb.sdk.artifacts._internal_artifact import sanitize_artifact_name

from trackd.artifacts import rules
from trackd.artifacts.paths import logical_path

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS = st.sampled_from(["a", "b c", "..", ".", "", "C:", "\\", "/", "ü", "a.b", ":", "#?%", "v1"])
PATHS = st.lists(PARTS, max_size=5).map("/".join) | st.lists(PARTS, max_size=3).map("".join)
#: No lone surrogates: the real client accepts them, and fails when it takes the digest. No zero
#: bytes: it accepts them, and nobody can download the file.
_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXTS = st.text(_CHARACTERS, max_size=12) | PATHS
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text("abc", max_size=2) | st.integers(0, 3), inner, max_size=3)
    ),
    max_leaves=8,
)


def outcome(decide: Callable[..., Any], *given_: Any) -> Any:
    """Return what a rule gives, or which of the two errors it raises."""
    try:
        return decide(*given_)
    except (ValueError, TypeError) as error:
        return ValueError if isinstance(error, ValueError) else TypeError


@given(TEXTS)
@example("a//b/./c/")
@example("a\\..\\b")
def test_paths(path: str) -> None:
    assert outcome(logical_path, path) == outcome(reference.validate_artifact_path, path)


@given(TEXTS | st.sampled_from(["run-x", "source-x"]), st.sampled_from(["job", "code", "x"]))
@example("run-x", "run_table")
@example("x", "wandb-y")
def test_types(name: str, type_: str) -> None:
    ours = outcome(rules.checked_type, type_, name)
    assert ours == outcome(reference.validate_artifact_type, type_, name)


#: The real client lets one line end pass at the end of a tag; ours does not.
TAGS = TEXTS.filter(lambda text: not text.endswith("\n"))


@given(st.lists(TAGS, max_size=3) | TAGS)
@example("a b  c-d_é")
def test_tags(tags: list[str] | str) -> None:
    assert outcome(rules.checked_tags, tags) == outcome(reference.validate_tags, tags)


@given(st.lists(TEXTS, max_size=3))
def test_aliases(aliases: list[str]) -> None:
    ours = outcome(rules.checked_aliases, aliases)
    theirs = outcome(reference.validate_aliases, aliases)
    assert ours == theirs or set(ours) == {*theirs, "latest"}


@given(JSON)
@example({"a": float("nan"), "b": (1, {2: 3})})
@example({"a": float("inf")})
def test_metadata(metadata: Any) -> None:
    ours = outcome(rules.checked_metadata, metadata)
    theirs = outcome(reference.validate_metadata, metadata)
    assert json.dumps(ours, default=str) == json.dumps(theirs, default=str)


@given(st.text(max_size=120))
def test_names_made_from_any_text(text: str) -> None:
    if text.isprintable() and text:
        assert rules.own_name(text) == sanitize_artifact_name(text)


@pytest.mark.parametrize(
    ("check", "given", "kind", "words"),
    [
        (rules.checked_name, None, TypeError, "artifact name None: must be a text, not NoneType"),
        (rules.checked_tags, [5], TypeError, "tag 5: must be a text, not int"),
        (rules.checked_aliases, [5], TypeError, "alias 5: must be a text, not int"),
        (rules.checked_metadata, {"a": float("inf")}, ValueError, "metadata holds an infinite"),
        (rules.checked_metadata, "{bad", ValueError, "metadata '{bad' is no JSON"),
        (
            partial(rules.checked_type, name="x"),
            5,
            AttributeError,
            "artifact type 5: must be a text",
        ),
    ],
)
def test_what_is_refused_is_named(
    check: Callable[[Any], object], given: object, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=f"^{re.escape(words)}"):
        check(given)
