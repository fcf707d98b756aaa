"""What an artifact holds: one entry a file or reference, and the digest over all of them."""

from __future__ import annotations

import base64
import enum
import functools
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from trackd.artifacts.hashing import new_hasher
from trackd.artifacts.notices import warn
from trackd.artifacts.paths import LogicalPath, logical_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from concurrent.futures import Executor
    from typing import Self

    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.hashing import DigestAlgorithm

#: The only version of the form of manifests, and how contents are kept at servers.
FORM_VERSION, STORAGE_POLICY = 1, "wandb-storage-policy-v1"
_DIGEST_HEADER = b"wandb-artifact-manifest-v1\n"
#: Key and value in an entry's `extra` say that its digest is no MD5.
ALGORITHM_KEY = "alg"
#: Of references to entries of versions on the server; hex digits of the version's id follow.
ARTIFACT_SCHEME = "wandb-artifact://"


class ArtifactDigestAlgorithm(str, enum.Enum):  # noqa: UP042 - `str()` tells the class, too
    """By what the digests of an artifact were made, as the protocol calls it."""

    MANIFEST_MD5 = "MANIFEST_MD5"
    MANIFEST_XXH128 = "MANIFEST_XXH128"


@dataclass(slots=True, repr=False)
class ManifestEntry:
    """One file or reference.

    Attributes:
        path: inside the artifact, a `LogicalPath`; taken as it is, not brought into its one form.
        digest: of a file its hash in base64; of a reference whatever its store tells.
        size: bytes; None where a reference's store does not tell; default: of the local file.
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
    _parent: Artifact | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if type(self.path) is not LogicalPath:
            self.path = LogicalPath(self.path)
        if self.size is None and self.local_path is not None:
            self.size = os.stat(self.local_path).st_size  # noqa: PTH116 - one of many

    def __repr__(self) -> str:
        shown = {"path": str(self.path), **self.to_json()}
        if "birthArtifactID" in shown:
            shown["birth_artifact_id"] = shown.pop("birthArtifactID")
        if not self.extra:
            del shown["extra"]
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in shown.items())})"

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
        self,
        root: str | os.PathLike[str] | None = None,
        skip_cache: bool | None = None,
        executor: Executor | None = None,
    ) -> str:
        """Download this one file; return its path.

        Args:
            root: folder below which it is put; default: that of the artifact.
            skip_cache: neither read nor fill the cache of this machine.
            executor: accepted and not needed: the agent downloads.

        Raises:
            NotImplementedError: see `parent_artifact`.
            FileNotFoundError: a reference leads to nothing.
            ValueError: it cannot be read, or has other contents than it should.
            CommError: the server does not answer.
        """
        del executor
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


@dataclass(slots=True)
class StoragePolicy:
    """How a server keeps the files of an artifact.

    Attributes:
        layout: of the names of files, `V1` or `V2`; empty: not said.
        region: where they are; empty: where the server likes.
    """

    layout: str = "V2"
    region: str = ""

    @staticmethod
    def name() -> str:
        """Return the name of the only policy."""
        return STORAGE_POLICY

    def config(self) -> dict[str, str]:
        """Return what the manifest says of it."""
        shown = {"storageLayout": self.layout, "storageRegion": self.region}
        return {key: value for key, value in shown.items() if value}


#: Untyped: its methods are handed on as they are.
_plain: Any = dict


def _recounting(change: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(change)
    def changed(entries: Entries, *args: Any, **options: Any) -> Any:
        entries.folders = None
        return change(entries, *args, **options)

    return changed


class Entries(dict[str, ManifestEntry]):
    """Entries by path, in the order in which they were added.

    A script may change them here, too; then nothing is checked.
    """

    #: How many lie below each folder; None: not counted (any more).
    folders: Counter[str] | None = None

    __setitem__ = _recounting(_plain.__setitem__)
    __delitem__ = _recounting(_plain.__delitem__)
    __ior__ = _recounting(_plain.__ior__)
    clear = _recounting(_plain.clear)
    pop = _recounting(_plain.pop)
    popitem = _recounting(_plain.popitem)
    setdefault = _recounting(_plain.setdefault)
    update = _recounting(_plain.update)


class Manifest:
    """The entries of an artifact by path.

    Args:
        algorithm: of the digests of files, and of the one over all entries.
        storage_region: where the server is to keep the files; empty: where it likes.
    """

    def __init__(self, algorithm: DigestAlgorithm = "MD5", storage_region: str = "") -> None:
        self.algorithm: DigestAlgorithm = algorithm
        self.storage_policy = StoragePolicy(region=storage_region)
        #: By path, in the order in which they were added.
        self.entries = Entries()

    def __len__(self) -> int:
        return len(self.entries)

    @classmethod
    def from_manifest_json(
        cls,
        manifest_json: Mapping[str, Any],
        digest_algorithm: str = ArtifactDigestAlgorithm.MANIFEST_MD5,
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
        made = cls("XXH128" if digest_algorithm == "MANIFEST_XXH128" else "MD5")
        made.storage_policy = read.policy
        made.fill(ManifestEntry(path, **facts) for path, facts in read.entries.items())
        return made

    @staticmethod
    def version() -> int:
        """Return the version of the form in which servers keep manifests."""
        return FORM_VERSION

    @property
    def manifest_version(self) -> int:
        """The version of the form in which servers keep manifests."""
        return FORM_VERSION

    @property
    def digest_algorithm(self) -> ArtifactDigestAlgorithm:
        """By what the digests were made, as the protocol calls it."""
        return ArtifactDigestAlgorithm(f"MANIFEST_{self.algorithm}")

    @property
    def _folders(self) -> Counter[str]:
        """How many entries lie below each folder: counted once somebody wants to change them."""
        if self.entries.folders is None:
            self.entries.folders = Counter(
                folder for path in self.entries for folder in _folders(path)
            )
        return self.entries.folders

    def fill(self, entries: Iterable[ManifestEntry]) -> None:
        """Take over entries of a server, which are not checked against each other."""
        self.entries.update((entry.path, entry) for entry in entries)

    def check(self, entry: ManifestEntry, *, overwrite: bool = False) -> None:
        """Tell whether an entry may be added.

        Raises:
            ValueError: its path has other contents already, is a folder, or lies below a file.
        """
        old = self.entries.get(entry.path)
        if old is not None:
            if old.digest != entry.digest and not overwrite:
                raise ValueError(
                    f"path {entry.path!r} is in the artifact already, with other contents: use "
                    "another name, or overwrite=True (add_dir: merge=True)"
                )
            return
        if entry.path in self._folders:
            raise ValueError(f"path {entry.path!r} is a folder of the artifact: use another name")
        below = next((folder for folder in _folders(entry.path) if folder in self.entries), None)
        if below is not None:
            raise ValueError(f"path {entry.path!r}: {below!r} is a file of the artifact already")

    def add_entry(self, entry: ManifestEntry, overwrite: bool = False) -> None:
        """Add an entry, or put it in the place of the one that has its path.

        Raises:
            ValueError: see `check`, or its path is no place inside an artifact.
        """
        path = entry.path = logical_path(entry.path)
        self.check(entry, overwrite=overwrite)
        if path not in self.entries:
            folders = self._folders
            for folder in _folders(path):
                folders[folder] += 1
        _plain.__setitem__(self.entries, path, entry)  # the count stays right

    def remove_entry(self, entry: ManifestEntry) -> None:
        """Remove the entry that has this one's path.

        Raises:
            FileNotFoundError: there is none.
        """
        folders = self._folders
        if _plain.pop(self.entries, entry.path, None) is None:
            raise FileNotFoundError(f"{entry.path!r} is not in the artifact")
        for folder in _folders(entry.path):
            folders[folder] -= 1
            if not folders[folder]:
                del folders[folder]

    def get_entry_by_path(self, path: str) -> ManifestEntry | None:
        """Return the entry at a path, or None."""
        return self.entries.get(path)

    def get_entries_in_directory(self, directory: str) -> list[ManifestEntry]:
        """Return the entries below a folder."""
        if directory not in self._folders:
            return []
        prefix = f"{directory}/"
        return [entry for path, entry in self.entries.items() if path.startswith(prefix)]

    def digest(self) -> str:
        """Return the hex digest over paths and digests; equal contents have equal digests."""
        hasher = new_hasher(self.algorithm)
        hasher.update(_DIGEST_HEADER)
        for path in sorted(self.entries):
            hasher.update((path + ":" + self.entries[path].digest + "\n").encode())
        return hasher.hexdigest()

    def size(self) -> int:
        """Return the bytes of all entries, references included."""
        return sum(entry.size or 0 for entry in self.entries.values())

    def to_manifest_json(self) -> dict[str, Any]:
        """Return the manifest as the server keeps it."""
        return {
            "version": FORM_VERSION,
            "storagePolicy": self.storage_policy.name(),
            "storagePolicyConfig": self.storage_policy.config(),
            "contents": {path: entry.to_manifest_json() for path, entry in self.entries.items()},
        }


def _folders(path: str) -> Iterator[str]:
    """Yield the folders above a path, from the innermost."""
    end = path.rfind("/")
    while end > 0:
        yield path[:end]
        end = path.rfind("/", 0, end)
