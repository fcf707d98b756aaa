"""Operations about projects, runs and their files."""

from __future__ import annotations

from trackd.remote.operations import PAGE_INFO, Fragment, operation

LIGHT_RUN = Fragment(
    "LightweightRunFragment",
    """on Run {
  id tags name displayName sweepName state group jobType commit readOnly createdAt heartbeatAt
  description notes historyLineCount user { name username } }""",
)
FULL_RUN = Fragment(
    "RunFragment",
    """on Run {
  id tags name displayName sweepName state config group jobType commit readOnly createdAt
  heartbeatAt description notes systemMetrics summaryMetrics historyLineCount
  user { name username } historyKeys }""",
)
PROJECT = Fragment(
    "ProjectFragment",
    "on Project { __typename id name entityName createdAt isBenchmark user { name username } }",
)
USER = Fragment(
    "UserFragment",
    """on User { id name username email admin teams { edges { node { name } } }
  apiKeys { edges { node { id name description } } } }""",
)

VIEWER = operation("GetViewer", "query GetViewer { viewer { entity flags ...UserFragment } }", USER)
USERS = operation(
    "SearchUsers",
    """query SearchUsers($query: String) { users(query: $query) {
  edges { node { ...UserFragment } } } }""",
    USER,
)
TEAM = operation(
    "GetTeamEntity",
    """query GetTeamEntity($name: String!) { entity(name: $name) {
  id name available photoUrl readOnly readOnlyAdmin isTeam privateOnly storageBytes
  codeSavingEnabled defaultAccess isPaid
  members { id role admin pending email username name photoUrl accountType } } }""",
)
PROJECTS = operation(
    "GetProjects",
    """query GetProjects($entity: String, $cursor: String, $perPage: Int = 50) {
  models(entityName: $entity, after: $cursor, first: $perPage) {
    edges { node { ...ProjectFragment } } pageInfo { ...PageInfoFragment } } }""",
    PROJECT,
    PAGE_INFO,
)
ONE_PROJECT = operation(
    "GetProject",
    """query GetProject($name: String!, $entity: String!) {
  project(name: $name, entityName: $entity) { ...ProjectFragment } }""",
    PROJECT,
)
CREATE_PROJECT = operation(
    "CreateProject",
    """mutation CreateProject($input: UpsertModelInput!) {
  result: upsertModel(input: $input) { project { id name entityName } inserted } }""",
)
_RUNS = """query Runs($project: String!, $entity: String!, $cursor: String, $perPage: Int = 50,
  $order: String, $filters: JSONString) {{
  project(name: $project, entityName: $entity) {{ internalId runCount(filters: $filters) readOnly
    runs(filters: $filters, after: $cursor, first: $perPage, order: $order) {{
      edges {{ node {{ projectId ...{fragment} }} cursor }}
      pageInfo {{ endCursor hasNextPage }} }} }} }}"""
_RUN = """query Run($project: String!, $entity: String!, $name: String!) {{
  project(name: $project, entityName: $entity) {{
    run(name: $name) {{ projectId ...{fragment} }} }} }}"""
LIGHT_RUNS = operation("Runs", _RUNS.format(fragment=LIGHT_RUN.name), LIGHT_RUN)
FULL_RUNS = operation("Runs", _RUNS.format(fragment=FULL_RUN.name), FULL_RUN)
ONE_LIGHT_RUN = operation("Run", _RUN.format(fragment=LIGHT_RUN.name), LIGHT_RUN)
ONE_FULL_RUN = operation("Run", _RUN.format(fragment=FULL_RUN.name), FULL_RUN)
RUN_STATE = operation(
    "RunState",
    """query RunState($project: String!, $entity: String!, $name: String!) {
  project(name: $project, entityName: $entity) { run(name: $name) { state } } }""",
)
CREATE_RUN = operation(
    "UpsertBucket",
    """mutation UpsertBucket($project: String, $entity: String, $name: String!, $state: String) {
  upsertBucket(input: {modelName: $project, entityName: $entity, name: $name, state: $state}) {
    bucket { project { name entity { name } } id name } inserted } }""",
)
UPDATE_RUN = operation(
    "UpsertBucket",
    """mutation UpsertBucket($id: String!, $description: String, $display_name: String,
  $notes: String, $tags: [String!], $config: JSONString!, $groupName: String, $jobType: String) {
  upsertBucket(input: {id: $id, description: $description, displayName: $display_name,
    notes: $notes, tags: $tags, config: $config, groupName: $groupName, jobType: $jobType}) {
    bucket { ...RunFragment } } }""",
    FULL_RUN,
)
UPDATE_SUMMARY = operation(
    "UpsertBucket",
    """mutation UpsertBucket($id: String, $summaryMetrics: JSONString) {
  upsertBucket(input: {id: $id, summaryMetrics: $summaryMetrics}) { bucket { id } } }""",
)
UPDATE_STATE = operation(
    "UpdateRunState",
    """mutation UpdateRunState($input: UpdateRunStateInput!) {
  updateRunState(input: $input) { success } }""",
)
DELETE_RUN = operation(
    "DeleteRun",
    "mutation DeleteRun($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }",
)
DELETE_RUN_AND_ARTIFACTS = operation(
    "DeleteRun",
    """mutation DeleteRun($id: ID!, $deleteArtifacts: Boolean) {
  deleteRun(input: {id: $id, deleteArtifacts: $deleteArtifacts}) { clientMutationId } }""",
)
STOP_RUN = operation(
    "StopRun",
    """mutation StopRun($id: ID!) { stopRun(input: {id: $id}) { success } }""",
)
HISTORY = operation(
    "RunFullHistory",
    """query RunFullHistory($project: String!, $entity: String!, $name: String!, $samples: Int) {
  project(name: $project, entityName: $entity) {
    run(name: $name) { history(samples: $samples) } } }""",
)
EVENTS = operation(
    "RunFullHistory",
    """query RunFullHistory($project: String!, $entity: String!, $name: String!, $samples: Int) {
  project(name: $project, entityName: $entity) {
    run(name: $name) { events(samples: $samples) } } }""",
)
SAMPLED_HISTORY = operation(
    "RunSampledHistory",
    """query RunSampledHistory($project: String!, $entity: String!, $name: String!,
  $specs: [JSONString!]!) { project(name: $project, entityName: $entity) {
    run(name: $name) { sampledHistory(specs: $specs) } } }""",
)
HISTORY_KEYS = operation(
    "RunHistoryKeys",
    """query RunHistoryKeys($project: String!, $entity: String!, $name: String!) {
  project(name: $project, entityName: $entity) { run(name: $name) { historyKeys } } }""",
)
HISTORY_PAGE = operation(
    "HistoryPage",
    """query HistoryPage($entity: String!, $project: String!, $run: String!, $minStep: Int64!,
  $maxStep: Int64!, $pageSize: Int!) { project(name: $project, entityName: $entity) {
    run(name: $run) {
      history(minStep: $minStep, maxStep: $maxStep, samples: $pageSize) } } }""",
)
FILES = operation(
    "RunFiles",
    """query RunFiles($project: String!, $entity: String!, $name: String!, $cursor: String,
  $perPage: Int = 50, $fileNames: [String] = [], $upload: Boolean = false, $pattern: String) {
  project(name: $project, entityName: $entity) { internalId run(name: $name) { fileCount
    files(names: $fileNames, after: $cursor, first: $perPage, pattern: $pattern) {
      edges { node { id name url(upload: $upload) directUrl sizeBytes mimetype updatedAt md5 }
        cursor }
      pageInfo { endCursor hasNextPage } } } } }""",
)
CONSOLE_PAGE = operation(
    "RunConsoleLogPage",
    """query RunConsoleLogPage($entity: String!, $project: String!, $name: String!,
  $cursor: String, $perPage: Int!) { project(name: $project, entityName: $entity) {
    run(name: $name) { logLines(first: $perPage, after: $cursor, useImprovedPagination: true) {
      edges { node { number timestamp level label line } }
      pageInfo { endCursor hasNextPage } } } } }""",
)
CONSOLE_TAIL = operation(
    "RunConsoleLogTail",
    """query RunConsoleLogTail($entity: String!, $project: String!, $name: String!, $last: Int!) {
  project(name: $project, entityName: $entity) {
    run(name: $name) { logLines(last: $last) {
      edges { node { number timestamp level label line } }
      pageInfo { endCursor hasNextPage } } } } }""",
)
CREATE_FILES = operation(
    "CreateRunFiles",
    """mutation CreateRunFiles($entity: String!, $project: String!, $run: String!,
  $files: [String!]!) {
  createRunFiles(input: {entityName: $entity, projectName: $project, runName: $run,
    files: $files}) { runID uploadHeaders files { name uploadUrl } } }""",
)
FILES_ARRIVED = operation(
    "MarkRunFilesUploaded",
    """mutation MarkRunFilesUploaded($entity: String!, $project: String!, $run: String!,
  $files: [String!]!) {
  markRunFilesUploaded(input: {entityName: $entity, projectName: $project, runName: $run,
    files: $files}) { success } }""",
)
DELETE_FILES = operation(
    "deleteFiles",
    """mutation deleteFiles($files: [ID!]!, $projectId: Int) {
  deleteFiles(input: {files: $files, projectId: $projectId}) { success } }""",
)
