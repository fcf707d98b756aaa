"""Lineage: which runs made a version from what, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from trackd.api.errors import NotThereError
from trackd.api.operations import artifacts as operations
from trackd.api.runs import Run
from trackd.remote.answers import nodes, part
from trackd.remote.operations import CREATED_BY, USED_BY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackd.api.errors import Node
    from trackd.artifacts import Artifact
    from trackd.remote.connection import Remote

Direction = Literal["upstream", "downstream", "both"]
FEATURE = "TRACKD_LINEAGE"
_MAX_DEPTH = 20
#: Nodes at most that are asked one by one, where the server does not know the graph.
_MAX_NODES = 1_000


@dataclass
class Lineage:
    """A graph of versions and runs around one version.

    Attributes:
        start: id of the version in the middle.
        artifacts: names of versions, `entity/project/name:v3`, by id.
        runs: names of runs, `entity/project/id`, by id.
        edges: (from, to): a run leads to what it logged, a version to the runs that used it.
        is_truncated: there is more than was asked for.
    """

    start: str
    artifacts: dict[str, str] = field(default_factory=dict[str, str])
    runs: dict[str, str] = field(default_factory=dict[str, str])
    edges: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    is_truncated: bool = False
    #: Names that people gave to runs, by id, as far as the server told them.
    titles: dict[str, str] = field(default_factory=dict[str, str])

    def name_of(self, node: str) -> str:
        """Return the name of a version or run."""
        return self.artifacts.get(node) or self.runs.get(node) or node

    def next_of(self, node: str, way: Literal["from", "to"]) -> list[str]:
        """Return what a node came from, or what came of it, by name."""
        if way == "to":
            found = [end for start, end in self.edges if start == node]
        else:
            found = [start for start, end in self.edges if end == node]
        return sorted(found, key=self.name_of)

    def walk(self, way: Literal["from", "to"]) -> Iterator[tuple[int, str, str, bool]]:
        """Yield level, id, kind (`run` or `artifact`), and whether it was there before."""
        seen = {self.start}
        waiting = [(1, node) for node in reversed(self.next_of(self.start, way))]
        while waiting:
            level, node = waiting.pop()
            is_repeated = node in seen
            yield level, node, "run" if node in self.runs else "artifact", is_repeated
            if not is_repeated:
                seen.add(node)
                waiting.extend((level + 1, each) for each in reversed(self.next_of(node, way)))

    def as_json(self) -> dict[str, Any]:
        """Return the graph for programs."""
        return {
            "start": self.name_of(self.start),
            "artifacts": sorted(self.artifacts.values()),
            "runs": sorted(self.runs.values()),
            "edges": sorted([self.name_of(start), self.name_of(end)] for start, end in self.edges),
            "is_truncated": self.is_truncated,
        }


def lineage_of(remote: Remote, artifact: Artifact, direction: Direction, depth: int) -> Lineage:
    """Return the graph around a version.

    Args:
        remote: the server.
        artifact: the version.
        direction: where it came from, what came of it, or both.
        depth: edges from the version to the farthest node, 1 to 20.

    Raises:
        ValueError: another direction or depth.
        NotThereError: the version does not exist any more.
    """
    if direction not in ("upstream", "downstream", "both"):
        raise ValueError(f"direction={direction!r}: use 'upstream', 'downstream' or 'both'")
    if not 1 <= depth <= _MAX_DEPTH:
        raise ValueError(f"depth={depth}: give 1 to {_MAX_DEPTH}")
    graph = Lineage(artifact.id or "")
    if FEATURE in remote.features:
        _take_whole(remote, graph, direction, depth)
        return graph
    graph.artifacts[graph.start] = artifact.source_qualified_name
    ways = {"upstream": ("from",), "downstream": ("to",)}.get(direction, ("from", "to"))
    for way in ways:
        _step_by_step(remote, graph, way, depth)
    return graph


def _take_whole(remote: Remote, graph: Lineage, direction: str, depth: int) -> None:
    variables = {"id": graph.start, "direction": direction.upper(), "depth": depth}
    found = part(remote.execute(operations.LINEAGE, variables), "artifact", "lineage")
    if found is None:
        raise NotThereError("the artifact does not exist any more")
    graph.artifacts |= {node["id"]: _version_name(node) for node in found["artifacts"]}
    graph.runs |= {node["id"]: _run_name(node) for node in found["runs"]}
    graph.titles |= {node["id"]: node["displayName"] or "" for node in found["runs"]}
    graph.edges |= {(edge["from"], edge["to"]) for edge in found["edges"]}
    graph.is_truncated = found["isTruncated"]


def _step_by_step(remote: Remote, graph: Lineage, way: str, depth: int) -> None:
    """Ask for the neighbours of each node, level by level."""
    level = [graph.start]
    for _ in range(depth):
        following: list[str] = []
        for node in level:
            found = _neighbours(remote, graph, node, way)
            new = {id_: name for id_, name in found.items() if not _knows(graph, id_)}
            kind = graph.artifacts if node in graph.runs else graph.runs
            kind |= new
            graph.edges |= {(id_, node) if way == "from" else (node, id_) for id_ in found}
            following.extend(new)
            if len(graph.artifacts) + len(graph.runs) >= _MAX_NODES:
                graph.is_truncated = True
                return
        level = following
    graph.is_truncated |= any(
        not _knows(graph, id_) for node in level for id_ in _neighbours(remote, graph, node, way)
    )


def _knows(graph: Lineage, node: str) -> bool:
    return node in graph.artifacts or node in graph.runs


def _neighbours(remote: Remote, graph: Lineage, node: str, way: str) -> dict[str, str]:
    """Return ids and names of what is one edge away."""
    if node in graph.artifacts:
        if way == "from":
            made_by = part(remote.execute(CREATED_BY, {"id": node}), "artifact", "createdBy")
            runs = [made_by] if made_by and "project" in made_by else []
        else:
            runs = nodes(remote.execute(USED_BY, {"id": node}), "artifact", "usedBy")
        return {run["id"]: _run_name(run) for run in runs}
    entity, project, run_id = graph.runs[node].split("/", 2)
    run = Run(remote, entity, project, run_id, {"name": run_id})
    listed = run.used_artifacts() if way == "from" else run.logged_artifacts()
    return {each.id or "": each.source_qualified_name for each in listed}


def _version_name(node: Node) -> str:
    sequence = node["artifactSequence"]
    return f"{_place(sequence)}/{sequence['name']}:v{node['versionIndex']}"


def _run_name(node: Node) -> str:
    return f"{_place(node)}/{node['name']}"


def _place(node: Node) -> str:
    project = node["project"]
    return f"{project['entity']['name']}/{project['name']}"
