"""`trackd artifact info`: what is known of a version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trackd.commands.manner import (
    api_of,
    print_facts,
    print_json,
    print_table,
    size,
    verb,
    version_of,
)

if TYPE_CHECKING:
    from trackd.artifacts import Artifact

_MAX_FILES_SHOWN = 50


@click.command()
@click.argument("name")
@click.option("--files", "with_files", is_flag=True, help="List its files, too.")
@verb
def info(name: str, *, with_files: bool, base_url: str, as_json: bool) -> None:
    """Show a version: digest, size, aliases, tags, metadata, links.

    Example: trackd artifact info digits/model:best --files
    """
    found = version_of(api_of(base_url), name)
    facts = facts_of(found)
    linked = [] if found.is_link else [each.qualified_name for each in found.linked_artifacts]
    entries = files_of(found) if with_files else []
    if as_json:
        print_json({**facts, "linked": linked, **({"files": entries} if with_files else {})})
        return
    print_facts({**facts, "size": f"{size(found.size)} ({found.size} bytes)", "linked": linked})
    if with_files:
        click.echo()
        rows = [
            [each["path"], _size_of(each), each["digest"], each["ref"] or ""]
            for each in entries[:_MAX_FILES_SHOWN]
        ]
        print_table(("PATH", ">SIZE", "DIGEST", "REFERENCE"), rows)
        if len(entries) > _MAX_FILES_SHOWN:
            click.echo(f"and {len(entries) - _MAX_FILES_SHOWN} more; --json prints all")


def facts_of(found: Artifact) -> dict[str, Any]:
    """Return what a server says of a version, for people and programs."""
    ttl = found.ttl
    return {
        "name": found.qualified_name,
        "source": found.source_qualified_name if found.is_link else None,
        "id": found.id,
        "type": found.type,
        "version": found.version,
        "aliases": found.aliases,
        "tags": found.tags,
        "state": found.state,
        "digest": found.digest,
        "digest_algorithm": found.digest_algorithm.value,
        "size": found.size,
        "file_count": found.file_count,
        "description": found.description,
        "metadata": found.metadata,
        "ttl_seconds": None if ttl is None else ttl.total_seconds(),
        "created_at": found.created_at,
        "updated_at": found.updated_at,
    }


def files_of(found: Artifact) -> list[dict[str, Any]]:
    """Return the files and references of a version, by path.

    The `size` of a reference, in bytes, is None where its store does not tell.
    """
    return [
        {"path": path, "size": entry.size, "digest": entry.digest, "ref": entry.ref}
        for path, entry in sorted(found.manifest.entries.items())
    ]


def _size_of(file: dict[str, Any]) -> str:
    return "unknown" if file["size"] is None else size(file["size"])
