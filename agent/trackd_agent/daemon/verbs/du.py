"""`trackd du`: what takes how much of the disk, down to kinds, in sums that agree with the disk."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from trackd_agent.daemon.verbs.asking import NO_SUCH_THING, ask, asked_server, fail
from trackd_agent.daemon.verbs.status import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackd_agent.daemon.servers import Server

_DISAGREES = 1
_BAR = 24
_ALL = sys.maxsize
#: Columns of text in a pipe: the kinds, which are lines of their own one level deeper, go first.
_PIPE_WIDTH = 120
_COUNT, _POSITIVE = click.IntRange(min=0), click.IntRange(min=1)
_MEMBERSHIP = """
query ($entity: String!, $project: String!, $name: String!) {
  project(name: $project, entityName: $entity) {
    artifactCollectionMembership(name: $name) { artifact { id } } } }
"""


@dataclass
class Share:
    """A part of the disk and what it consists of; the parts of a part sum up to it."""

    name: str
    bytes: int
    logical: int = 0
    references: int = 0
    kinds: dict[str, int] = field(default_factory=dict[str, int])
    parts: list[Share] = field(default_factory=list["Share"])


@click.command()
@click.argument("place", required=False, default="")
@click.option("-d", "--depth", type=_POSITIVE, default=3, show_default=True, help="Levels to show.")
@click.option("-n", "--count", type=_COUNT, default=20, show_default=True, help="Parts; 0: all.")
@click.option("--if-deleted", is_flag=True, help="Only say what deleting PLACE would free.")
@click.option("--json", "as_json", is_flag=True, help="Print the server's figures as JSON.")
@click.option("--base-url", default="", help="Server to ask; default: as configured.")
def du(
    place: str, depth: int, count: int, *, if_deleted: bool, as_json: bool, base_url: str
) -> None:
    """Show what takes how much of the server's disk.

    PLACE is [ENTITY/]PROJECT, ENTITY/PROJECT/runs/RUN or ENTITY/PROJECT/COLLECTION, with
    --if-deleted also ENTITY/PROJECT/COLLECTION:VERSION; default: the whole server. BYTES are what
    a part has for itself, and what several share is a line of its own, so that the lines of a
    part sum up to it; LOGICAL is what it refers to, whoever else does, before it is compressed;
    REFERENCES point to files elsewhere and take nothing here. Where the screen is narrow, or in a
    pipe (120 columns, or as COLUMNS says), the last columns are left out; --json has all figures.

    Exit status 1: the sum is not what lies on the disk. 3: there is no such place. 4: the server
    does not answer.

    Example: trackd du local/digits
    """
    server = asked_server(base_url)
    if if_deleted:
        missing = _missing(server, place)
        doomed = _doomed(server, place, missing)
        freed = ask(server, "POST", "/api/v1/usage/dry-run", doomed, missing)
        _show_freed(freed, as_json)
        return
    figures = _figures(server, place)
    agrees = _sum(figures) == figures.get("physical") == figures.get("disk", figures["physical"])
    if as_json:
        click.echo(json.dumps({**figures, "agrees": agrees}, indent=1))
    else:
        limit = count or _ALL
        whole = _of_place(figures) if place else _of_server(server, figures, limit * (depth > 2))
        _show(whole, depth, limit)
        _show_sum(figures, agrees=agrees)
    sys.exit(0 if agrees else _DISAGREES)


def _figures(server: Server, place: str) -> dict[str, Any]:
    """Return the figures of a place."""
    if place and "/" not in place:
        viewer = ask(server, "POST", "/graphql", {"query": "{ viewer { entity } }"})
        place = f"{viewer['data']['viewer']['entity']}/{place}"
    return ask(server, "GET", "/api/v1/usage" + _path(place), missing=_missing(server, place))


def _missing(server: Server, place: str) -> str:
    """Return what is said of a place that is not there: what it was taken for, and what to do."""
    parts = place.strip("/").split("/")
    kind = "project"
    if len(parts) > 2:
        kind = "run" if parts[2] == "runs" else "version" if ":" in place else "collection"
    remedy = "`trackd artifact ls PROJECT` lists collections, `trackd ls` runs"
    if len(parts) == 2:
        remedy = "a collection is ENTITY/PROJECT/COLLECTION; `trackd du` lists projects"
    return f"{server.base_url} has no {kind} {place}: {remedy}"


def _path(place: str) -> str:
    """Return a place as the server writes it."""
    if not place:
        return ""
    parts = place.strip("/").split("/")
    if len(parts) == 2:
        return f"/{parts[0]}/{parts[1]}"
    if len(parts) == 3 and ":" not in parts[2]:
        return f"/{parts[0]}/{parts[1]}/artifacts/{parts[2]}"
    if len(parts) == 4 and parts[2] in ("runs", "artifacts"):
        return "/" + "/".join(parts)
    if len(parts) == 3:
        raise click.UsageError(f"{place!r} is one version: --if-deleted says what it has alone")
    raise click.UsageError(
        f"{place!r} is no place: write ENTITY/PROJECT, ENTITY/PROJECT/runs/RUN or "
        "ENTITY/PROJECT/COLLECTION"
    )


def _doomed(server: Server, place: str, missing: str) -> dict[str, Any]:
    """Return what would be deleted, as the server asks for it."""
    parts = place.strip("/").split("/")
    if len(parts) == 4 and parts[2] == "runs":
        return {"run": f"{parts[0]}/{parts[1]}/{parts[3]}", "delete_artifacts": True}
    if len(parts) != 3:
        raise click.UsageError(
            "--if-deleted wants ENTITY/PROJECT/COLLECTION[:VERSION] or ENTITY/PROJECT/runs/RUN"
        )
    if ":" not in parts[2]:
        return {"collection": place}
    variables = dict(zip(("entity", "project", "name"), parts, strict=True))
    body = {"query": _MEMBERSHIP, "variables": variables}
    answer: dict[str, Any] = ask(server, "POST", "/graphql", body, missing).get("data") or {}
    project: dict[str, Any] = answer.get("project") or {}
    member: dict[str, Any] | None = project.get("artifactCollectionMembership")
    if not member:
        fail(missing, NO_SUCH_THING)
    return {"version": member["artifact"]["id"], "delete_aliases": True}


# --- trees ----------------------------------------------------------------------------------------


def _of_server(server: Server, figures: dict[str, Any], looked_into: int) -> Share:
    """Return the tree of a server, with the parts of so many projects, the largest."""
    whole = Share("server", figures["physical"], figures["logical"], figures["references"])
    for index, part in enumerate(sorted(figures["projects"], key=lambda p: -p["exclusive"])):
        facts = part["facts"]
        place = f"{facts['entity']}/{facts['project']}"
        share = _share(part)
        share.name = place
        if index < looked_into:
            share.parts = _of_place(_figures(server, place)).parts
        whole.parts.append(share)
    whole.parts += [
        Share("(shared between projects)", figures["shared"]),
        Share("(index: the database)", figures["index"]),
        Share("(being uploaded or removed)", figures["in_transit"]),
    ]
    return whole


def _of_place(figures: dict[str, Any]) -> Share:
    whole = Share(
        figures["name"],
        figures["physical"],
        figures["logical"],
        figures["references"],
        figures["kinds"],
    )
    for kind in ("runs", "collections", "versions"):
        whole.parts += [_share(part, kind) for part in figures[kind]]
    whole.parts.append(Share("(shared by several of them)", figures["shared"]))
    return whole


def _share(part: dict[str, Any], kind: str = "") -> Share:
    prefix = {"runs": "run ", "collections": "artifact ", "versions": "version "}.get(kind, "")
    kinds = {name: count for name, count in part["kinds"].items() if count}
    share = Share(
        f"{prefix}{part['name']}", part["exclusive"], part["logical"], part["references"], kinds
    )
    share.parts = [Share(name, count) for name, count in kinds.items()]
    return share


def _lines(share: Share, whole: int, depth: int, count: int, level: int = 0) -> Iterator[list[str]]:
    portion = share.bytes / whole if whole else 0.0
    yield [
        "  " * level + share.name,
        size(share.bytes),
        f"{portion:.1%}",
        "#" * round(portion * _BAR),
        size(share.logical) if share.logical else "",
        size(share.references) if share.references else "",
        ", ".join(f"{name} {size(n)}" for name, n in share.kinds.items()),
    ]
    if level + 1 >= depth:
        return
    parts = sorted((p for p in share.parts if p.bytes or p.logical), key=lambda p: -p.bytes)
    for part in parts[:count]:
        yield from _lines(part, whole, depth, count, level + 1)
    if others := parts[count:]:
        rest = Share(f"({len(others)} others)", sum(part.bytes for part in others))
        yield from _lines(rest, whole, depth, count, level + 1)


def _show(whole: Share, depth: int, count: int) -> None:
    from trackd_agent.daemon.tables import Column, console, show

    columns = (
        Column("PART"),
        Column("BYTES", is_number=True),
        Column("SHARE", is_number=True, spare=1),
        Column("", spare=5),
        Column("LOGICAL", is_number=True, spare=3),
        Column("REFERENCES", is_number=True, spare=4),
        Column("KINDS", spare=6),
    )
    lines = list(_lines(whole, whole.bytes, depth, count))
    said = [index for index in range(len(columns)) if any(line[index] for line in lines)]
    rows = [[line[index] for index in said] for line in lines]
    show(console(_PIPE_WIDTH), [columns[index] for index in said], rows)


def _sum(figures: dict[str, Any]) -> int:
    """Return the sum of the parts of a place, or of the server."""
    names = ("projects", "runs", "collections", "versions")
    parts = sum(part["exclusive"] for name in names for part in figures.get(name, ()))
    return parts + sum(figures.get(name, 0) for name in ("shared", "index", "in_transit"))


def _show_sum(figures: dict[str, Any], *, agrees: bool) -> None:
    total = _sum(figures)
    click.echo()
    if "disk" not in figures:
        verdict = "=" if agrees else "IS NOT"
        click.echo(f"sum of the parts {total} {verdict} {figures['physical']} bytes of the place")
        return
    verdict = "=" if agrees else "IS NOT"
    click.echo(f"sum of the parts {total} {verdict} {figures['disk']} bytes on the disk")
    pending: dict[str, int] = figures["pending"]
    if pending["versions"]:
        click.echo(
            f"unfinished versions: {pending['versions']}, {size(pending['bytes'])}; "
            "`trackd gc --drop-pending` drops them"
        )
    if limit := figures.get("limit"):
        used, most = size(limit["used"]), size(limit["bytes"])
        warning = ": uploads beyond it are refused" if limit["warning"] else ""
        click.echo(f"{used} of the limit of {most} are used{warning}")


def _show_freed(freed: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(freed, indent=1))
        return
    kinds = ", ".join(f"{name} {size(n)}" for name, n in freed["kinds"].items() if n)
    click.echo(f"{size(freed['bytes'])} would be free ({freed['bytes']} bytes)")
    if kinds:
        click.echo(f"of them {kinds}")
