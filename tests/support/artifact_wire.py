"""Artifacts over the wire, call by call, for tests of what a server keeps: a client of its own.

It speaks the protocol of the `wandb` package (whole files, one PUT each), so that a test can stop
between any two calls, and reads the figures over HTTP.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import httpx
    from tests.support.server import RunningServer

_CREATE = """mutation CreateArtifact($input: CreateArtifactInput!) { createArtifact(input: $input) {
  artifact { id state artifactSequence { latestArtifact { id versionIndex } } } } }"""
_MANIFEST = """mutation CreateArtifactManifest($input: CreateArtifactManifestInput!) {
  createArtifactManifest(input: $input) {
    artifactManifest { id file { id uploadUrl uploadHeaders } } } }"""
_FILES = """mutation CreateArtifactFiles($input: CreateArtifactFilesInput!) {
  createArtifactFiles(input: $input) { files { edges { node {
    uploadUrl uploadHeaders artifact { id } } } } } }"""
_COMMIT = """mutation CommitArtifact($input: ArtifactIdInput!) {
  commitArtifact(input: $input) { artifact { id digest versionIndex } } }"""
_DELETE = """mutation DeleteArtifact($input: DeleteArtifactInput!) {
  deleteArtifact(input: $input) { artifact { id } } }"""
_UPSERT = """mutation UpsertBucket($input: UpsertBucketInput!) { upsertBucket(input: $input) {
  bucket { id } } }"""

#: Contents by path; a text is where a reference leads.
Files = dict[str, "bytes | str"]


class Refused(Exception):
    """The server answered an operation with errors, or a transfer with a status."""


@dataclass
class Draft:
    """A version on its way."""

    id: str
    state: str
    files: Files
    manifest_digest: str = ""
    births: dict[str, str] = field(default_factory=dict[str, str])


class Artifacts:
    """One client of one server."""

    def __init__(self, server: RunningServer, project: str = "p") -> None:
        self._server = server
        self.project = project
        self.http: httpx.Client = server.client()

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    # --- the wire ----------------------------------------------------------------------------

    def graphql(self, query: str, variables: Mapping[str, Any]) -> Any:
        """Run an operation; return its `data`.

        Raises:
            Refused: it has errors.
        """
        body = {"query": query, "variables": variables}
        answer = self.http.post("/graphql", json=body)
        found = answer.json()
        if answer.status_code != 200 or found.get("errors"):
            raise Refused(f"{answer.status_code} {found}")
        return found["data"]

    def get(self, path: str) -> Any:
        """Return a JSON document."""
        return self._json(self.http.get(path))

    def post(self, path: str, body: Any) -> Any:
        """Return the JSON answer to a JSON body."""
        return self._json(self.http.post(path, json=body))

    def _json(self, answer: httpx.Response) -> Any:
        if answer.status_code != 200:
            raise Refused(f"{answer.status_code} {answer.text[:2000]}")
        return answer.json()

    def _put(self, file: Mapping[str, Any], body: bytes) -> None:
        headers = dict(line.split(":", 1) for line in file["uploadHeaders"] or ())
        answer = self.http.put(file["uploadUrl"], content=body, headers=headers)
        if answer.status_code not in (200, 201):
            raise Refused(f"{answer.status_code} {answer.text[:2000]}")

    # --- a version, step by step -------------------------------------------------------------

    def run(self, name: str) -> None:
        """Make a run."""
        given = {"name": name, "modelName": self.project, "entityName": "local"}
        self.graphql(_UPSERT, {"input": given})

    def create(self, collection: str, files: Files, run: str | None = None, **more: Any) -> Draft:
        """Get a version to fill."""
        given: dict[str, Any] = {
            "entityName": "local",
            "projectName": self.project,
            "artifactTypeName": "dataset",
            "artifactCollectionName": collection,
            "runName": run,
            "digest": logical_digest(files),
            "digestAlgorithm": "MANIFEST_MD5",
            "aliases": [{"artifactCollectionName": collection, "alias": "latest"}],
            "enableDigestDeduplication": True,
            "clientID": secrets.token_hex(64),
            "sequenceClientID": secrets.token_hex(64),
        }
        made = self.graphql(_CREATE, {"input": given | more})["createArtifact"]["artifact"]
        return Draft(made["id"], made["state"], files)

    def send_files(self, draft: Draft, run: str | None = None) -> None:
        """Send the bytes that the server does not have."""
        manifest = self._announce(draft, "", run)
        held = {path: body for path, body in draft.files.items() if isinstance(body, bytes)}
        asked = [
            {
                "artifactID": draft.id,
                "artifactManifestID": manifest["id"],
                "name": path,
                "md5": base64_md5(body),
                "digest": base64_md5(body),
            }
            for path, body in held.items()
        ]
        if not asked:
            return
        given = {"artifactFiles": asked, "storageLayout": "V2"}
        answer = self.graphql(_FILES, {"input": given})["createArtifactFiles"]["files"]
        for (path, body), edge in zip(held.items(), answer["edges"], strict=True):
            draft.births[path] = edge["node"]["artifact"]["id"]
            if edge["node"]["uploadUrl"]:
                self._put(edge["node"], body)

    def send_manifest(self, draft: Draft, run: str | None = None) -> None:
        """Send the manifest."""
        body = manifest_json(draft)
        draft.manifest_digest = base64_md5(body)
        self._put(self._announce(draft, draft.manifest_digest, run)["file"], body)

    def _announce(self, draft: Draft, digest: str, run: str | None) -> Any:
        given = {
            "artifactID": draft.id,
            "name": "wandb_manifest.json",
            "digest": digest,
            "entityName": "local",
            "projectName": self.project,
            "runName": run,
            "type": "FULL",
        }
        answer = self.graphql(_MANIFEST, {"input": given})
        return answer["createArtifactManifest"]["artifactManifest"]

    def commit(self, draft: Draft) -> int:
        """Commit; return the number of the version."""
        answer = self.graphql(_COMMIT, {"input": {"artifactID": draft.id}})
        return answer["commitArtifact"]["artifact"]["versionIndex"]

    def log(self, collection: str, files: Files, run: str | None = None, **more: Any) -> str:
        """Log a version; return its id."""
        draft = self.create(collection, files, run, **more)
        if draft.state == "PENDING":
            self.send_files(draft, run)
            self.send_manifest(draft, run)
            self.commit(draft)
        return draft.id

    def delete(self, version: str, delete_aliases: bool = True) -> None:
        """Delete a version."""
        self.graphql(_DELETE, {"input": {"artifactID": version, "deleteAliases": delete_aliases}})

    # --- what is kept ------------------------------------------------------------------------

    def usage(self, path: str = "") -> Any:
        """Return figures: of the server, or of `entity/project[/...]`."""
        return self.get(f"/api/v1/usage{'/' if path else ''}{path}")

    def fsck(self, *, verify: bool = False) -> Any:
        """Return what a check finds."""
        return self.get(f"/api/v1/fsck{'?verify=true' if verify else ''}")

    def dry_run(self, version: str) -> Any:
        """Return what deleting a version would free."""
        given = {"version": version, "delete_aliases": True}
        return self.post("/api/v1/usage/dry-run", given)

    def versions(self, collection: str) -> list[dict[str, Any]]:
        """Return the versions of a collection, as the server lists them."""
        query = """query ($entity: String!, $project: String!, $name: String!) {
          project(name: $project, entityName: $entity) { artifactCollection(name: $name) {
            artifacts(first: 1000) { edges { node { id versionIndex state size storageBytes } } }
          } } }"""
        names = {"entity": "local", "project": self.project, "name": collection}
        found = self.graphql(query, names)["project"]["artifactCollection"]
        return [edge["node"] for edge in found["artifacts"]["edges"]] if found else []


def base64_md5(body: bytes) -> str:
    """Return the digest of a file."""
    return base64.b64encode(hashlib.md5(body).digest()).decode()


def entry_digest(body: bytes | str) -> str:
    """Return the digest of an entry; that of a reference is its address."""
    return base64_md5(body) if isinstance(body, bytes) else body


def logical_digest(files: Files) -> str:
    """Return the digest of a version."""
    text = "".join(f"{path}:{entry_digest(files[path])}\n" for path in sorted(files))
    return hashlib.md5(f"wandb-artifact-manifest-v1\n{text}".encode()).hexdigest()


def manifest_json(draft: Draft) -> bytes:
    """Return the manifest of a version, as the `wandb` package writes it."""
    contents: dict[str, Any] = {}
    for path, body in sorted(draft.files.items()):
        entry: dict[str, Any] = {"digest": entry_digest(body)}
        if isinstance(body, str):
            entry |= {"ref": body, "size": 1_000_000_000}
        else:
            entry |= {"size": len(body), "birthArtifactID": draft.births.get(path)}
        contents[path] = entry
    manifest = {
        "version": 1,
        "storagePolicy": "wandb-storage-policy-v1",
        "storagePolicyConfig": {"storageLayout": "V2"},
        "contents": contents,
    }
    return json.dumps(manifest).encode()


def bytes_below(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
