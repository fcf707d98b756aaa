"""What an artifact holds: one entry a file or reference, and the digest over all of them."""

from __future__ import annotations

import base64
import enum
from collections import Counter
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from trackd.artifacts.hashing import new_hasher
from trackd.artifacts.notices import warn

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Self

    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.hashing import DigestAlgorithm

#: The only version of the form of manifests, and how contents are kept at servers.
FORM_VERSION, STORAGE_POLICY = 1, "wandb-storage-policy-v1"
_LAYOUT = "V2"
_DIGEST_HEADER = b"wandb-artifact-manifest-v1\n"
#: Key and value in an entry's `extra` say that its digest is no MD5.
ALGORITHM_KEY = "alg"
#: Of references to entries of versions on the server; hex digits of the version's id follow.
ARTIFACT_SCHEME = "wandb-artifact://"


class ArtifactDigestAlgorithm(str, enum.Enum):  # noqa: UP042 - `str()` tells the class, too
    """By what the digests of an artifact were made, as the protocol calls it."""

    MANIFEST_MD5 = "MANIFEST_MD5"
    MANIFEST_XXH128 = "MANIFEST_XXH128"


@dataclass(slots=True)
class ManifestEntry:
    """One file or reference.

    Attributes:
        path: inside the artifact.
        digest: of a file its hash in base64; of a reference whatever its store tells.
        size: bytes; None where a reference's store does not tell.
        ref: where the bytes are, for references.
        local_path: where the bytes of a file lie on this machine.
        extra: facts about a reference, or the algorithm of a digest that is no MD5.
        skip_cache: keep no copy in the cache of this machine after the upload.
        birth_artifact_id: version that brought the bytes to the server; None: none did yet.
    """

    path: str
    digest: str
    size: int | None = None
    ref: str | None = None
    local_path: str | None = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    skip_cache: bool = False
    birth_artifact_id: str | None = None
    #: The artifact on a server from which the entry was got.
    _parent: Artifact | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The path, under its old name."""
        warn("ManifestEntry.name is deprecated: use path")
        return self.path

    def of(self, artifact: Artifact) -> Self:
        """Note from which artifact the entry was got; return the entry."""
        self._parent = artifact
        return self

    def as_kept(self, version: str | None) -> ManifestEntry:
        """Return the entry for a changed copy of a version, whose bytes the server has."""
        birth = self.birth_artifact_id or (version if self.ref is None else None)
        extra = dict(self.extra)
        return replace(self, extra=extra, birth_artifact_id=birth, _parent=None)

    def parent_artifact(self) -> Artifact:
        """Return the artifact from which the entry was got.

        Raises:
            NotImplementedError: it was not got from one on a server, with `get_entry`.
        """
        if self._parent is None:
            raise NotImplementedError(
                f"entry {self.path!r} is of no artifact on a server: use Artifact.get_entry"
            )
        return self._parent

    def digest_algorithm(self) -> ArtifactDigestAlgorithm:
        """Return by what the digest of a file was made."""
        return ArtifactDigestAlgorithm(f"MANIFEST_{self.file_algorithm}")

    @property
    def file_algorithm(self) -> DigestAlgorithm:
        """By what the digest of a file was made."""
        return "XXH128" if self.extra.get(ALGORITHM_KEY) == "XXH128" else "MD5"

    def download(
        self, root: str | os.PathLike[str] | None = None, skip_cache: bool | None = None
    ) -> str:
        """Download this one file; return its path.

        Args:
            root: folder below which it is put; default: that of the artifact.
            skip_cache: neither read nor fill the cache of this machine.

        Raises:
            NotImplementedError: see `parent_artifact`.
            FileNotFoundError: a reference leads to nothing.
            ValueError: it cannot be read, or has other contents than it should.
            CommError: the server does not answer.
        """
        from trackd.artifacts.online import downloads  # which knows this class

        return downloads.download_entry(self.parent_artifact(), self, root, skip_cache)

    def ref_target(self) -> str:
        """Return where a reference leads; one into another artifact: where that one leads.

        Raises:
            ValueError: the entry is a file.
        """
        if self.ref is None:
            raise ValueError(f"entry {self.path!r} is a file: only references have a target")
        if self._parent is None or not self.ref.startswith(ARTIFACT_SCHEME):
            return self.ref
        from trackd.artifacts import crossing  # which knows this class

        return crossing.entry_of_uri(self._parent.remote, self.ref).ref_target()

    def ref_url(self) -> str:
        """Return an address of this entry, for `add_reference` of another artifact.

        Raises:
            NotImplementedError: see `parent_artifact`.
        """
        version = base64.b64decode(self.parent_artifact().id or "").hex()
        return f"{ARTIFACT_SCHEME}{version}/{self.path}"

    def to_json(self) -> dict[str, Any]:
        """Return all that is known of the entry, by name; what is None is left out."""
        shown = {
            "path": self.path,
            **self.to_manifest_json(),
            "extra": self.extra,
            "local_path": self.local_path,
            "skip_cache": self.skip_cache,
        }
        return {key: value for key, value in shown.items() if value is not None}

    def to_manifest_json(self) -> dict[str, Any]:
        """Return the entry as the manifest on the server has it."""
        shown: dict[str, Any] = {
            "digest": self.digest,
            "ref": self.ref,
            "size": self.size,
            "birthArtifactID": self.birth_artifact_id,
            "extra": self.extra or None,
        }
        return {key: value for key, value in shown.items() if value is not None}


class Manifest:
    """The entries of an artifact by path.

    Args:
        digest_algorithm: of files and of the manifest itself.
        storage_region: where the server is to keep the files; empty: where it likes.
    """

    def __init__(self, digest_algorithm: DigestAlgorithm = "MD5", storage_region: str = "") -> None:
        self.digest_algorithm: DigestAlgorithm = digest_algorithm
        self.storage_region = storage_region
        self.storage_layout = _LAYOUT
        self._entries: dict[str, ManifestEntry] = {}
        #: How many entries lie below each folder; None: not counted yet.
        self._counted: Counter[str] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    @classmethod
    def from_manifest_json(
        cls, manifest_json: Mapping[str, Any], digest_algorithm: str = "MANIFEST_MD5"
    ) -> Manifest:
        """Return a manifest from the form in which servers keep it.

        Args:
            manifest_json: as `to_manifest_json` returns it; what else is in it is left out.
            digest_algorithm: by what the digest over all entries is made.

        Raises:
            ValueError: it is of another version, or something in it is missing or wrong.
        """
        from trackd.artifacts import manifest_json as form  # only scripts read manifests so

        read = form.read(manifest_json)
        made = cls("XXH128" if digest_algorithm == "MANIFEST_XXH128" else "MD5", read.region)
        made.storage_layout = read.layout
        made.fill(ManifestEntry(path, **facts) for path, facts in read.entries.items())
        return made

    @staticmethod
    def version() -> int:
        """Return the version of the form in which servers keep manifests."""
        return FORM_VERSION

    @property
    def entries(self) -> Mapping[str, ManifestEntry]:
        """Entries by path, in the order in which they were added; cannot be changed."""
        return MappingProxyType(self._entries)

    @property
    def _folders(self) -> Counter[str]:
        """How many entries lie below each folder: counted once somebody wants to change them."""
        if self._counted is None:
            self._counted = Counter(folder for path in self._entries for folder in _folders(path))
        return self._counted

    def fill(self, entries: Iterable[ManifestEntry]) -> None:
        """Take over entries of a server, which are not checked against each other."""
        self._entries.update((entry.path, entry) for entry in entries)
        self._counted = None

    def check(self, entry: ManifestEntry, *, overwrite: bool = False) -> None:
        """Tell whether an entry may be added.

        Raises:
            ValueError: its path has other contents already, is a folder, or lies below a file.
        """
        old = self._entries.get(entry.path)
        if old is not None:
            if old.digest != entry.digest and not overwrite:
                raise ValueError(
                    f"path {entry.path!r} is in the artifact already, with other contents: use "
                    "another name, or overwrite=True (add_dir: merge=True)"
                )
            return
        if entry.path in self._folders:
            raise ValueError(f"path {entry.path!r} is a folder of the artifact: use another name")
        below = next((folder for folder in _folders(entry.path) if folder in self._entries), None)
        if below is not None:
            raise ValueError(f"path {entry.path!r}: {below!r} is a file of the artifact already")

    def add_entry(self, entry: ManifestEntry, *, overwrite: bool = False) -> None:
        """Add an entry, or put it in the place of the one that has its path.

        Raises:
            ValueError: see `check`.
        """
        self.check(entry, overwrite=overwrite)
        if entry.path not in self._entries:
            self._folders.update(_folders(entry.path))
        self._entries[entry.path] = entry

    def remove_entry(self, entry: ManifestEntry) -> None:
        """Remove the entry that has this one's path.

        Raises:
            FileNotFoundError: there is none.
        """
        if self._entries.pop(entry.path, None) is None:
            raise FileNotFoundError(f"{entry.path!r} is not in the artifact")
        for folder in _folders(entry.path):
            self._folders[folder] -= 1
            if not self._folders[folder]:
                del self._folders[folder]

    def get_entry_by_path(self, path: str) -> ManifestEntry | None:
        """Return the entry at a path, or None."""
        return self._entries.get(path)

    def get_entries_in_directory(self, directory: str) -> list[ManifestEntry]:
        """Return the entries below a folder."""
        if directory not in self._folders:
            return []
        prefix = f"{directory}/"
        return [entry for path, entry in self._entries.items() if path.startswith(prefix)]

    def digest(self) -> str:
        """Return the hex digest over paths and digests; equal contents have equal digests."""
        hasher = new_hasher(self.digest_algorithm)
        hasher.update(_DIGEST_HEADER)
        for path in sorted(self._entries):
            hasher.update(f"{path}:{self._entries[path].digest}\n".encode())
        return hasher.hexdigest()

    def size(self) -> int:
        """Return the bytes of all entries, references included."""
        return sum(entry.size or 0 for entry in self._entries.values())

    def to_manifest_json(self) -> dict[str, Any]:
        """Return the manifest as the server keeps it."""
        config = {"storageLayout": self.storage_layout} if self.storage_layout else {}
        if self.storage_region:
            config["storageRegion"] = self.storage_region
        return {
            "version": FORM_VERSION,
            "storagePolicy": STORAGE_POLICY,
            "storagePolicyConfig": config,
            "contents": {path: entry.to_manifest_json() for path, entry in self._entries.items()},
        }


def _folders(path: str) -> Iterator[str]:
    """Yield the folders above a path, from the innermost."""
    end = path.rfind("/")
    while end > 0:
        yield path[:end]
        end = path.rfind("/", 0, end)
