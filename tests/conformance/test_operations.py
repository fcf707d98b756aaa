"""Our operations ask for nothing that the real client does not ask: who serves it serves us."""

from __future__ import annotations

import pytest
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
)

from trackd.remote import operations
from trackd.remote.operations import Operation

OURS = {name: value for name, value in vars(operations).items() if isinstance(value, Operation)}
#: Built from parts by the reference, or asked in another place of it.
_ELSEWHERE = {"USE_ARTIFACT", "USE_ARTIFACT_PLAIN", "VIEWER", "SERVER_FEATURES"}


def _theirs() -> dict[str, str]:
    """Return the texts of the reference by the name of the operation."""
    from wandb.apis._generated import operations as api
    from wandb.sdk.artifacts._generated import operations as artifacts

    texts = [
        value
        for name, value in [*vars(artifacts).items(), *vars(api).items()]
        if name.endswith("_GQL")
    ]
    operations_of = [(_operation(parse(text)).name, text) for text in texts]
    return {name.value: text for name, text in operations_of if name is not None}


def _operation(document: DocumentNode) -> OperationDefinitionNode:
    return next(d for d in document.definitions if isinstance(d, OperationDefinitionNode))


def _paths(text: str) -> set[str]:
    """Return everything an operation asks: paths of fields with their arguments, and variables."""
    document = parse(text)
    fragments = {
        d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)
    }
    found = {
        f"${variable.variable.name.value}"
        for variable in _operation(document).variable_definitions or ()
    }

    def walk(selection: SelectionSetNode, above: str) -> None:
        for node in selection.selections:
            if isinstance(node, FragmentSpreadNode):
                walk(fragments[node.name.value].selection_set, above)
            elif isinstance(node, InlineFragmentNode):
                walk(node.selection_set, above)
            elif isinstance(node, FieldNode):
                shown = node.alias.value if node.alias else node.name.value
                path = f"{above}/{shown}"
                arguments = sorted(argument.name.value for argument in node.arguments or ())
                found.add(f"{path}({','.join(arguments)})")
                if node.selection_set:
                    walk(node.selection_set, path)

    walk(_operation(document).selection_set, "")
    return found


@pytest.mark.parametrize("name", sorted(OURS.keys() - _ELSEWHERE))
def test_an_operation_asks_what_the_reference_asks(name: str) -> None:
    ours, theirs = OURS[name], _theirs()
    assert ours.name in theirs
    assert _paths(ours.text) <= _paths(theirs[ours.name])


def test_fields_that_a_server_lacks_are_left_out() -> None:
    asked = operations.ARTIFACT_BY_ID.without("digestAlgorithm")
    assert "digestAlgorithm" not in asked.text
    parse(asked.text)
