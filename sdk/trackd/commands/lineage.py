"""`trackd artifact lineage`: which runs made a version from what, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from trackd.commands.manner import api_of, print_json, verb

if TYPE_CHECKING:
    from trackd.api.lineage import Direction, Lineage


@click.command()
@click.argument("name")
@click.option("--depth", default=3, show_default=True, help="Steps in each direction; 1 to 20.")
@click.option(
    "--direction",
    type=click.Choice(["upstream", "downstream", "both"]),
    default="both",
    show_default=True,
    help="Where it came from, what came of it, or both.",
)
@verb
def lineage(name: str, depth: int, direction: Direction, *, base_url: str, as_json: bool) -> None:
    """Show where a version came from and what came of it, as a tree.

    Example: trackd artifact lineage digits/model:best
    """
    graph = api_of(base_url).lineage(name, direction, depth)
    if as_json:
        print_json(graph.as_json())
        return
    click.echo(graph.name_of(graph.start))
    if direction != "downstream":
        _show(graph, "from")
    if direction != "upstream":
        _show(graph, "to")
    if graph.is_truncated:
        click.echo("there is more: raise --depth")


def _show(graph: Lineage, way: Literal["from", "to"]) -> None:
    arrow = "<-" if way == "from" else "->"
    for level, node_id, kind, is_repeated in graph.walk(way):
        title = graph.titles.get(node_id)
        named = f"{graph.name_of(node_id)} {title}" if title else graph.name_of(node_id)
        note = " (above)" if is_repeated else ""
        click.echo(f"{'   ' * level}{arrow} {kind} {named}{note}")
