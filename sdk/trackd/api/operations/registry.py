"""Operations about organizations, registries and their members."""

from __future__ import annotations

from trackd.api.operations.artifacts import COLLECTION
from trackd.remote.operations import MEMBERSHIP, PAGE_INFO, Fragment, operation

REGISTRY = Fragment(
    "RegistryFragment",
    """on Project {
  __typename id internalId name entity { name organization { name } } description createdAt
  updatedAt access allowAllArtifactTypes: allowAllArtifactTypesInRegistry
  artifactTypes(includeAll: true) { edges { node { name } } } }""",
)

ORGANIZATION = operation(
    "FetchOrganization",
    """query FetchOrganization($org: String!) { organization(name: $org) {
  id name orgEntity { __typename id name entityType } } }""",
)
ADVANCED_FEATURES = operation(
    "FetchAdvancedRegistryFeatures",
    """query FetchAdvancedRegistryFeatures($organization: String!) {
  organization(name: $organization) { advancedRegistryFeatures { advancedSearch } } }""",
)
ONE_REGISTRY = operation(
    "FetchRegistry",
    """query FetchRegistry($name: String, $entity: String) {
  entity(name: $entity) { project(name: $name) { ...RegistryFragment } } }""",
    REGISTRY,
)
REGISTRIES = operation(
    "FetchRegistries",
    """query FetchRegistries($organization: String!, $filters: JSONString, $cursor: String,
  $perPage: Int, $order: String) { organization(name: $organization) { orgEntity {
    projects(filters: $filters, after: $cursor, first: $perPage, order: $order) {
      pageInfo { ...PageInfoFragment } edges { node { ...RegistryFragment } } } } } }""",
    REGISTRY,
    PAGE_INFO,
)
COLLECTIONS = operation(
    "RegistryCollections",
    """query RegistryCollections($organization: String!, $registryFilter: JSONString,
  $collectionFilter: JSONString, $collectionTypes: [ArtifactCollectionType!] = [PORTFOLIO],
  $cursor: String, $perPage: Int, $order: String) {
  organization(name: $organization) { orgEntity { name
    artifactCollections(projectFilters: $registryFilter, filters: $collectionFilter,
      collectionTypes: $collectionTypes, after: $cursor, first: $perPage, order: $order) {
      totalCount pageInfo { ...PageInfoFragment }
      edges { node { __typename ...ArtifactCollectionFragment } } } } } }""",
    COLLECTION,
    PAGE_INFO,
)
VERSIONS = operation(
    "RegistryVersions",
    """query RegistryVersions($organization: String!, $registryFilter: JSONString,
  $collectionFilter: JSONString, $artifactFilter: JSONString, $cursor: String, $perPage: Int,
  $order: String, $includeAliases: Boolean = false) {
  organization(name: $organization) { orgEntity { name
    artifactMemberships(projectFilters: $registryFilter, collectionFilters: $collectionFilter,
      filters: $artifactFilter, after: $cursor, first: $perPage, order: $order) {
      pageInfo { ...PageInfoFragment }
      edges { node { ...ArtifactMembershipFragment } } } } } }""",
    MEMBERSHIP,
    PAGE_INFO,
)
UPSERT = operation(
    "UpsertRegistry",
    """mutation UpsertRegistry($input: UpsertModelInput!) {
  upsertModel(input: $input) { inserted project { ...RegistryFragment } } }""",
    REGISTRY,
)
RENAME = operation(
    "RenameRegistry",
    """mutation RenameRegistry($input: RenameProjectInput!) {
  renameProject(input: $input) { inserted project { ...RegistryFragment } } }""",
    REGISTRY,
)
DELETE = operation(
    "DeleteRegistry",
    "mutation DeleteRegistry($id: String!) { deleteModel(input: {id: $id}) { success } }",
)
USER_MEMBERS = operation(
    "RegistryUserMembers",
    """query RegistryUserMembers($project: String!, $entity: String!) {
  project(name: $project, entityName: $entity) {
    members { id name username email role { name } } } }""",
)
TEAM_MEMBERS = operation(
    "RegistryTeamMembers",
    """query RegistryTeamMembers($project: String!, $entity: String!) {
  project(name: $project, entityName: $entity) {
    teamMembers { team { __typename id name entityType } role { name } } } }""",
)
ADD_MEMBERS = operation(
    "CreateRegistryMembers",
    """mutation CreateRegistryMembers($input: CreateProjectMembersInput!) {
  result: createProjectMembers(input: $input) { success } }""",
)
REMOVE_MEMBERS = operation(
    "DeleteRegistryMembers",
    """mutation DeleteRegistryMembers($input: DeleteProjectMembersInput!) {
  result: deleteProjectMembers(input: $input) { success } }""",
)
UPDATE_USER = operation(
    "UpdateUserRegistryRole",
    """mutation UpdateUserRegistryRole($input: UpdateProjectMemberInput!) {
  result: updateProjectMember(input: $input) { success } }""",
)
UPDATE_TEAM = operation(
    "UpdateTeamRegistryRole",
    """mutation UpdateTeamRegistryRole($input: UpdateProjectTeamMemberInput!) {
  result: updateProjectTeamMember(input: $input) { success } }""",
)
