"""Every operation about artifacts and registries that the real client knows fits our schema."""

from __future__ import annotations

import pytest
from graphql import parse, validate
from wandb.sdk.artifacts._generated import operations as artifact_operations

from trackd_server.api.graphql import Engine

OPERATIONS = {
    name: getattr(artifact_operations, name)
    for name in artifact_operations.__all__
    if name.endswith("_GQL")
}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.build()


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_the_schema_has_what_the_client_asks_for(engine: Engine, name: str) -> None:
    assert validate(engine.schema, parse(OPERATIONS[name])) == []
