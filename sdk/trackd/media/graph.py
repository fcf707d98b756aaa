"""`Graph`: the layers of a model as nodes and edges, stored as one JSON file."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, ClassVar, cast

from trackd.media.stored import Media

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackd.artifacts.artifact import Artifact
    from trackd.recording.recordable import RunPlace, Slot

_EXTENSION = ".graph.json"


class Node:
    """A node of a graph: usually one layer.

    Args:
        id: unique in the graph.
        name: to be shown; need not be unique.
        class_name: kind of layer.
        size: of a tensor.
        parameters: name and shape of each parameter.
        output_shape: of what comes out.
        is_output: whether its output is the model's.
        num_parameters: elements of each parameter, or of all.
        node: another one whose attributes are taken over, except its id.
    """

    def __init__(  # noqa: PLR0913 - the signature of the reference
        self,
        id: Any = None,
        name: str | None = None,
        class_name: str | None = None,
        size: Any = None,
        parameters: Any = None,
        output_shape: Any = None,
        is_output: bool | None = None,
        num_parameters: Any = None,
        node: Node | None = None,
    ) -> None:
        given = {
            "id": id,
            "name": name,
            "class_name": class_name,
            "size": None if size is None else tuple(size),
            "parameters": parameters,
            "output_shape": output_shape,
            "is_output": is_output,
            "num_parameters": num_parameters,
        }
        #: What is known of the node, as it is stored.
        self.attributes: dict[str, Any] = {"name": None}
        if node is not None:
            self.attributes.update(node.attributes)
            self.attributes.pop("id", None)
        self.attributes.update({key: value for key, value in given.items() if value is not None})

    @property
    def id(self) -> Any:
        """Unique in the graph."""
        return self.attributes.get("id")

    @property
    def name(self) -> str | None:
        """To be shown."""
        return self.attributes["name"]

    def __repr__(self) -> str:
        return repr(self.attributes)


class Graph(Media):
    """A graph of nodes and edges, such as the layers of a model.

    Args:
        format: tells the viewer where the graph comes from.

    Attributes:
        nodes: in the order in which they were added.
        edges: pairs of nodes.
        nodes_by_id: the nodes, by id.
    """

    log_type: ClassVar[str] = "graph-file"
    is_added_alone = False
    folder: ClassVar[str] = "media/graph"

    def __init__(self, format: str = "keras") -> None:
        super().__init__()
        self.format = format
        self.nodes: list[Node] = []
        self.edges: list[tuple[Node, Node]] = []
        self.nodes_by_id: dict[Any, Node] = {}

    def add_node(self, node: Node | None = None, **attributes: Any) -> Node:
        """Add a node and return it.

        Args:
            node: the node; else it is made from `attributes`, see `Node`.

        Raises:
            ValueError: both are given.
        """
        if node is None:
            node = Node(**attributes)
        elif attributes:
            raise ValueError(
                f"add_node(): got a node and {', '.join(attributes)}: pass one or the other"
            )
        self.nodes.append(node)
        self.nodes_by_id[node.id] = node
        return node

    def add_edge(self, from_node: Node, to_node: Node) -> tuple[Node, Node]:
        """Connect two nodes and return the edge."""
        edge = (from_node, to_node)
        self.edges.append(edge)
        return edge

    def __getitem__(self, node_id: Any) -> Node:
        return self.nodes_by_id[node_id]

    @classmethod
    def from_keras(cls, model: Any) -> Graph:
        """Return the graph of a built Keras model: its layers, and what each takes in.

        Args:
            model: a `keras.Model`.
        """
        graph = cls()
        by_layer: dict[int, Node] = {}
        for layer in model.layers:
            by_layer[id(layer)] = graph.add_node(_keras_node(layer))
        for layer in model.layers:
            for source in _keras_sources(layer):
                if id(source) in by_layer:
                    graph.add_edge(by_layer[id(source)], by_layer[id(layer)])
        return graph

    def to_history(self, place: RunPlace, slot: Slot) -> dict[str, Any]:
        """Put the graph as it is now into the run; return what refers to its file."""
        content = {
            "format": self.format,
            "nodes": [node.attributes for node in self.nodes],
            "edges": [[source.id, target.id] for source, target in self.edges],
        }
        self.hold(json.dumps(content, default=_plain).encode(), _EXTENSION)
        self.bind_file(place, slot)
        return self.run_form(place)

    def to_artifact(self, artifact: Artifact) -> dict[str, Any]:
        """Return what stands for it in a table: its class alone, as tables do not hold graphs."""
        del artifact
        return {"_type": self.log_type}


class TorchGraph(Graph):
    """The graph of a PyTorch module, filled in by a forward pass.

    Args:
        criterion: the loss function, kept for whoever wants to look at it.
    """

    def __init__(self, criterion: Any = None) -> None:
        super().__init__("torch")
        self.criterion = criterion

    def add_module(self, name: str, module: Any, output: Any) -> None:
        """Add a module that was just called."""
        shapes = [(key, list(value.size())) for key, value in module.named_parameters()]
        self.add_node(
            id=id(module),
            name=name,
            class_name=str(module),
            output_shape=shape_of(output if isinstance(output, tuple) else (output,)),
            parameters=shapes,
            num_parameters=[math.prod(shape) for _, shape in shapes],
        )


def shape_of(value: Any) -> Any:
    """Return the shape of a tensor, or those of the tensors in tuples, lists and mappings."""
    if hasattr(value, "shape"):
        return list(value.shape)
    if isinstance(value, dict):
        value = list(cast("dict[Any, Any]", value).values())
    if isinstance(value, list | tuple):
        return [shape_of(item) for item in cast("list[Any]", value)]
    return []


def _keras_node(layer: Any) -> Node:
    try:
        output_shape: Any = list(layer.output.shape)
    except (AttributeError, ValueError):  # several outputs, or not built yet
        output_shape = ["multiple"]
    return Node(
        id=layer.name,
        name=layer.name,
        class_name=type(layer).__name__,
        output_shape=output_shape,
        num_parameters=int(layer.count_params()) if layer.built else 0,
    )


def _keras_sources(layer: Any) -> Iterator[Any]:
    """Yield the layers whose output a layer takes in."""
    for node in getattr(layer, "_inbound_nodes", ()):
        for operation in getattr(node, "parent_nodes", ()):
            yield operation.operation


def _plain(value: Any) -> Any:
    """Return a number of numpy as one of Python."""
    return value.item() if hasattr(value, "item") else str(value)
