"""Operations about types, collections and versions of artifacts."""

from __future__ import annotations

from trackd.remote.operations import (
    ALIAS,
    ARTIFACT,
    PAGE_INFO,
    PROJECT_INFO,
    TAG,
    Fragment,
    operation,
)

TYPE = Fragment(
    "ArtifactTypeFragment", "on ArtifactType { __typename id name description createdAt }"
)
COLLECTION = Fragment(
    "ArtifactCollectionFragment",
    """on ArtifactCollection {
  __typename id name description createdAt updatedAt project { ...ProjectInfoFragment }
  type: defaultArtifactType { name } tags { edges { node { ...TagFragment } } } }""",
    (PROJECT_INFO, TAG),
)
FILE = Fragment(
    "FileFragment",
    """on File { __typename id name: displayName url sizeBytes storagePath mimetype updatedAt
  digest md5 directUrl }""",
)

TYPES = operation(
    "ProjectArtifactTypes",
    """query ProjectArtifactTypes($entity: String!, $project: String!, $cursor: String,
  $perPage: Int) { project(name: $project, entityName: $entity) {
    artifactTypes(after: $cursor, first: $perPage) {
      edges { node { ...ArtifactTypeFragment } } pageInfo { ...PageInfoFragment } } } }""",
    TYPE,
    PAGE_INFO,
)
ONE_TYPE = operation(
    "ProjectArtifactType",
    """query ProjectArtifactType($entity: String!, $project: String!, $type: String!) {
  project(entityName: $entity, name: $project) {
    artifactType(name: $type) { ...ArtifactTypeFragment } } }""",
    TYPE,
)
COLLECTIONS_OF_TYPE = operation(
    "ArtifactTypeArtifactCollections",
    """query ArtifactTypeArtifactCollections($entity: String!, $project: String!, $type: String!,
  $cursor: String, $perPage: Int, $filters: JSONString, $order: String) {
  project(entityName: $entity, name: $project) { artifactType(name: $type) {
    artifactCollections(after: $cursor, first: $perPage, filters: $filters, order: $order) {
      totalCount pageInfo { ...PageInfoFragment }
      edges { node { __typename ...ArtifactCollectionFragment } } } } } }""",
    COLLECTION,
    PAGE_INFO,
)
COLLECTIONS_OF_PROJECT = operation(
    "ProjectArtifactCollections",
    """query ProjectArtifactCollections($entity: String!, $project: String!, $cursor: String,
  $perPage: Int, $filters: JSONString, $order: String) {
  project(entityName: $entity, name: $project) {
    artifactCollections(after: $cursor, first: $perPage, filters: $filters, order: $order) {
      totalCount pageInfo { ...PageInfoFragment }
      edges { node { __typename ...ArtifactCollectionFragment } } } } }""",
    COLLECTION,
    PAGE_INFO,
)
#: For servers that neither filter collections nor count them.
COLLECTIONS_OF_PROJECT_PLAIN = operation(
    "ProjectArtifactCollections",
    """query ProjectArtifactCollections($entity: String!, $project: String!, $cursor: String,
  $perPage: Int, $order: String) { project(entityName: $entity, name: $project) {
    artifactCollections(after: $cursor, first: $perPage, order: $order) {
      pageInfo { ...PageInfoFragment }
      edges { node { __typename ...ArtifactCollectionFragment } } } } }""",
    COLLECTION,
    PAGE_INFO,
)
ONE_COLLECTION = operation(
    "ProjectArtifactCollection",
    """query ProjectArtifactCollection($entity: String!, $project: String!, $type: String!,
  $name: String!) { project(entityName: $entity, name: $project) { artifactType(name: $type) {
    artifactCollection(name: $name) { __typename ...ArtifactCollectionFragment } } } }""",
    COLLECTION,
)
#: Without its type, which the reference's operation wants; both kinds of server answer it.
COLLECTION_OF_ANY_TYPE = operation(
    "ArtifactCollectionByName",
    """query ArtifactCollectionByName($entity: String!, $project: String!, $name: String!) {
  project(entityName: $entity, name: $project) {
    artifactCollection(name: $name) { __typename ...ArtifactCollectionFragment } } }""",
    COLLECTION,
)
COLLECTION_ALIASES = operation(
    "ArtifactCollectionAliases",
    """query ArtifactCollectionAliases($id: ID!, $cursor: String, $perPage: Int = 1000) {
  artifactCollection(id: $id) { __typename aliases(after: $cursor, first: $perPage) {
    pageInfo { ...PageInfoFragment } edges { node { ...ArtifactAliasFragment } } } } }""",
    ALIAS,
    PAGE_INFO,
)
UPDATE_SEQUENCE = operation(
    "UpdateArtifactSequence",
    """mutation UpdateArtifactSequence($input: UpdateArtifactSequenceInput!) {
  result: updateArtifactSequence(input: $input) {
    artifactCollection { __typename ...ArtifactCollectionFragment } } }""",
    COLLECTION,
)
UPDATE_PORTFOLIO = operation(
    "UpdateArtifactPortfolio",
    """mutation UpdateArtifactPortfolio($input: UpdateArtifactPortfolioInput!) {
  result: updateArtifactPortfolio(input: $input) {
    artifactCollection { __typename ...ArtifactCollectionFragment } } }""",
    COLLECTION,
)
MOVE_SEQUENCE = operation(
    "UpdateArtifactSequenceType",
    """mutation UpdateArtifactSequenceType($input: MoveArtifactSequenceInput!) {
  result: moveArtifactSequence(input: $input) {
    artifactCollection { __typename ...ArtifactCollectionFragment } } }""",
    COLLECTION,
)
DELETE_SEQUENCE = operation(
    "DeleteArtifactSequence",
    """mutation DeleteArtifactSequence($id: ID!) {
  result: deleteArtifactSequence(input: {artifactSequenceID: $id}) {
    artifactCollection { __typename state } } }""",
)
DELETE_PORTFOLIO = operation(
    "DeleteArtifactPortfolio",
    """mutation DeleteArtifactPortfolio($id: ID!) {
  result: deleteArtifactPortfolio(input: {artifactPortfolioID: $id}) {
    artifactCollection { __typename state } } }""",
)
ADD_COLLECTION_TAGS = operation(
    "AddArtifactCollectionTags",
    """mutation AddArtifactCollectionTags($input: CreateArtifactCollectionTagAssignmentsInput!) {
  result: createArtifactCollectionTagAssignments(input: $input) { tags { ...TagFragment } } }""",
    TAG,
)
DELETE_COLLECTION_TAGS = operation(
    "DeleteArtifactCollectionTags",
    """mutation DeleteArtifactCollectionTags(
  $input: DeleteArtifactCollectionTagAssignmentsInput!) {
  result: deleteArtifactCollectionTagAssignments(input: $input) { success } }""",
)
VERSIONS = operation(
    "ProjectArtifacts",
    """query ProjectArtifacts($entity: String!, $project: String!, $type: String!,
  $collection: String!, $cursor: String, $perPage: Int = 50, $order: String,
  $filters: JSONString, $includeAliases: Boolean = true) {
  project(entityName: $entity, name: $project) { artifactType(name: $type) {
    artifactCollection(name: $collection) { __typename
      artifacts(after: $cursor, first: $perPage, order: $order, filters: $filters) {
        totalCount pageInfo { ...PageInfoFragment }
        edges { version node { ...ArtifactFragment } } } } } } }""",
    ARTIFACT,
    PAGE_INFO,
)
_OF_RUN = """query {name}($entity: String!, $project: String!, $run: String!, $cursor: String,
  $perPage: Int, $includeAliases: Boolean = true) {{
  project(entityName: $entity, name: $project) {{ run(name: $run) {{
    artifacts: {field}(after: $cursor, first: $perPage) {{
      totalCount pageInfo {{ ...PageInfoFragment }} edges {{ node {{ ...ArtifactFragment }} }}
    }} }} }} }}"""
LOGGED_BY_RUN = operation(
    "RunOutputArtifacts",
    _OF_RUN.format(name="RunOutputArtifacts", field="outputArtifacts"),
    ARTIFACT,
    PAGE_INFO,
)
USED_BY_RUN = operation(
    "RunInputArtifacts",
    _OF_RUN.format(name="RunInputArtifacts", field="inputArtifacts"),
    ARTIFACT,
    PAGE_INFO,
)
FILES = operation(
    "ArtifactMembershipFiles",
    """query ArtifactMembershipFiles($entity: String!, $project: String!, $collection: String!,
  $alias: String!, $fileNames: [String!], $cursor: String, $perPage: Int = 50) {
  project(name: $project, entityName: $entity) { artifactCollection(name: $collection) {
    __typename artifactMembership(aliasName: $alias) {
      files(names: $fileNames, after: $cursor, first: $perPage) {
        totalCount pageInfo { ...PageInfoFragment } edges { node { ...FileFragment } } } } } } }""",
    FILE,
    PAGE_INFO,
)
CREATE_ARTIFACT = operation(
    "CreateArtifact",
    """mutation CreateArtifact($input: CreateArtifactInput!) {
  result: createArtifact(input: $input) { artifact { id state } } }""",
)
#: Ours; servers that announce `TRACKD_LINEAGE` answer it.
LINEAGE = operation(
    "ArtifactLineage",
    """query ArtifactLineage($id: ID!, $direction: LineageDirection!, $depth: Int!) {
  artifact(id: $id) { lineage(direction: $direction, depth: $depth) {
    artifacts { id versionIndex artifactType { name }
      artifactSequence { name project { name entity { name } } } }
    runs { id name displayName state project { name entity { name } } }
    edges { from to kind } isTruncated } } }""",
)
