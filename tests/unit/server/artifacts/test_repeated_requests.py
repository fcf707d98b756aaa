"""Clients repeat a request whose answer was lost: the second answer is that of the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.server.artifact_client import Logger
from tests.unit.server.serving import Serving, serving

from trackd_server.domain.artifacts import ending

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINK = """mutation($id: ID!) { linkArtifact(input: {artifactID: $id, projectName: "p",
  artifactPortfolioName: "shown"}) {
    versionIndex artifactMembership { artifactCollection { id } } } }"""
UNLINK = """mutation($id: ID!, $of: ID!) {
  unlinkArtifact(input: {artifactID: $id, artifactPortfolioID: $of}) { success } }"""
DELETE_SEQUENCE = """mutation($id: ID!) { deleteArtifactSequence(input: {artifactSequenceID: $id}) {
  artifactCollection { state } } }"""
DELETE_PORTFOLIO = """mutation($id: ID!) {
  deleteArtifactPortfolio(input: {artifactPortfolioID: $id}) { artifactCollection { state } } }"""
SEQUENCE = "query($id: ID!) { artifact(id: $id) { artifactSequence { id } } }"
UPSERT = """mutation($name: String!, $words: String) { upsertModel(input: {name: $name,
  entityName: "local", description: $words, artifactTypes: [{name: "data"}],
  allowAllArtifactTypesInRegistry: false}) { project { id } inserted } }"""
RENAME = """mutation { renameProject(input: {entityName: "local",
  oldProjectName: "wandb-registry-a", newProjectName: "wandb-registry-b"}) { project { name } } }"""
REMOVE = """mutation($id: ID!, $who: ID!) {
  deleteProjectMembers(input: {projectId: $id, userIds: [$who]}) { success } }"""
DELETE_RUN = """mutation($id: ID!, $all: Boolean) {
  deleteRun(input: {id: $id, deleteArtifacts: $all}) { clientMutationId } }"""


@pytest.fixture(name="server")
def started(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path) as server:
        yield server


def _twice(server: Serving, text: str, **variables: Any) -> tuple[Any, Any]:
    first, second = (server.graphql(text, variables) for _ in range(2))
    return first, second


def _portfolio(answer: dict[str, Any]) -> str:
    return answer["linkArtifact"]["artifactMembership"]["artifactCollection"]["id"]


def test_links_come_and_go_once(server: Serving) -> None:
    version = Logger(server).log({"a": b"1"})
    first, second = _twice(server, LINK, id=version)
    assert first == second
    first, second = _twice(server, UNLINK, id=version, of=_portfolio(first))
    assert first == second == {"unlinkArtifact": {"success": True}}


@pytest.mark.parametrize("delete", [DELETE_SEQUENCE, DELETE_PORTFOLIO])
def test_a_deleted_collection_stays_deleted_and_its_id_is_nobody_elses(
    server: Serving, delete: str
) -> None:
    logger = Logger(server)
    version = logger.log({"a": b"1"})
    if delete == DELETE_PORTFOLIO:
        gone = _portfolio(server.graphql(LINK, {"id": version}))
    else:
        gone = server.graphql(SEQUENCE, {"id": version})["artifact"]["artifactSequence"]["id"]
    assert server.graphql(delete, {"id": gone})
    other = Logger(server, "other").log({"a": b"1"})  # it may not get the id
    (answer,) = server.graphql(delete, {"id": gone}).values()
    assert answer == {"artifactCollection": None}
    assert server.graphql(SEQUENCE, {"id": other})["artifact"] is not None


def test_a_registry_is_made_renamed_and_deleted_once(server: Serving) -> None:
    first, second = _twice(server, UPSERT, name="wandb-registry-a", words="ours")
    assert first == second and first["upsertModel"]["inserted"]
    changed = server.graphql(UPSERT, {"name": "wandb-registry-a", "words": "others'"})
    assert not changed["upsertModel"]["inserted"]
    assert not server.graphql(UPSERT, {"name": "wandb-registry-a"})["upsertModel"]["inserted"]
    number = first["upsertModel"]["project"]["id"]
    me = server.graphql("{ viewer { id } }")["viewer"]["id"]
    for answers in (
        _twice(server, REMOVE, id=number, who=me),
        _twice(server, RENAME),
        _twice(
            server,
            "mutation($id: String!) { deleteModel(input: {id: $id}) { success } }",
            id=number,
        ),
    ):
        assert answers[0] == answers[1]


def test_a_run_is_deleted_once_with_what_it_logged(
    server: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "DELETED_AT_ONCE", 2)
    run = server.upsert("r")["bucket"]["id"]
    logged = [Logger(server).log({"a": b"%d" % n}, runName="r") for n in range(5)]
    kept = Logger(server, "other").log({"a": b"1"})
    first, second = _twice(server, DELETE_RUN, id=run, all=True)
    assert first == second
    found = [server.graphql(SEQUENCE, {"id": id_})["artifact"] for id_ in (*logged, kept)]
    assert found[:5] == [None] * 5 and found[5] is not None


def test_a_deletion_that_is_repeated_late_does_not_hit_the_next_run(server: Serving) -> None:
    gone = server.upsert("r")["bucket"]["id"]
    server.graphql(DELETE_RUN, {"id": gone, "all": False})
    made = server.upsert("r")["bucket"]["id"]
    server.graphql(DELETE_RUN, {"id": gone, "all": False})
    assert server.upsert("r")["bucket"]["id"] == made
