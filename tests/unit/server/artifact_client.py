"""Logs artifacts over the W&B protocol, step by step, for tests of each step."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx
    from tests.unit.server.serving import Serving

CREATE = """mutation CreateArtifact($input: CreateArtifactInput!) { createArtifact(input: $input) {
  artifact { id state artifactSequence { latestArtifact { id } } } } }"""
ANNOUNCE = """mutation CreateArtifactManifest($input: CreateArtifactManifestInput!) {
  createArtifactManifest(input: $input) {
    artifactManifest { id file { id uploadUrl uploadHeaders } } } }"""
FILES = """mutation CreateArtifactFiles($input: CreateArtifactFilesInput!) {
  createArtifactFiles(input: $input) { files { edges { node {
    storagePath uploadUrl uploadHeaders artifact { id }
    uploadMultipartUrls { uploadID uploadUrlParts { partNumber uploadUrl } } } } } } }"""
COMMIT = """mutation CommitArtifact($id: ID!) {
  commitArtifact(input: {artifactID: $id}) { artifact { id digest } } }"""
DELETE = """mutation DeleteArtifact($input: DeleteArtifactInput!) {
  result: deleteArtifact(input: $input) { artifact { id } } }"""
_numbers = itertools.count()


def base64_md5(data: bytes) -> str:
    """Return a file's digest as clients write it."""
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def entry(data: bytes, **more: Any) -> dict[str, Any]:
    """Return a file's entry of a manifest."""
    return {"digest": base64_md5(data), "size": len(data), **more}


@dataclass
class Logger:
    """Logs to the collection `name` of project p."""

    server: Serving
    name: str = "a"

    def create(self, digest: str | None = None, **more: Any) -> dict[str, Any]:
        """Ask for a version; return the artifact of the answer."""
        given = {
            "projectName": "p",
            "artifactTypeName": "data",
            "artifactCollectionName": self.name,
            "digest": digest or f"made-up-{next(_numbers)}",
            "aliases": [{"artifactCollectionName": self.name, "alias": "latest"}],
            **more,
        }
        return self.server.graphql(CREATE, {"input": given})["createArtifact"]["artifact"]

    def announce(self, artifact: str, kind: str = "FULL", base: str | None = None) -> str:
        """Announce a manifest; return where to put it."""
        given = {
            "artifactID": artifact,
            "name": "wandb_manifest.json",
            "digest": "",
            "type": kind,
            "baseArtifactID": base,
        }
        made = self.server.graphql(ANNOUNCE, {"input": given})["createArtifactManifest"]
        return made["artifactManifest"]["file"]["uploadUrl"]

    def targets(self, artifact: str, *files: bytes) -> list[dict[str, Any]]:
        """Announce files; return what the server says to each."""
        given = [{"artifactID": artifact, "name": "f", "md5": base64_md5(data)} for data in files]
        made = self.server.graphql(FILES, {"input": {"artifactFiles": given}})
        return [edge["node"] for edge in made["createArtifactFiles"]["files"]["edges"]]

    def upload(self, artifact: str, *files: bytes) -> int:
        """Upload files that are not there; return how many."""
        missing = 0
        for data, target in zip(files, self.targets(artifact, *files), strict=True):
            if target["uploadUrl"] is not None:
                assert self.put(target["uploadUrl"], data).status_code == 200
                missing += 1
        return missing

    def put(self, url: str, data: bytes, **headers: str) -> httpx.Response:
        """PUT without the API key."""
        return self.server.http.put(url, content=data, headers={"authorization": "", **headers})

    def put_manifest(self, url: str, contents: dict[str, Any]) -> httpx.Response:
        """PUT a manifest of these entries."""
        return self.put(url, json.dumps({"version": 1, "contents": contents}).encode())

    def commit(self, artifact: str) -> dict[str, Any]:
        """Commit; return the artifact of the answer."""
        return self.server.graphql(COMMIT, {"id": artifact})["commitArtifact"]["artifact"]

    def log(self, files: dict[str, bytes], digest: str | None = None, **more: Any) -> str:
        """Log a version whole; return its id."""
        artifact = self.create(digest, **more)
        if artifact["state"] == "COMMITTED":
            return artifact["id"]
        self.upload(artifact["id"], *files.values())
        url = self.announce(artifact["id"])
        answer = self.put_manifest(url, {path: entry(data) for path, data in files.items()})
        assert answer.status_code == 200, answer.text
        self.commit(artifact["id"])
        return artifact["id"]

    def delete(self, artifact: str, *, aliases: bool = True) -> httpx.Response:
        """Delete a version; return the answer."""
        given = {"artifactID": artifact, "deleteAliases": aliases}
        return self.server.post_graphql(DELETE, {"input": given})

    def read(self, artifact: str, fields: str) -> Any:
        """Return fields of a version; None if it is not there."""
        query = f"query A($id: ID!) {{ artifact(id: $id) {{ {fields} }} }}"
        return self.server.graphql(query, {"id": artifact})["artifact"]

    def named(self, alias: str, fields: str = "id versionIndex") -> Any:
        """Return fields of the version under an alias; None if there is none."""
        query = 'query A($name: String!) { project(name: "p") { artifact(name: $name) { %s } } }'
        answer = self.server.graphql(query % fields, {"name": f"{self.name}:{alias}"})
        return answer["project"]["artifact"]

    def manifest(self, artifact: str) -> dict[str, Any]:
        """Download a version's manifest; return its contents."""
        found = self.read(artifact, "currentManifest { file { directUrl } }")
        url = found["currentManifest"]["file"]["directUrl"]
        answer = self.server.http.get(url, headers={"authorization": ""})
        assert answer.status_code == 200, answer.text
        return answer.json()["contents"]
