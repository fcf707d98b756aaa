"""GraphQL operations of the W&B protocol that the agent sends: names and texts, no behaviour.

Shapes as `wandb` 0.31 sends them, so that any server that serves that client serves us.
"""

from __future__ import annotations

from typing import NamedTuple


class Operation(NamedTuple):
    """One GraphQL operation."""

    name: str
    text: str


VIEWER = Operation(
    "Viewer",
    "query Viewer { viewer { id entity username email flags teams { edges { node { name } } } } }",
)

SERVER_FEATURES = Operation(
    "ServerFeaturesQuery",
    "query ServerFeaturesQuery { serverInfo { features { name isEnabled } } }",
)

COREWEAVE_ORGANIZATION = Operation(
    "OrganizationCoreWeaveOrganizationID",
    """query OrganizationCoreWeaveOrganizationID($entityName: String!) {
  entity(name: $entityName) { organization { coreWeaveOrganizationId } }
}""",
)

UPSERT_BUCKET = Operation(
    "UpsertBucket",
    """mutation UpsertBucket($id: String, $name: String, $project: String, $entity: String,
  $groupName: String, $description: String, $displayName: String, $notes: String,
  $commit: String, $config: JSONString, $host: String, $debug: Boolean, $program: String,
  $repo: String, $jobType: String, $state: String, $sweep: String, $tags: [String!],
  $summaryMetrics: JSONString) {
  upsertBucket(input: {id: $id, name: $name, groupName: $groupName, modelName: $project,
    entityName: $entity, description: $description, displayName: $displayName, notes: $notes,
    config: $config, commit: $commit, host: $host, debug: $debug, jobProgram: $program,
    jobRepo: $repo, jobType: $jobType, state: $state, sweep: $sweep, tags: $tags,
    summaryMetrics: $summaryMetrics}) {
    bucket { id name displayName description config sweepName
      project { id name entity { id name } } historyLineCount }
    inserted
  }
}""",
)

RUN_RESUME_STATUS = Operation(
    "RunResumeStatus",
    """query RunResumeStatus($project: String, $entity: String, $name: String!) {
  model(name: $project, entityName: $entity) { bucket(name: $name, missingOk: true) {
    name historyLineCount eventsLineCount logLineCount } }
}""",
)

RUN_SO_FAR = Operation(
    "RunResumeStatus",
    """query RunResumeStatus($project: String, $entity: String, $name: String!) {
  model(name: $project, entityName: $entity) { id name entity { id name }
    bucket(name: $name, missingOk: true) { id name summaryMetrics displayName logLineCount
      historyLineCount eventsLineCount historyTail eventsTail config tags notes
      wandbConfig(keys: ["t"]) } }
}""",
)

REWIND_RUN = Operation(
    "RewindRun",
    """mutation RewindRun($runName: String!, $entity: String, $project: String,
  $metricName: String!, $metricValue: Float!) {
  rewindRun(input: {runName: $runName, entityName: $entity, projectName: $project,
    metricName: $metricName, metricValue: $metricValue}) {
    rewoundRun { id name displayName description config sweepName
      project { id name entity { id name } } historyLineCount } }
}""",
)

CREATE_RUN_FILES = Operation(
    "CreateRunFiles",
    """mutation CreateRunFiles($entity: String!, $project: String!, $run: String!,
  $files: [String!]!) {
  createRunFiles(input: {entityName: $entity, projectName: $project, runName: $run,
    files: $files}) { runID uploadHeaders files { name uploadUrl } }
}""",
)

NOTIFY_ALERT = Operation(
    "NotifyScriptableRunAlert",
    """mutation NotifyScriptableRunAlert($entityName: String!, $projectName: String!,
  $runName: String!, $title: String!, $text: String!, $severity: AlertSeverity = INFO,
  $waitDuration: Duration) {
  notifyScriptableRunAlert(input: {entityName: $entityName, projectName: $projectName,
    runName: $runName, title: $title, text: $text, severity: $severity,
    waitDuration: $waitDuration}) { success }
}""",
)
