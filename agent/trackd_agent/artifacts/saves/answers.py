"""What a server answers to the calls of a save; fields that are not read here are left out."""

from __future__ import annotations

import msgspec


class Id(msgspec.Struct):
    """An object of which only the id counts."""

    id: str


class CollectionOfVersion(msgspec.Struct, rename="camel"):
    """The collection of a version: its latest version before this one."""

    latest_artifact: Id | None = None


class MadeArtifact(msgspec.Struct, rename="camel"):
    """A version as `createArtifact` made or found it."""

    id: str
    state: str
    artifact_sequence: CollectionOfVersion | None = None


class CreatedArtifact(msgspec.Struct):
    """Answer to `createArtifact`."""

    artifact: MadeArtifact


class UploadAddress(msgspec.Struct, rename="camel"):
    """Where something goes, and what has to be said with it."""

    upload_url: str | None = None
    upload_headers: list[str] | None = None


class Manifest(msgspec.Struct):
    """A manifest that was announced."""

    id: str | None = None
    file: UploadAddress | None = None


class ManifestAnswer(msgspec.Struct, rename="camel"):
    """Answer to the announcement of a manifest."""

    artifact_manifest: Manifest | None = None


class PartAddress(msgspec.Struct, rename="camel"):
    """Where one part of a file goes."""

    part_number: int
    upload_url: str


class Multipart(msgspec.Struct, rename={"upload_id": "uploadID", "parts": "uploadUrlParts"}):
    """Where the parts of a file go."""

    upload_id: str
    parts: list[PartAddress]


class FileAddress(msgspec.Struct, rename="camel"):
    """Where one file goes; without `upload_url` the server has its bytes."""

    artifact: Id
    storage_path: str | None = None
    upload_url: str | None = None
    upload_headers: list[str] | None = None
    upload_multipart_urls: Multipart | None = None


class Edge(msgspec.Struct):
    """One file of a list."""

    node: FileAddress


class Edges(msgspec.Struct):
    """A list of files."""

    edges: list[Edge]


class CreatedFiles(msgspec.Struct):
    """Answer to `createArtifactFiles`."""

    files: Edges


class ClientIdMapping(msgspec.Struct, rename={"server_id": "serverID"}):
    """Answer to `clientIDMapping`."""

    server_id: str | None = None


class Entity(msgspec.Struct, rename={"enabled": "xxhashDigestsEnabled"}):
    """What an entity takes."""

    enabled: bool | None = None
