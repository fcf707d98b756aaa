"""What the scripts of this folder use: the module under test, and a way to note what it did.

SDK_MODULE  `wandb` or `trackd`
PROJECT     project for the script's runs, which no other script uses
CONF_OUT    file for what was noted, a JSON object a line
"""

from __future__ import annotations

import importlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any, cast

sdk: Any = importlib.import_module(os.environ["SDK_MODULE"])
PROJECT = os.environ["PROJECT"]
_HERE = str(Path.cwd())
#: So long what was logged may take until it is at the server, in seconds.
_ARRIVAL_S = 240
#: What differs from one server or moment to another.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]*(Z|\+00:00)?")


def note(name: str, value: Any) -> None:
    """Note a fact under a name."""
    with open(os.environ["CONF_OUT"], "a", encoding="utf-8") as file:
        file.write(json.dumps({name: plain(value)}) + "\n")


def attempt(name: str, call: Any, /, *args: Any, **options: Any) -> Any:
    """Call something; note its result, or the classes of what it raised that both modules have."""
    try:
        result = call(*args, **options)
    except Exception as error:  # noqa: BLE001 - that is what is compared
        note(name, _kinds(error))
        return None
    note(name, result)
    return result


def arrived(call: Any, /, *args: Any, **options: Any) -> Any:
    """Return the result of a call that needs what may still be on its way to the server."""
    deadline_s = time.monotonic() + _ARRIVAL_S
    while True:
        try:
            return call(*args, **options)
        except Exception:
            if time.monotonic() > deadline_s:
                raise
        time.sleep(0.2)


def _kinds(error: Exception) -> dict[str, list[str]]:
    """Return the classes of an error that a script can name under both modules, nearest first."""
    shared = ("CommError", "UsageError", "WaitTimeoutError", "ArtifactNotLoggedError")
    shared += ("ArtifactFinalizedError",)
    above = ("Exception", "BaseException", "object")
    kinds = type(error).__mro__
    named = [k for k in kinds if k.__name__ in shared or k.__module__ == "builtins"]
    return {"raises": [k.__name__ for k in named if k.__name__ not in above]}


def plain(value: Any) -> Any:
    """Return a value as JSON, without what can only differ."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        text = value.replace(_HERE, "<here>").replace(PROJECT, "<project>")
        return _MOMENT.sub("<moment>", text)
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {str(key): plain(item) for key, item in items}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[Any]", value)]
    return f"<{type(value).__name__}>"


def write(path: str, data: str | bytes) -> str:
    """Write a file, with the folders on the way; return its path."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(data, bytes):
        target.write_bytes(data)
    else:
        target.write_text(data)
    return path


def tree(root: Any) -> dict[str, str]:
    """Return the texts of the files below a folder."""
    base = Path(root)
    files = sorted(path for path in base.rglob("*") if path.is_file())
    return {str(path.relative_to(base)): path.read_text(errors="replace") for path in files}


FACTS = (
    *("name", "qualified_name", "version", "type", "state", "is_link", "entity", "project"),
    *("source_entity", "source_project", "source_name", "source_qualified_name"),
    *("source_version", "aliases", "tags", "description", "metadata", "size", "digest"),
    *("file_count", "created_at", "updated_at", "linked_at", "ttl", "digest_algorithm"),
)


def facts(artifact: Any) -> dict[str, Any]:
    """Return what an artifact says of itself."""
    found: dict[str, Any] = {}
    for name in FACTS:
        try:
            value = getattr(artifact, name)
        except Exception as error:  # noqa: BLE001 - noted
            value = _kinds(error)
        value = getattr(value, "value", value)  # an enum of the reference
        found[name] = sorted(cast("list[str]", value)) if isinstance(value, list) else value
    found["ttl"] = found["ttl"] if isinstance(found["ttl"], dict) else str(found["ttl"])
    return found


def start(**options: Any) -> Any:
    """Start a run in the script's project."""
    return sdk.init(project=PROJECT, **options)
