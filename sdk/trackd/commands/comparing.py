"""`trackd artifact diff`: what two versions do not have in common."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from trackd.commands.manner import REFUSED, api_of, print_json, print_table, size, verb, version_of

if TYPE_CHECKING:
    from trackd.artifacts import Artifact

_MAX_SHOWN = 200
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


@click.command()
@click.argument("old")
@click.argument("new")
@verb
def diff(old: str, new: str, *, base_url: str, as_json: bool) -> None:
    """Compare two versions: files by their digests, and metadata.

    Exit status 1: they differ.

    Example: trackd artifact diff digits/model:v3 digits/model:latest
    """
    api = api_of(base_url)
    first, second = version_of(api, old), version_of(api, new)
    found = differences(first, second)
    is_equal = not (found["files"] or found["metadata"])
    if as_json:
        print_json(found)
    else:
        _show(found, is_equal=is_equal)
    sys.exit(0 if is_equal else REFUSED)


def differences(old: Artifact, new: Artifact) -> dict[str, Any]:
    """Return what differs between two versions: files by path, keys of their metadata."""
    before, after = old.manifest.entries, new.manifest.entries
    files: list[dict[str, Any]] = []
    if old.digest != new.digest:  # equal digests: equal paths with equal contents
        for path in sorted(before.keys() | after.keys()):
            there, here = before.get(path), after.get(path)
            if there is None or here is None or there.digest != here.digest:
                change = "added" if there is None else "removed" if here is None else "changed"
                sizes = [None if each is None else each.size or 0 for each in (there, here)]
                files.append({"path": path, "change": change, "old": sizes[0], "new": sizes[1]})
    keys = sorted(old.metadata.keys() | new.metadata.keys())
    metadata = {
        key: [old.metadata.get(key), new.metadata.get(key)]
        for key in keys
        if old.metadata.get(key) != new.metadata.get(key)
    }
    same = len(after) - sum(each["change"] != "removed" for each in files)
    return {
        "old": old.qualified_name,
        "new": new.qualified_name,
        "files": files,
        "unchanged": same,
        "metadata": metadata,
    }


def _show(found: dict[str, Any], *, is_equal: bool) -> None:
    if is_equal:
        click.echo(f"equal: {found['unchanged']} files")
        return
    rows = [
        [
            _SIGNS[each["change"]],
            each["path"],
            "" if each["old"] is None else size(each["old"]),
            "" if each["new"] is None else size(each["new"]),
        ]
        for each in found["files"][:_MAX_SHOWN]
    ]
    if rows:
        print_table(("", "PATH", ">OLD", ">NEW"), rows)
    if len(found["files"]) > _MAX_SHOWN:
        click.echo(f"and {len(found['files']) - _MAX_SHOWN} more; --json prints all")
    for key, (old, new) in found["metadata"].items():
        click.echo(f"metadata {key}: {_shown(old)} -> {_shown(new)}")
    counts = [
        f"{sum(each['change'] == change for each in found['files'])} {change}" for change in _SIGNS
    ]
    click.echo(f"{', '.join(counts)}, {found['unchanged']} unchanged")


def _shown(value: Any) -> str:
    """Return a value of metadata; None stands for an absent one, too."""
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False, default=str)
