"""`Run.log_code`: the source of a run as an artifact."""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

from trackd.artifacts.artifact import Artifact
from trackd.artifacts.drafts.walking import files_below
from trackd.artifacts.logging_calls import record
from trackd.artifacts.notices import warn
from trackd.artifacts.rules import MAX_NAME_CHARACTERS
from trackd_proto.records import ConfigUpdate, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trackd.artifacts.run_methods import RunArtifacts

    #: Takes a path, or a path and the root folder.
    Filter = Callable[[str, str], bool] | Callable[[str], bool]

_FOLDERS_OF_RUNS = ("wandb", ".wandb")
#: Our own run folders are never code: they hold the code of earlier runs.
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_\-.]")


def is_source(path: str) -> bool:
    """Tell whether a file is Python source, a Dockerfile or `requirements.txt`."""
    name = Path(path).name
    return name.endswith(".py") or name.startswith("Dockerfile") or name == "requirements.txt"


def is_in_folder_of_runs(path: str, root: str) -> bool:
    """Tell whether a file lies in a folder of wandb's runs below the root."""
    return Path(path).relative_to(root).parts[0] in _FOLDERS_OF_RUNS


def log_code(
    run: RunArtifacts,
    root: str | None,
    name: str | None,
    include: Filter,
    exclude: Filter,
) -> Artifact | None:
    """Record the source files below a folder; see `Run.log_code`."""
    artifact = Artifact.for_own_use(name or default_name(run), "code")
    if root is not None:
        base = os.path.abspath(root)  # noqa: PTH100 - filters get texts
        for path in _filtered(base, include, exclude):
            artifact.add_file(path, name=os.path.relpath(path, base))
    cells = Path(run.sync_dir) / "tmp" / "code"  # of a notebook
    if cells.is_dir():
        artifact.add_dir(cells)
    if not len(artifact.manifest):
        warn(f"log_code(): no relevant files below {root!r}: no code is logged")
        return None
    record(run, artifact)
    path = ["_wandb", "code_path"]
    run.backend.recorder.record(Kind.CONFIG, ConfigUpdate(set=[(path, artifact.name)]))
    return artifact


def default_name(run: RunArtifacts) -> str:
    """Return `source-<project>-<program>`, made safe for a name and cut in its middle."""
    text = f"source-{run.project}-{run.settings.program_relpath}"
    clean = _NOT_IN_A_NAME.sub("_", text)
    half = MAX_NAME_CHARACTERS // 2 - 1
    return clean if len(clean) <= MAX_NAME_CHARACTERS else f"{clean[:half]}..{clean[-half:]}"


def _filtered(root: str, include: Filter, exclude: Filter) -> Iterator[str]:
    """Yield the files below a folder that one filter wants and the other does not refuse."""
    wanted, refused = _with_root(include), _with_root(exclude)
    for path in map(str, files_below(root, follow_links=False)):
        if wanted(path, root) and not refused(path, root):
            yield path


def _with_root(given: Filter) -> Callable[[str, str], bool]:
    """Return a filter that takes the root, too."""
    if len(inspect.signature(given).parameters) == 2:
        return cast("Callable[[str, str], bool]", given)
    alone = cast("Callable[[str], bool]", given)
    return lambda path, _root: alone(path)
