"""`Artifact`: a named set of files and references, built here and then logged by a run."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, NoReturn

from trackd.artifacts import rules
from trackd.artifacts.errors import ArtifactFinalizedError
from trackd.artifacts.facts import ArtifactFacts, new_manifest
from trackd.artifacts.hashing import FileDigest, copy_and_digest, digest_file, hex_of
from trackd.artifacts.manifest import ALGORITHM_KEY, ManifestEntry
from trackd.artifacts.member import ArtifactMember, ArtifactTarget, with_suffix
from trackd.artifacts.notices import warn
from trackd.artifacts.paths import logical_path
from trackd.artifacts.records import record_of
from trackd.artifacts.references import DEFAULT_MAX_OBJECTS, Reference, entries_of
from trackd.artifacts.staging import Staging
from trackd.artifacts.walking import files_below
from trackd.errors import CommError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from typing import Self

    from trackd.artifacts.hashing import DigestAlgorithm
    from trackd_proto.records import ArtifactLogged

POLICIES = ("mutable", "immutable")
_COPY_THREADS = 8
_HASH_CHARACTERS = 20
_TABLES_FOLDER = "media/tables"
_READ_ONLY = 0o400


class Artifact(ArtifactFacts):
    """A named set of files and references that a run logs as one version.

    Args:
        name: letters, digits, `_`, `-` and `.`, at most 128.
        type: kind of artifact, such as `dataset` or `model`.
        description: free text.
        metadata: facts about the contents, at most 100 keys at the top.
        incremental: what is added comes on top of the latest version.
        use_as: accepted and ignored.
        storage_region: where the server is to keep the files.
        digest_algorithm: `MD5` or `XXH128`.

    Raises:
        ValueError: a refused name, type, metadata, region or algorithm.
        TypeError: metadata is no dictionary.
    """

    def __init__(  # noqa: PLR0913 - the signature of the reference
        self,
        name: str,
        type: str,
        description: str | None = None,
        metadata: dict[str, Any] | None = None,
        incremental: bool = False,
        use_as: str | None = None,
        storage_region: str | None = None,
        digest_algorithm: str = "MD5",
    ) -> None:
        if use_as is not None:
            warn("Artifact(use_as=...) is deprecated and ignored: leave it out")
        manifest = new_manifest(digest_algorithm, storage_region)
        super().__init__(rules.checked_name(name), rules.checked_type(type, name), manifest)
        self._description = description
        self._metadata = rules.checked_metadata(metadata)
        self.incremental = incremental
        self._staging = Staging(self, self.client_id[:24])
        self._lock = threading.RLock()
        self._is_final = False
        self._added_paths: dict[str, str] = {}
        #: Keeps added values alive, so that their ids stay theirs.
        self._added_values: dict[int, tuple[ArtifactMember, ManifestEntry]] = {}

    @classmethod
    def for_own_use(cls, name: str, type_: str) -> Self:
        """Return an artifact that the recorder itself makes, such as one for a table.

        Args:
            name: any text; characters that names may not have are left out.
            type_: reserved types are allowed.
        """
        made = cls(rules.own_name(name), "own")
        made._type = type_
        return made

    @property
    def is_final(self) -> bool:
        """True when nothing can be added any more."""
        return self._is_final

    def finalize(self) -> None:
        """Refuse changes of the contents from now on; logging does that, too."""
        self._is_final = True

    # --- files -------------------------------------------------------------------------------

    def add_file(
        self,
        local_path: str | os.PathLike[str],
        name: str | os.PathLike[str] | None = None,
        is_tmp: bool | None = False,
        skip_cache: bool | None = False,
        policy: str | None = "mutable",
        overwrite: bool = False,
    ) -> ManifestEntry:
        """Add a file.

        Args:
            local_path: of the file.
            name: path inside the artifact; default: the file's own name.
            is_tmp: replace the name, up to its first dot, by a hash of the contents.
            skip_cache: keep no copy in the cache of this machine after the upload.
            policy: `mutable` takes a copy now; `immutable` relies on nobody changing the file
                until it is uploaded.
            overwrite: replace an entry of the same path with other contents.

        Returns:
            The entry.

        Raises:
            ArtifactFinalizedError: the artifact is final.
            ValueError: no file there, a refused path or policy, or other contents under the path.
            OSError: the file cannot be read or copied.
        """
        self._check_open("add_file")
        source = Path(local_path)
        if not source.is_file():
            raise ValueError(f"add_file: {str(local_path)!r} is no file")
        path = logical_path(name or source.name)
        entry = self._entry(source, path, _checked_policy(policy), skip_cache=bool(skip_cache))
        if is_tmp:
            entry.path = _named_by_digest(path, entry.digest)
        with self._lock:
            entry = self._admit(entry, overwrite)
            self._added_paths[os.fspath(local_path)] = entry.path
        return entry

    def add_dir(
        self,
        local_path: str | os.PathLike[str],
        name: str | os.PathLike[str] | None = None,
        skip_cache: bool | None = False,
        policy: str | None = "mutable",
        merge: bool = False,
    ) -> None:
        """Add all files below a folder: links followed, hidden files included, run folders not.

        Args:
            local_path: of the folder.
            name: folder inside the artifact; default: its root.
            skip_cache: see `add_file`.
            policy: see `add_file`.
            merge: replace entries whose contents changed.

        Raises:
            ArtifactFinalizedError: the artifact is final.
            ValueError: no folder there, a refused path or policy, or other contents under a path;
                then nothing was added.
            OSError: a file cannot be read or copied.
        """
        self._check_open("add_dir")
        root, checked = Path(local_path), _checked_policy(policy)
        if not root.is_dir():
            raise ValueError(f"add_dir: {str(local_path)!r} is no folder")
        prefix = PurePosixPath(logical_path(name) if name else "")
        sources = list(files_below(root, follow_links=True))

        def enter(source: Path) -> ManifestEntry:
            path = logical_path(prefix / source.relative_to(root).as_posix())
            return self._entry(source, path, checked, skip_cache=bool(skip_cache))

        with ThreadPoolExecutor(_COPY_THREADS) as pool:
            entries = list(pool.map(enter, sources))
        with self._lock:
            for entry in entries:
                self._manifest.check(entry, overwrite=merge)
            for source, entry in zip(sources, entries, strict=True):
                self._added_paths[str(source)] = self._admit(entry, merge).path

    @contextlib.contextmanager
    def new_file(
        self,
        name: str | os.PathLike[str],
        mode: str = "x",
        encoding: str | None = None,
        policy: str = "mutable",
    ) -> Generator[IO[Any]]:
        """Open a new file, to be added when the `with` block ends without an exception.

        Args:
            name: path inside the artifact.
            mode: as for `open`; with `x` the path must be free, else its entry is replaced.
            encoding: of text.
            policy: accepted; nobody else knows the file.

        Raises:
            ArtifactFinalizedError: the artifact is final.
            ValueError: a refused path or policy, or the path is taken.
        """
        self._check_open("new_file")
        _checked_policy(policy)
        path = logical_path(name)
        overwrite = "x" not in mode
        if not overwrite and path in self._manifest.entries:
            raise ValueError(f"new_file: {path!r} is in the artifact already: use mode='w'")
        staged = self._staging.new_path(PurePosixPath(path).name)
        with staged.open(mode, encoding=encoding) as file:
            yield file
        entry = self._staged_entry(staged, path, digest_file(staged, self._algorithm), True)
        with self._lock:
            self._admit(entry, overwrite)

    def get_added_local_path_name(self, local_path: str) -> str | None:
        """Return the path inside the artifact of a file that was added from `local_path`."""
        return self._added_paths.get(local_path)

    # --- values ------------------------------------------------------------------------------

    def add(
        self, obj: object, name: str | os.PathLike[str], overwrite: bool = False
    ) -> ManifestEntry:
        """Add a table or media; its JSON goes to `<name>.<kind>.json`, its files beside it.

        Args:
            obj: what to add; the same object a second time is not added again.
            name: path inside the artifact.
            overwrite: replace an entry of that path; otherwise it stays.

        Returns:
            The entry of the JSON file.

        Raises:
            ArtifactFinalizedError: the artifact is final.
            TypeError: an artifact cannot hold such a value.
        """
        self._check_open("add")
        if not isinstance(obj, ArtifactMember):
            raise TypeError(
                f"Artifact.add: a {type(obj).__name__} cannot be held: add tables and media, or "
                "write the value to a file and use add_file"
            )
        if id(obj) in self._added_values:
            return self._added_values[id(obj)][1]
        path = with_suffix(logical_path(name), obj.artifact_suffix)
        if uri := obj.artifact_uri():
            return self.add_reference(uri, path)[0]
        content = json.dumps(obj.to_artifact(self), sort_keys=True)
        found = self._manifest.get_entry_by_path(path)
        if found is not None and not overwrite:
            return found
        entry = self._add_text(path, content, overwrite=overwrite)
        self._added_values[id(obj)] = (obj, entry)
        if obj.artifact_target is None:
            obj.artifact_target = ArtifactTarget(self, entry.path)
        return entry

    def __setitem__(self, name: str, item: ArtifactMember) -> None:
        self.add(item, name)

    def _add_text(self, path: str, text: str, *, overwrite: bool) -> ManifestEntry:
        staged = self._staging.new_path()
        staged.write_text(text, encoding="utf-8")
        entry = self._staged_entry(staged, path, digest_file(staged, self._algorithm), True)
        if path.startswith(_TABLES_FOLDER):  # tables of tables, where contents decide
            entry.path = _named_by_digest(path, entry.digest)
        with self._lock:
            return self._admit(entry, overwrite)

    def add_reference(
        self,
        uri: str | ManifestEntry,
        name: str | os.PathLike[str] | None = None,
        checksum: bool = True,
        max_objects: int | None = None,
    ) -> list[ManifestEntry]:
        """Add an entry that says where bytes are: `file://`, `http(s)://` or any other scheme.

        Args:
            uri: where the file or folder is.
            name: path inside the artifact; needed where the scheme is not known here.
            checksum: ask the store for a digest; else the URI alone identifies the contents.
            max_objects: most files of a folder; default: 10 million.

        Returns:
            The entries, one a file.

        Raises:
            ArtifactFinalizedError: the artifact is final.
            ValueError: no URI, nothing there, too many files, a missing name, or other contents
                under the path.
            OSError: the store does not answer.
        """
        self._check_open("add_reference")
        path = None if name is None else logical_path(name)
        target = uri.ref_target() if isinstance(uri, ManifestEntry) else str(uri)
        reference = Reference(target, path, checksum, max_objects or DEFAULT_MAX_OBJECTS)
        entries = entries_of(reference)
        for entry in entries:
            entry.path = logical_path(entry.path)
        with self._lock:
            for entry in entries:
                self._manifest.check(entry)
            for entry in entries:
                self._manifest.add_entry(entry)
        return entries

    # --- contents ----------------------------------------------------------------------------

    def remove(self, item: str | os.PathLike[str] | ManifestEntry) -> None:
        """Remove an entry, or everything below a folder.

        Raises:
            ArtifactFinalizedError: the artifact is final.
            FileNotFoundError: nothing is there.
        """
        self._check_open("remove")
        with self._lock:
            path = item.path if isinstance(item, ManifestEntry) else str(PurePosixPath(item))
            entry = self._manifest.get_entry_by_path(path)
            found = [entry] if entry else self._manifest.get_entries_in_directory(path)
            if not found:
                raise FileNotFoundError(f"remove: {path!r} is not in artifact {self.name!r}")
            for each in found:
                self._manifest.remove_entry(each)
                self._staging.discard(each.local_path)

    def to_record(
        self,
        run_dir: Path,
        *,
        aliases: Iterable[str] | None = None,
        tags: Iterable[str] | None = None,
        finalize: bool = True,
        use_after_commit: bool = False,
    ) -> ArtifactLogged:
        """Finalize the artifact and return its record; its staged files become the run's.

        Args:
            run_dir: folder of the run that records it.
            aliases: of the version; `latest` is added.
            tags: of the version.
            finalize: False: other processes add parts to the same version.
            use_after_commit: the run uses it, rather than having made it.

        Raises:
            ValueError: a refused alias or tag, or metadata that was changed into something refused.
            TypeError: metadata was changed into something that is not JSON.
        """
        self.metadata = self._metadata
        self.finalize()
        return record_of(
            self,
            self._staging,
            run_dir,
            aliases=rules.checked_aliases(aliases),
            tags=rules.checked_tags(tags),
            finalize=finalize,
            use_after_commit=use_after_commit,
        )

    def save(self, project: str | None = None, settings: Any = None) -> None:
        """Log the artifact: in the open run, or in a run of job type `auto` made for it.

        Args:
            project: of the run that is made.
            settings: of the run that is made.
        """
        from trackd.artifacts import logging_calls  # which knows this class

        logging_calls.save(self, project, settings)

    def link(self, target_path: str, aliases: Iterable[str] | None = None) -> NoReturn:
        """Log the artifact, and link it to a collection.

        Args:
            target_path: of the collection.
            aliases: of the link.

        Raises:
            CommError: no server knows the artifact, so that it cannot be linked.
        """
        del aliases
        self.save()
        raise CommError(
            f"link(): artifact {self.name!r} is logged, but cannot be linked to {target_path!r} "
            "from an offline run"
        )

    # --- inside ------------------------------------------------------------------------------

    def _check_open(self, what: str) -> None:
        if self._is_final:
            raise ArtifactFinalizedError(what, self._name)

    def _admit(self, entry: ManifestEntry, overwrite: bool) -> ManifestEntry:
        """Add an entry in the place of the one that has its path; return it."""
        old = self._manifest.get_entry_by_path(entry.path)
        self._manifest.add_entry(entry, overwrite=overwrite)
        if old is not None and old.local_path != entry.local_path:
            self._staging.discard(old.local_path)
        return entry

    @property
    def _algorithm(self) -> DigestAlgorithm:
        return self._manifest.digest_algorithm

    def _entry(self, source: Path, path: str, policy: str, *, skip_cache: bool) -> ManifestEntry:
        if policy == "immutable":
            found = digest_file(source, self._algorithm)
            return self._entry_of(source, path, found, skip_cache)
        with self._lock:
            staged = self._staging.new_path()
        found = copy_and_digest(source, staged, self._algorithm)
        return self._staged_entry(staged, path, found, skip_cache)

    def _staged_entry(
        self, staged: Path, path: str, found: FileDigest, skip_cache: bool
    ) -> ManifestEntry:
        staged.chmod(_READ_ONLY)
        return self._entry_of(staged, path, found, skip_cache)

    def _entry_of(
        self, local: Path, path: str, found: FileDigest, skip_cache: bool
    ) -> ManifestEntry:
        marked = {} if self._algorithm == "MD5" else {ALGORITHM_KEY: self._algorithm}
        return ManifestEntry(
            path,
            found.digest,
            found.size,
            local_path=str(local),
            extra=marked,
            skip_cache=skip_cache,
        )


def _checked_policy(policy: str | None) -> str:
    checked = policy or "mutable"
    if checked not in POLICIES:
        raise ValueError(f"policy {policy!r} does not exist: use one of {POLICIES}")
    return checked


def _named_by_digest(path: str, digest: str) -> str:
    """Return a path whose last name begins with a hash instead of its own first part."""
    pure = PurePosixPath(path)
    _, dot, rest = pure.name.partition(".")
    return str(pure.with_name(f"{hex_of(digest)[:_HASH_CHARACTERS]}{dot}{rest}"))
