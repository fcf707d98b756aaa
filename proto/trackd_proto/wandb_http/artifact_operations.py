"""GraphQL operations of the W&B protocol with which the agent saves artifacts.

Shapes as `wandb` 0.31 sends them, so that any server that serves that client serves us.
"""

from __future__ import annotations

from trackd_proto.wandb_http.operations import Operation

CREATE_ARTIFACT = Operation(
    "CreateArtifact",
    """mutation CreateArtifact($input: CreateArtifactInput!) {
  createArtifact(input: $input) {
    artifact { id state artifactSequence { latestArtifact { id } } }
  }
}""",
)

CREATE_ARTIFACT_MANIFEST = Operation(
    "CreateArtifactManifest",
    """mutation CreateArtifactManifest($artifactID: ID!, $baseArtifactID: ID, $name: String!,
  $digest: String!, $entityName: String!, $projectName: String!, $runName: String!,
  $manifestType: ArtifactManifestType!, $includeUpload: Boolean!) {
  createArtifactManifest(input: {artifactID: $artifactID, baseArtifactID: $baseArtifactID,
    name: $name, digest: $digest, entityName: $entityName, projectName: $projectName,
    runName: $runName, type: $manifestType}) {
    artifactManifest { id file {
      id
      uploadUrl @include(if: $includeUpload)
      uploadHeaders @include(if: $includeUpload)
    } }
  }
}""",
)

UPDATE_ARTIFACT_MANIFEST = Operation(
    "UpdateArtifactManifest",
    """mutation UpdateArtifactManifest($artifactManifestID: ID!, $digest: String,
  $baseArtifactID: ID, $includeUpload: Boolean!) {
  updateArtifactManifest(input: {artifactManifestID: $artifactManifestID, digest: $digest,
    baseArtifactID: $baseArtifactID}) {
    artifactManifest { id file {
      id
      uploadUrl @include(if: $includeUpload)
      uploadHeaders @include(if: $includeUpload)
    } }
  }
}""",
)

CREATE_ARTIFACT_FILES = Operation(
    "CreateArtifactFiles",
    """mutation CreateArtifactFiles($input: CreateArtifactFilesInput!) {
  createArtifactFiles(input: $input) { files { edges { node {
    storagePath uploadUrl uploadHeaders
    uploadMultipartUrls { uploadID uploadUrlParts { partNumber uploadUrl } }
    artifact { id }
  } } } }
}""",
)

COMPLETE_MULTIPART = Operation(
    "CompleteMultipartUploadArtifact",
    """mutation CompleteMultipartUploadArtifact(
  $completeMultipartAction: CompleteMultipartAction!, $completedParts: [UploadPartsInput!]!,
  $artifactID: ID!, $storagePath: String!, $uploadID: String!) {
  completeMultipartUploadArtifact(input: {completeMultipartAction: $completeMultipartAction,
    completedParts: $completedParts, artifactID: $artifactID, storagePath: $storagePath,
    uploadID: $uploadID}) { digest }
}""",
)

COMMIT_ARTIFACT = Operation(
    "CommitArtifact",
    """mutation CommitArtifact($artifactID: ID!) {
  commitArtifact(input: {artifactID: $artifactID}) { artifact { id digest } }
}""",
)

USE_ARTIFACT = Operation(
    "UseArtifact",
    """mutation UseArtifact($input: UseArtifactInput!) {
  useArtifact(input: $input) { artifact { id } }
}""",
)

CLIENT_ID_MAPPING = Operation(
    "ClientIDMapping",
    "query ClientIDMapping($clientID: ID!) { clientIDMapping(clientID: $clientID) { serverID } }",
)

XXHASH_DIGESTS_ENABLED = Operation(
    "XXHashDigestsEnabled",
    """query XXHashDigestsEnabled($entityName: String!) {
  entity(name: $entityName) { xxhashDigestsEnabled }
}""",
)

FETCH_DIGEST_ALGORITHM = Operation(
    "FetchArtifactDigestAlgorithm",
    """query FetchArtifactDigestAlgorithm($entityName: String!, $projectName: String!,
  $artifactTypeName: String!, $artifactCollectionName: String!) {
  project(name: $projectName, entityName: $entityName) {
    artifactType(name: $artifactTypeName) {
      artifactCollection(name: $artifactCollectionName) {
        __typename ... on ArtifactSequence { digestAlgorithm }
      }
    }
  }
}""",
)
