"""Drafts of artifacts, and those of offline runs, tell the same under both modules.

`same/artifacts/*.py` are cases as in `../shared/conformance-artifacts`, which its harness runs;
errors count as the same where they derive from the same standard classes. What differs is
`DIFFERENT`, with the reason; a difference that is not in it fails the test, as does one of it that
is none any more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HARNESS = Path(__file__).parents[3] / "shared" / "conformance-artifacts"
CASES = Path(__file__).parent / "same" / "artifacts"
_LIMIT_S = 500

_FOLDERS = "a path cannot be a file and a folder at once: a download would lose one"
_LENIENT = "what is meant is clear"
_EARLY = "checked before anything is read"
_AGAIN = "what is not in the artifact does not take its path"
_CLASS = "an error of the class that says what is wrong"
_HALF = "a lifetime that is refused changes nothing"
#: By case and fact: why it is otherwise.
DIFFERENT = {
    "add_dir_args.name_up_empty": _EARLY,
    "add_dir_args.pol_bad_empty": _EARLY,
    "add_file_args.bytes": _CLASS,
    "add_file_args.skip2": _LENIENT,
    "add_file_args.skipnone": _LENIENT,
    "add_overwrite.setret": "nothing comes of an assignment",
    "add_same.paths": _FOLDERS,
    "add_same.prefix": _FOLDERS,
    "add_same.prefix2": _FOLDERS,
    "add_same.size": _FOLDERS,
    "disabled_run.add": "a name of a class",
    "disabled_run.missing": "a name of a class",
    "disabled_run.path": "a name of a class",
    "file_refs.rel2": "without a host and from the root it is no place of a file",
    "file_refs.upper": "schemes are read without regard to case (RFC 3986)",
    "file_refs.uri_bytes": _CLASS,
    "file_refs.uri_int": _CLASS,
    "file_refs.uri_none": _CLASS,
    "file_refs.uri_pl": _CLASS,
    "final2.noargs": _CLASS,
    "http_refs./d/../f.txt": "asked for as it was given",
    "http_refs./empty_etag": "an empty tag tells nothing",
    "manifest_from.contnone": _CLASS,
    "metadata_values.frozenset": _LENIENT,
    "metadata_values.rec": _CLASS,
    "names2.'a\\n'": "the end of a line is no part of a name",
    "new_file2.closes": _LENIENT,
    "new_file2.n_bytes": _LENIENT,
    "new_file2.n_pl": _LENIENT,
    "new_file2.n_trail": _LENIENT,
    "new_file2.removed_x": _AGAIN,
    "new_file2.retry_after_boom": _AGAIN,
    "new_file2.same_content_taken": "mode x is for a path that is free",
    "new_file2.taken_a": "mode a goes on with what is there",
    "other_refs.wca_bad": _CLASS,
    "other_refs.wca_bad_n": _CLASS,
    "other_refs.wca_latest": _CLASS,
    "ref_entry_objects.wca_missing": _CLASS,
    "paths3.'a\\x00b'": "no file system takes a zero byte",
    "remove2.staged_left": "no entry needs the copy any more",
    "tables_types.frozen": _LENIENT,
    "tables_types.mixed_frozen": _LENIENT,
    "tables_types.opt_frozen": _LENIENT,
    "ttl2.bad_first": _HALF,
    **{
        f"ttl2.{kind}": _HALF
        for kind in (
            *("zero", "neg", "int", "float", "str", "list", "true", "date", "np", "0"),
            *("zerostr", "num"),
        )
    },
}

pytestmark = [
    pytest.mark.skipif(not HARNESS.is_dir(), reason="no conformance data beside the repository"),
    pytest.mark.timeout(_LIMIT_S + 20),
]


def _start(module: str, folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TRACKD_", "WANDB_", "XDG_"))}
    environment = {
        **kept,
        "SDK_MODULE": module,
        "PYTHONPATH": str(HARNESS),
        "HOME": str(folder),
        "TRACKD_DIR": str(folder / "data"),
        "TRACKD_IDLE_TIMEOUT": "1",
    }
    return subprocess.Popen([sys.executable, CASES / "run.py", folder / "told"], env=environment)


def _facts(told: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what a module told, by case and fact."""
    for case, facts in told.items():
        if not isinstance(facts, dict):
            yield case, facts
            continue
        assert "case_failed" not in facts, (case, facts)
        for name, fact in cast("dict[str, Any]", facts).items():
            yield f"{case}.{name}", _plain(fact)


def _plain(fact: Any) -> Any:
    """Return a fact without the names of error classes."""
    if isinstance(fact, dict):
        items = cast("dict[str, Any]", fact).items()
        return {key: _plain(value) for key, value in items if key != "raises"}
    return [_plain(each) for each in cast("list[Any]", fact)] if isinstance(fact, list) else fact


def test_artifacts_tell_the_same_under_both(tmp_path: Path) -> None:
    modules = ("wandb", "trackd")
    running = [_start(module, tmp_path / module) for module in modules]
    try:
        assert [each.wait(_LIMIT_S) for each in running] == [0, 0]
    finally:
        for each in running:
            each.kill()
    theirs, ours = (
        dict(_facts(json.loads((tmp_path / module / "told").read_text()))) for module in modules
    )
    assert theirs.keys() == ours.keys()
    found = {name: (theirs[name], ours[name]) for name in theirs if theirs[name] != ours[name]}
    assert not {name: pair for name, pair in found.items() if name not in DIFFERENT}
    assert not sorted(DIFFERENT.keys() - found.keys())
