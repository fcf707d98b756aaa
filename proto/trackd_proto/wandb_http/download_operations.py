"""GraphQL operations of the W&B protocol with which the agent reads artifacts.

Shapes as `wandb` 0.31 sends them, so that any server that serves that client serves us.
"""

from __future__ import annotations

from trackd_proto.wandb_http.operations import Operation

FETCH_MANIFEST = Operation(
    "FetchArtifactManifest",
    """query FetchArtifactManifest($id: ID!) {
  artifact(id: $id) { currentManifest { file { directUrl } } }
}""",
)

OWN_LISTING = Operation(
    "ArtifactByID",
    """query ArtifactByID($id: ID!) {
  artifact(id: $id) { id versionIndex
    artifactSequence { name project { name entity { name } } } }
}""",
)

FILE_ADDRESSES = Operation(
    "GetArtifactMembershipFileUrls",
    """query GetArtifactMembershipFileUrls($entity: String!, $project: String!,
  $collection: String!, $alias: String!, $cursor: String, $perPage: Int) {
  project(name: $project, entityName: $entity) {
    artifactCollection(name: $collection) { __typename
      artifactMembership(aliasName: $alias) {
        files(after: $cursor, first: $perPage) {
          pageInfo { __typename endCursor hasNextPage }
          edges { node { __typename name directUrl } }
        }
      }
    }
  }
}""",
)

NAMED_FILES = Operation(
    "ArtifactMembershipFiles",
    """query ArtifactMembershipFiles($entity: String!, $project: String!, $collection: String!,
  $alias: String!, $fileNames: [String!], $cursor: String, $perPage: Int = 50) {
  project(name: $project, entityName: $entity) {
    artifactCollection(name: $collection) { __typename
      artifactMembership(aliasName: $alias) {
        files(names: $fileNames, after: $cursor, first: $perPage) {
          pageInfo { __typename endCursor hasNextPage }
          edges { node { __typename name: displayName directUrl } }
        }
      }
    }
  }
}""",
)
