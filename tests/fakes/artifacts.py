"""The artifact part of the W&B server in `wandb_server`, and the chunk protocol of ours.

Answers have the shapes of the captures of client 0.31.0. What counts as a second version, as a
byte that was sent twice, or as a file without its bytes can be read from the state.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import JSONResponse, PlainTextResponse, Response

from trackd_proto import chunks as protocol

if TYPE_CHECKING:
    from starlette.requests import Request


@dataclass
class Version:
    """One version of a collection."""

    id: str
    name: str
    input: dict[str, Any]
    state: str = "PENDING"
    manifests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    #: Digests (base64) of files that the version may count on.
    held: set[str] = field(default_factory=set[str])

    @property
    def contents(self) -> dict[str, dict[str, Any]]:
        """Entries of all manifests that arrived, by path."""
        found: dict[str, dict[str, Any]] = {}
        for manifest in self.manifests:
            found |= manifest.get("json", {"contents": {}})["contents"]
        return found


@dataclass
class FakeArtifacts:
    """All artifacts of the server."""

    versions: list[Version] = field(default_factory=list[Version])
    by_client_id: dict[str, Version] = field(default_factory=dict[str, Version])
    #: Bytes by digest in base64.
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    chunk_bytes: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    received_bytes: int = 0
    calls: list[str] = field(default_factory=list[str])
    uses: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    takes_xxh128: bool = False
    #: From this size on files are taken in parts.
    multipart: bool = False
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict[str, dict[int, bytes]])
    #: Addresses handed out so far; those up to `expired` do not hold any more.
    tokens: int = 0
    expired: int = 0
    _tokens: dict[str, tuple[str, Any]] = field(default_factory=dict[str, tuple[str, Any]])

    def committed(self, name: str) -> list[Version]:
        """Return the committed versions of a collection."""
        return [v for v in self.versions if v.name == name and v.state == "COMMITTED"]

    def content(self, version: Version, path: str) -> bytes:
        """Return what a file of a version holds; fails where the server lacks the bytes."""
        return self.files[version.contents[path]["digest"]]

    def answer(self, name: str, variables: dict[str, Any], base: str) -> dict[str, Any] | None:
        """Return the data of an operation; None: it is none of these."""
        method = getattr(self, f"_{name}", None)
        if method is None:
            return None
        self.calls.append(name)
        return method(variables, base)

    # -- operations ------------------------------------------------------------------------

    def _CreateArtifact(self, variables: dict[str, Any], _base: str) -> dict[str, Any]:
        wanted = variables["input"]
        name = wanted["artifactCollectionName"]
        latest = next(iter(reversed(self.committed(name))), None)
        version = self.by_client_id.get(wanted["clientID"]) or self._distributed(wanted)
        if version is None and latest and latest.input["digest"] == wanted["digest"]:
            version = latest
        if version is None:
            raw = base64.b64encode(f"Artifact:{len(self.versions) + 1}".encode()).decode()
            version = Version(raw, name, wanted)
            self.versions.append(version)
        self.by_client_id[wanted["clientID"]] = version
        before = {"latestArtifact": {"id": latest.id} if latest else None}
        artifact = {"id": version.id, "state": version.state, "artifactSequence": before}
        return {"createArtifact": {"artifact": artifact}}

    def _distributed(self, wanted: dict[str, Any]) -> Version | None:
        shared = wanted["distributedID"]
        pending = [v for v in self.versions if v.state == "PENDING" and shared]
        return next((v for v in pending if v.input["distributedID"] == shared), None)

    def _CreateArtifactManifest(self, variables: dict[str, Any], base: str) -> dict[str, Any]:
        version = self._version(variables["artifactID"])
        manifest = {"id": f"manifest-{version.id}-{len(version.manifests)}", **variables}
        if variables["manifestType"] == "FULL":
            version.manifests.clear()
        version.manifests.append(manifest)
        return {"createArtifactManifest": {"artifactManifest": self._upload_of(manifest, base)}}

    def _UpdateArtifactManifest(self, variables: dict[str, Any], base: str) -> dict[str, Any]:
        wanted = variables["artifactManifestID"]
        manifest = next(m for v in self.versions for m in v.manifests if m["id"] == wanted)
        manifest |= {"digest": variables["digest"], "includeUpload": True}
        return {"updateArtifactManifest": {"artifactManifest": self._upload_of(manifest, base)}}

    def _upload_of(self, manifest: dict[str, Any], base: str) -> dict[str, Any]:
        file: dict[str, Any] = {"id": "f"}
        if manifest["includeUpload"]:
            file["uploadUrl"] = self._url(base, "manifest", manifest)
            file["uploadHeaders"] = [f"Content-MD5:{manifest['digest']}"]
        return {"id": manifest["id"], "file": file}

    def _CreateArtifactFiles(self, variables: dict[str, Any], base: str) -> dict[str, Any]:
        edges: list[dict[str, Any]] = []
        for file in variables["input"]["artifactFiles"]:
            version, digest = self._version(file["artifactID"]), file["digest"]
            node: dict[str, Any] = {
                "storagePath": f"/files/{digest}",
                "uploadUrl": None,
                "uploadHeaders": None,
                "uploadMultipartUrls": None,
                "artifact": {"id": version.id},
            }
            version.held.add(digest)
            if digest not in self.files:
                node["uploadUrl"] = self._url(base, "file", digest)
                node["uploadHeaders"] = [
                    f"Content-MD5:{digest}",
                    "Content-Type:application/octet-stream",
                ]
                if self.multipart and file["uploadPartsInput"]:
                    node["uploadMultipartUrls"] = self._multipart(file, base)
            edges.append({"node": node})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _multipart(self, file: dict[str, Any], base: str) -> dict[str, Any]:
        upload = f"upload-{len(self.parts)}"
        self.parts[upload] = {}
        parts = [
            {
                "partNumber": part["partNumber"],
                "uploadUrl": self._url(base, "part", (upload, part["partNumber"])),
            }
            for part in file["uploadPartsInput"]
        ]
        return {"uploadID": upload, "uploadUrlParts": parts}

    def _CompleteMultipartUploadArtifact(
        self, variables: dict[str, Any], _base: str
    ) -> dict[str, Any]:
        parts = self.parts[variables["uploadID"]]
        told = {p["partNumber"]: p["hexMD5"] for p in variables["completedParts"]}
        assert told == {n: hashlib.md5(data).hexdigest() for n, data in parts.items()}
        data = b"".join(parts[n] for n in sorted(parts))
        digest = base64.b64encode(hashlib.md5(data).digest()).decode()
        assert variables["storagePath"] == f"/files/{digest}"
        self.files[digest] = data
        return {"completeMultipartUploadArtifact": {"digest": digest}}

    def _CommitArtifact(self, variables: dict[str, Any], _base: str) -> dict[str, Any]:
        version = self._version(variables["artifactID"])
        for path, entry in version.contents.items():
            stored = entry.get("ref") or entry.get("digest") in self.files
            assert stored or entry.get("birthArtifactID"), f"{path}: the server has no bytes"
        version.state = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": version.id, "digest": "d"}}}

    def _UseArtifact(self, variables: dict[str, Any], _base: str) -> dict[str, Any]:
        self.uses.append(variables["input"])
        return {"useArtifact": {"artifact": {"id": variables["input"]["artifactID"]}}}

    def _ClientIDMapping(self, variables: dict[str, Any], _base: str) -> dict[str, Any]:
        version = self.by_client_id.get(variables["clientID"])
        return {"clientIDMapping": {"serverID": version.id if version else None}}

    def _XXHashDigestsEnabled(self, _variables: dict[str, Any], _base: str) -> dict[str, Any]:
        return {"entity": {"xxhashDigestsEnabled": self.takes_xxh128}}

    def _FetchArtifactDigestAlgorithm(
        self, _variables: dict[str, Any], _base: str
    ) -> dict[str, Any]:
        return {"project": {"artifactType": None}}

    def _version(self, artifact_id: str) -> Version:
        return next(version for version in self.versions if version.id == artifact_id)

    def _url(self, base: str, kind: str, what: Any) -> str:
        self.tokens += 1
        self._tokens[str(self.tokens)] = (kind, what)
        return f"{base}/artifact/{self.tokens}"

    # -- bytes -----------------------------------------------------------------------------

    async def put(self, request: Request) -> Response:
        """Take a file, a part or a manifest."""
        data = await request.body()
        self.received_bytes += len(data)
        assert "authorization" not in request.headers
        token = request.path_params["token"]
        if int(token) <= self.expired:
            return PlainTextResponse("this address has expired", 403)
        md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
        if request.headers["content-md5"] != md5:
            return PlainTextResponse("other bytes than announced", 400)
        kind, what = self._tokens[token]
        if kind == "file":
            self.files[what] = data
        elif kind == "part":
            self.parts[what[0]][what[1]] = data
            return Response(headers={"ETag": f'"{hashlib.md5(data).hexdigest()}"'})
        else:
            what["json"] = json.loads(data)
        return Response()

    async def chunks(self, request: Request) -> Response:
        """Speak the chunk protocol."""
        raw, what = await request.body(), request.path_params["what"]
        version = self._version(request.path_params["id"])
        if version.state != "PENDING":
            return JSONResponse({"errors": [{"message": "it is committed"}]}, 409)
        self.calls.append(what)
        if what == "packs":
            return _packed({"stored": self._take_pack(raw)})
        body = msgspec.msgpack.decode(raw)
        if what == "known":
            digests = [base64.b64encode(file[2]).decode() for file in body["files"]]
            return _packed({"stored": [digest in self.files for digest in digests]})
        if what == "missing":
            names = protocol.split_names(body["chunks"])
            missing = [n for n, name in enumerate(names) if name not in self.chunk_bytes]
            return _packed({"missing": missing})
        return _packed({"missing": self._assemble(body["files"])})

    def _take_pack(self, raw: bytes) -> int:
        size = protocol.header_bytes(raw[:8])
        at = size
        for entry in protocol.parse_header(raw[:size]):
            data = raw[at : at + entry.length]
            assert protocol.chunk_name(data) == entry.name
            self.chunk_bytes[entry.name] = data
            at += entry.length
        assert at == len(raw)
        self.received_bytes += len(raw)
        return 1

    def _assemble(self, files: list[Any]) -> list[bytes]:
        lost: list[bytes] = []
        for _path, algorithm, digest, size, row in files:
            names = protocol.split_names(row)
            missing = [name for name in names if name not in self.chunk_bytes]
            lost += missing
            if not missing:
                data = b"".join(self.chunk_bytes[name] for name in names)
                assert len(data) == size
                assert algorithm != "MD5" or hashlib.md5(data).digest() == digest
                self.files[base64.b64encode(digest).decode()] = data
        return lost


def _packed(value: Any) -> Response:
    return Response(msgspec.msgpack.encode(value), media_type="application/msgpack")
