"""What one GraphQL operation may ask for: a short text can stand for endless work.

Checked in two steps. Before validation the text itself, because validation compares fields pair by
pair. After it (there are no circles of fragments then) what the text stands for, with every
fragment laid out at each place where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
)

if TYPE_CHECKING:
    from graphql import DocumentNode, SelectionSetNode

#: Fields in the text; clients' largest operations have about 200.
MAX_WRITTEN_FIELDS = 500
#: Fields with fragments laid out, and how deep they may lie in one another.
MAX_FIELDS = 2_000
MAX_DEPTH = 30

#: Fields and depth of a selection.
_Extent = tuple[int, int]


def check_text(document: DocumentNode) -> GraphQLError | None:
    """Return what is wrong with the size of the text, None if nothing."""
    written = 0
    for definition in document.definitions:
        selection: SelectionSetNode | None = getattr(definition, "selection_set", None)
        fields, depth = _extent(selection, {})
        written += fields
        if depth > MAX_DEPTH:
            return _too_deep()
    if written > MAX_WRITTEN_FIELDS:
        return GraphQLError(f"The operation has more than {MAX_WRITTEN_FIELDS} fields; ask twice.")
    return None


def check_meaning(document: DocumentNode) -> GraphQLError | None:
    """Return what is wrong with the size of what a valid text stands for, None if nothing."""
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    known: dict[str, _Extent] = {}

    def measure(name: str) -> None:
        if name in known:
            return
        selection = fragments[name].selection_set
        for spread in _spreads(selection):
            measure(spread)
        known[name] = _extent(selection, known)

    for name in fragments:
        measure(name)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            fields, depth = _extent(definition.selection_set, known)
            if depth > MAX_DEPTH:
                return _too_deep()
            if fields > MAX_FIELDS:
                return GraphQLError(
                    f"The operation stands for more than {MAX_FIELDS} fields; ask for less at once."
                )
    return None


def _extent(selection: SelectionSetNode | None, fragments: dict[str, _Extent]) -> _Extent:
    """Return a selection's fields and depth; a fragment that is not in `fragments` counts 0."""
    fields, depth = 0, 0
    for node in selection.selections if selection else ():
        if isinstance(node, FragmentSpreadNode):
            inner = fragments.get(node.name.value, (0, 0))
        elif isinstance(node, FieldNode):
            inside = _extent(node.selection_set, fragments)
            inner = inside[0] + 1, inside[1] + 1
        else:
            assert isinstance(node, InlineFragmentNode)
            inner = _extent(node.selection_set, fragments)
        fields += inner[0]
        depth = max(depth, inner[1])
    return fields, depth


def _spreads(selection: SelectionSetNode) -> list[str]:
    """Return the names of the fragments that a selection uses, at any depth."""
    found: list[str] = []
    for node in selection.selections:
        if isinstance(node, FragmentSpreadNode):
            found.append(node.name.value)
        elif isinstance(node, FieldNode | InlineFragmentNode) and node.selection_set:
            found += _spreads(node.selection_set)
    return found


def _too_deep() -> GraphQLError:
    return GraphQLError(f"The operation is nested more than {MAX_DEPTH} levels deep.")
