"""GraphQL operations about artifacts: shapes as `wandb` 0.31 sends them.

A server that serves that client serves us. Every field that an answer needs is asked for; one
that only newer servers know is left out for others (`Operation.without`).
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Fragment(NamedTuple):
    """A part that several operations ask for."""

    name: str
    #: `on <type> { <fields> }`
    body: str
    uses: tuple[Fragment, ...] = ()


class Operation(NamedTuple):
    """One GraphQL operation."""

    name: str
    text: str

    def without(self, *fields: str) -> Operation:
        """Return the operation without plain fields that a server does not know."""
        text = self.text
        for field in fields:
            text = re.sub(rf"(?<![$\w]){field}(?!\w)", "", text)
        return Operation(self.name, text)


def operation(name: str, text: str, *fragments: Fragment) -> Operation:
    """Return an operation with the fragments that it uses, and those that they use."""
    needed: dict[str, Fragment] = {}
    waiting = list(fragments)
    while waiting:
        fragment = waiting.pop(0)
        if fragment.name not in needed:
            needed[fragment.name] = fragment
            waiting.extend(fragment.uses)
    parts = [f"fragment {fragment.name} {fragment.body}" for fragment in needed.values()]
    return Operation(name, "\n".join([text, *parts]))


# --- fragments -----------------------------------------------------------------------------------

TAG = Fragment("TagFragment", "on Tag { __typename id name }")
PAGE_INFO = Fragment("PageInfoFragment", "on PageInfo { __typename endCursor hasNextPage }")
PROJECT_INFO = Fragment("ProjectInfoFragment", "on Project { id internalId name entity { name } }")
ALIAS = Fragment("ArtifactAliasFragment", "on ArtifactAlias { __typename id alias }")
COLLECTION_INFO = Fragment(
    "CollectionInfoFragment",
    "on ArtifactCollection { __typename name project { ...ProjectInfoFragment } }",
    (PROJECT_INFO,),
)
SOURCE_COLLECTION_INFO = Fragment(
    "SourceCollectionInfoFragment",
    "on ArtifactSequence { __typename name project { ...ProjectInfoFragment } }",
    (PROJECT_INFO,),
)
ARTIFACT = Fragment(
    "ArtifactFragment",
    """on Artifact {
  __typename id artifactSequence { ...SourceCollectionInfoFragment } versionIndex
  artifactType { name } description metadata ttlDurationSeconds ttlIsInherited
  tags { ...TagFragment } historyStep state size digest digestAlgorithm commitHash fileCount
  createdAt updatedAt
  aliases @include(if: $includeAliases) {
    artifactCollection { ...CollectionInfoFragment } ...ArtifactAliasFragment }
}""",
    (SOURCE_COLLECTION_INFO, TAG, COLLECTION_INFO, ALIAS),
)
MEMBERSHIP = Fragment(
    "ArtifactMembershipFragment",
    """on ArtifactCollectionMembership {
  __typename id versionIndex createdAt aliases { ...ArtifactAliasFragment }
  artifactCollection { ...CollectionInfoFragment } artifact { ...ArtifactFragment }
}""",
    (ALIAS, COLLECTION_INFO, ARTIFACT),
)
RUN_INFO = Fragment(
    "RunInfoFragment",
    "on Run { __typename id name project { ...ProjectInfoFragment } }",
    (PROJECT_INFO,),
)
ORGANIZATION_INFO = Fragment("OrgInfoFragment", "on Organization { name orgEntity { name } }")

# --- the server ----------------------------------------------------------------------------------

VIEWER = Operation("GetDefaultEntity", "query GetDefaultEntity { viewer { id entity } }")
SERVER_FEATURES = Operation(
    "ServerFeaturesQuery",
    "query ServerFeaturesQuery { serverInfo { features { name isEnabled } } }",
)
ORGANIZATIONS_OF_ENTITY = operation(
    "FetchOrgInfoFromEntity",
    """query FetchOrgInfoFromEntity($entity: String!) { entity(name: $entity) {
  organization { ...OrgInfoFragment } user { organizations { ...OrgInfoFragment } } } }""",
    ORGANIZATION_INFO,
)
PROJECT_IS_READ_ONLY = Operation(
    "IsProjectReadOnly",
    """query IsProjectReadOnly($entity: String!, $project: String!) {
  project(entityName: $entity, name: $project) { readOnly } }""",
)

# --- reading artifacts ---------------------------------------------------------------------------

ARTIFACT_BY_ID = operation(
    "ArtifactByID",
    """query ArtifactByID($id: ID!, $includeAliases: Boolean = true) {
  artifact(id: $id) { ...ArtifactFragment } }""",
    ARTIFACT,
)
MEMBERSHIP_BY_NAME = operation(
    "ArtifactMembershipByName",
    """query ArtifactMembershipByName($entity: String!, $project: String!, $name: String!,
  $includeAliases: Boolean = false) {
  project(name: $project, entityName: $entity) {
    artifactCollectionMembership(name: $name) { ...ArtifactMembershipFragment } } }""",
    MEMBERSHIP,
)
ARTIFACT_TYPE = Operation(
    "ArtifactType",
    """query ArtifactType($entity: String, $project: String, $name: String!) {
  project(name: $project, entityName: $entity) {
    artifact(name: $name) { artifactType { name } } } }""",
)
CREATED_BY = operation(
    "ArtifactCreatedBy",
    """query ArtifactCreatedBy($id: ID!) { artifact(id: $id) {
  createdBy { __typename ... on Run { ...RunInfoFragment } } } }""",
    RUN_INFO,
)
USED_BY = operation(
    "ArtifactUsedBy",
    """query ArtifactUsedBy($id: ID!) { artifact(id: $id) {
  usedBy { edges { node { ...RunInfoFragment } } } } }""",
    RUN_INFO,
)
LINKED_ARTIFACTS = operation(
    "FetchLinkedArtifacts",
    """query FetchLinkedArtifacts($artifactID: ID!) { artifact(id: $artifactID) {
  artifactMemberships { edges { node {
    versionIndex createdAt aliases { ...ArtifactAliasFragment }
    artifactCollection { __typename ...CollectionInfoFragment } } } } } }""",
    ALIAS,
    COLLECTION_INFO,
)

# --- changing artifacts --------------------------------------------------------------------------

UPDATE_ARTIFACT = operation(
    "UpdateArtifact",
    """mutation UpdateArtifact($input: UpdateArtifactInput!, $includeAliases: Boolean = true) {
  result: updateArtifact(input: $input) { artifact { ...ArtifactFragment } } }""",
    ARTIFACT,
)
ADD_ALIASES = Operation(
    "AddAliases",
    """mutation AddAliases($input: AddAliasesInput!) {
  result: addAliases(input: $input) { success } }""",
)
DELETE_ALIASES = Operation(
    "DeleteAliases",
    """mutation DeleteAliases($input: DeleteAliasesInput!) {
  result: deleteAliases(input: $input) { success } }""",
)
DELETE_ARTIFACT = Operation(
    "DeleteArtifact",
    """mutation DeleteArtifact($input: DeleteArtifactInput!) {
  result: deleteArtifact(input: $input) { artifact { id } } }""",
)
LINK_ARTIFACT = operation(
    "LinkArtifact",
    """mutation LinkArtifact($input: LinkArtifactInput!, $includeAliases: Boolean = true) {
  result: linkArtifact(input: $input) {
    versionIndex artifactMembership { ...ArtifactMembershipFragment } } }""",
    MEMBERSHIP,
)
#: For servers that do not answer with the membership.
LINK_ARTIFACT_PLAIN = Operation(
    "LinkArtifact",
    """mutation LinkArtifact($input: LinkArtifactInput!) {
  result: linkArtifact(input: $input) { versionIndex } }""",
)
UNLINK_ARTIFACT = Operation(
    "UnlinkArtifact",
    """mutation UnlinkArtifact($input: UnlinkArtifactInput!) {
  result: unlinkArtifact(input: $input) { success } }""",
)
COLLECTION_ID = Operation(
    "ProjectArtifactCollection",
    """query ProjectArtifactCollection($entity: String!, $project: String!, $type: String!,
  $name: String!) { project(entityName: $entity, name: $project) {
    artifactType(name: $type) { artifactCollection(name: $name) { __typename id name } } } }""",
)
USE_ARTIFACT = Operation(
    "UseArtifact",
    """mutation UseArtifact($entityName: String!, $projectName: String!, $runName: String!,
  $artifactID: ID!, $artifactEntityName: String, $artifactProjectName: String) {
  useArtifact(input: {entityName: $entityName, projectName: $projectName, runName: $runName,
    artifactID: $artifactID, artifactEntityName: $artifactEntityName,
    artifactProjectName: $artifactProjectName}) {
    artifact { id digest description state createdAt metadata } } }""",
)
#: For servers that do not ask through which collection it was found.
USE_ARTIFACT_PLAIN = Operation(
    "UseArtifact",
    """mutation UseArtifact($entityName: String!, $projectName: String!, $runName: String!,
  $artifactID: ID!) {
  useArtifact(input: {entityName: $entityName, projectName: $projectName, runName: $runName,
    artifactID: $artifactID}) {
    artifact { id digest description state createdAt metadata } } }""",
)
