"""What an artifact holds, and how it is filled: copies of files, references, new files."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from trackd.artifacts.drafts.intake import Intake
from trackd.artifacts.drafts.staging import Staging
from trackd.artifacts.drafts.walking import paths_below
from trackd.artifacts.errors import ArtifactFinalizedError
from trackd.artifacts.hashing import FileDigest, copy_and_digest, digest_file, hex_of
from trackd.artifacts.known.known_files import KnownFiles, Source
from trackd.artifacts.manifest import ALGORITHM_KEY, Manifest, ManifestEntry
from trackd.artifacts.paths import logical_path
from trackd.artifacts.referring.references import DEFAULT_MAX_OBJECTS, Reference, entries_of
from trackd.artifacts.server_facts import ServerFacts

if TYPE_CHECKING:
    from collections.abc import Generator

    from trackd.artifacts.hashing import DigestAlgorithm
    from trackd.artifacts.paths import LogicalPath
    from trackd.remote.connection import Remote

POLICIES = ("mutable", "immutable")
_COPY_THREADS = 8
_FILES_AT_ONCE = 64
#: A single file of this size is noted, so that it need not be read again.
_NOTED_BYTES = 8 * 1024 * 1024
_HASH_CHARACTERS = 20
#: So many files are looked at before they are read, for a bar that knows its end.
_SIZED_FILES = 10_000
_READ_ONLY = 0o400


class Taking(NamedTuple):
    """How files are taken in."""

    policy: str
    skip_cache: bool
    #: From the last time; None: not asked for, as reading is as fast.
    known: KnownFiles | None
    #: Shows how far it is.
    intake: Intake


class _File(NamedTuple):
    """A file that is added."""

    source: str
    #: The same, absolute: the agent has another working folder.
    local: str
    #: Below the folder that is added.
    relative: str
    #: Inside the artifact.
    path: str


class ArtifactContents(ServerFacts):
    """The entries of a draft and their staged files; `Artifact` adds values and the record."""

    def __init__(self, name: str, type_: str, manifest: Manifest | None) -> None:
        super().__init__(name, type_, manifest)
        self._staging = Staging(self, self.client_id[:24])
        self._lock = threading.RLock()
        self._is_final = False
        self._is_incremental = False
        self._added_paths: dict[str, str] = {}
        self._known: list[KnownFiles] = []

    @property
    def is_final(self) -> bool:
        """True when nothing can be added any more."""
        return self._is_final

    @property
    def incremental(self) -> bool:
        """True: what is added comes on top of the latest version."""
        return self._is_incremental

    def finalize(self) -> None:
        """Refuse changes of the contents from now on; logging does that, too."""
        self._is_final = True

    def remove_staged(self) -> None:
        """Remove the copies of added files: a record has its own, and nothing else needs them."""
        self._staging.remove()

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
            policy: `mutable` takes a copy now, but of a file that the server of the open run has
                from an earlier version and that has not changed; `immutable` relies on nobody
                changing the file until it is uploaded.
            overwrite: replace an entry of the same path with other contents.

        Returns:
            The entry.

        Raises:
            ArtifactFinalizedError: the artifact is final.
            ValueError: no file there, a refused path or policy, or other contents under the path.
            OSError: the file cannot be read or copied.
        """
        self._check_open("add_file")
        if not os.path.isfile(local_path):  # noqa: PTH113 - a file with a slash behind it is none
            raise ValueError(f"add_file: {str(local_path)!r} is no file")
        source = Path(local_path)
        path = logical_path(name or source.name)
        size_bytes = source.stat().st_size
        known = self._known_files(str(source)) if size_bytes >= _NOTED_BYTES else None
        file = _File(str(source), str(source.absolute()), "", path)
        with Intake(source.name, 1, size_bytes) as intake:
            taking = Taking(_checked_policy(policy), bool(skip_cache), known, intake)
            entry = self._known_entry(file, taking) or self._entry(file, taking)
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
        checked = _checked_policy(policy)
        if not os.path.isdir(local_path):  # noqa: PTH112 - "" is no folder
            raise ValueError(f"add_dir: {str(local_path)!r} is no folder")
        root = Path(local_path)
        folder = _folder(name) if name else "."
        prefix = "" if folder == "." else f"{folder}/"
        given, place = (f"{each}/".replace("//", "/") for each in (root, root.absolute()))
        known = self._known_files(str(root))
        files: list[_File] = []
        for source in paths_below(root, follow_links=True):
            relative = source[len(given) :]
            path = logical_path(prefix + relative)
            files.append(_File(source, place + relative, relative, path))
        with Intake(f"{root.name or root}/", len(files), _bytes_of(files)) as intake:
            entries = self._entries_of(files, Taking(checked, bool(skip_cache), known, intake))
        with self._lock:
            with self._dropping(entries):
                for entry in entries:
                    self.manifest.check(entry, overwrite=merge)
            for file, entry in zip(files, entries, strict=True):
                shown = os.path.join(os.fspath(local_path), file.relative)  # noqa: PTH118
                self._added_paths[shown] = self._admit(entry, merge).path

    def new_file(
        self,
        name: str | os.PathLike[str],
        mode: str = "x",
        encoding: str | None = None,
        policy: str = "mutable",
    ) -> contextlib.AbstractContextManager[IO[Any]]:
        """Open a new file, to be added when the `with` block ends without an exception.

        Args:
            name: path inside the artifact.
            mode: as for `open`; with `x` the path must be free, else its entry is replaced; `a`
                and `r+` begin with its contents.
            encoding: of text.
            policy: accepted; nobody else knows the file.

        Raises:
            ArtifactFinalizedError: the artifact is final, at the end of the block, too.
            ValueError: a refused path or policy, or the path is taken.
        """
        self._check_open("new_file")
        return self._new_file(name, mode, encoding, policy)

    @contextlib.contextmanager
    def _new_file(
        self, name: str | os.PathLike[str], mode: str, encoding: str | None, policy: str
    ) -> Generator[IO[Any]]:
        _checked_policy(policy)
        path = logical_path(name)
        overwrite = "x" not in mode
        if not overwrite and path in self.manifest.entries:
            raise ValueError(f"new_file: {path!r} is in the artifact already: use mode='w'")
        staged = self._staging.new_path(path.name)
        before = self.manifest.get_entry_by_path(path)
        if before is not None and before.local_path and not set(mode).isdisjoint("ar"):
            shutil.copyfile(before.local_path, staged)
        try:
            with staged.open(mode, encoding=encoding) as file:
                yield file
            self._check_open("new_file")
        except BaseException:
            self._staging.discard(str(staged))
            raise
        with Intake(path, 1, staged.stat().st_size) as intake:
            found = digest_file(staged, self._algorithm, intake.take)
        entry = self._staged_entry(staged, path, found, True)
        with self._lock:
            self._admit(entry, overwrite)

    def get_added_local_path_name(self, local_path: str) -> str | None:
        """Return the path inside the artifact of a file that was added from `local_path`."""
        return self._added_paths.get(local_path)

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
        path = None if name is None else _folder(name)
        target = uri.ref_url() if isinstance(uri, ManifestEntry) else str(uri)
        if not _is_utf8(target):
            raise ValueError(f"reference {target!r} is not valid UTF-8: quote it, as URIs are")
        reference = Reference(target, path, checksum, max_objects or DEFAULT_MAX_OBJECTS)
        entries = entries_of(reference)
        for entry in entries:
            entry.path = logical_path(entry.path)
        with self._lock:
            for entry in entries:
                self.manifest.check(entry)
            for entry in entries:
                self.manifest.add_entry(entry)
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
            entry = self.manifest.get_entry_by_path(path)
            found = [entry] if entry else self.manifest.get_entries_in_directory(path)
            if not found:
                raise FileNotFoundError(f"remove: {path!r} is not in artifact {self.name!r}")
            for each in found:
                self.manifest.remove_entry(each)
                self._staging.discard(each.local_path)

    def _add_text(
        self, path: LogicalPath, text: str, *, is_tmp: bool, overwrite: bool
    ) -> ManifestEntry:
        """Add a text file; `is_tmp` as for `add_file`."""
        staged = self._staging.new_path()
        staged.write_text(text, encoding="utf-8")
        entry = self._staged_entry(staged, path, digest_file(staged, self._algorithm), False)
        if is_tmp:
            entry.path = _named_by_digest(path, entry.digest)
        with self._lock:
            return self._admit(entry, overwrite)

    # --- inside ------------------------------------------------------------------------------

    def _check_open(self, what: str) -> None:
        if self._is_final:
            raise ArtifactFinalizedError(what, self)

    def _admit(self, entry: ManifestEntry, overwrite: bool) -> ManifestEntry:
        """Add an entry in the place of the one that has its path; return it."""
        old = self.manifest.get_entry_by_path(entry.path)
        self.manifest.add_entry(entry, overwrite=overwrite)
        if old is not None and old.local_path != entry.local_path:
            self._staging.discard(old.local_path)
        return entry

    @property
    def _algorithm(self) -> DigestAlgorithm:
        return self.manifest.algorithm

    def note_files(self) -> None:
        """Keep what is known of the files that were added: they are logged to the open run."""
        for known in self._known:
            known.write(self.client_id)
        self._known.clear()

    def copy_left_files(self, remote: Remote | None) -> None:
        """Copy what was left in place because another server than this one has its bytes.

        Raises:
            ValueError: a file was changed since it was added.
            OSError: a file cannot be copied.
        """
        for known in self._known:
            if known.is_of(remote):
                continue
            for entry in known.left:
                if self.manifest.get_entry_by_path(entry.path) is entry:
                    self._copy_left(entry)
            known.left.clear()

    def _copy_left(self, entry: ManifestEntry) -> None:
        staged = self._staging.new_path()
        found = copy_and_digest(Path(entry.local_path or ""), staged, self._algorithm)
        if found.digest != entry.digest:
            raise ValueError(
                f"file {entry.local_path!r} of entry {entry.path!r} was changed since it was added "
                "for another run: add it again"
            )
        staged.chmod(_READ_ONLY)
        entry.local_path = str(staged.absolute())

    def _known_files(self, source: str) -> KnownFiles:
        from trackd.session import session  # the session knows runs, which know artifacts

        run = session().run
        remote = None if run is None or run.offline or run.disabled else run.remote
        known = KnownFiles(Source(source, self._algorithm), remote)
        self._known.append(known)
        return known

    def _entries_of(self, files: list[_File], taking: Taking) -> list[ManifestEntry]:
        """Return the entries of files; those that must be read are read by threads."""
        entries = [self._known_entry(file, taking) for file in files]
        unread = [number for number, entry in enumerate(entries) if entry is None]

        def read(numbers: list[int]) -> None:
            for number in numbers:
                entries[number] = self._entry(files[number], taking)

        batches = [unread[n : n + _FILES_AT_ONCE] for n in range(0, len(unread), _FILES_AT_ONCE)]
        if batches:
            with self._dropping(entries), ThreadPoolExecutor(_COPY_THREADS) as pool:
                try:
                    deque(pool.map(read, batches), maxlen=0)
                except BaseException:  # Ctrl-C, too: the threads read no further
                    taking.intake.stop()
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        return [entry for entry in entries if entry is not None]

    @contextlib.contextmanager
    def _dropping(
        self, entries: list[ManifestEntry] | list[ManifestEntry | None]
    ) -> Generator[None]:
        """Remove the copies for some entries when they are not admitted after all."""
        try:
            yield
        except BaseException:
            for entry in entries:
                if entry is not None:
                    self._staging.discard(entry.local_path)
            raise

    def _known_entry(self, file: _File, taking: Taking) -> ManifestEntry | None:
        """Return the entry of a file that need not be read; None: it must be."""
        known = taking.known
        if not known or not (known.is_held or taking.policy == "immutable"):
            return None
        found = known.find(file.relative, os.stat(file.source))  # noqa: PTH116 - one of many
        if found is None:
            return None
        entry = self._entry_of(file.local, file.path, found, taking.skip_cache)
        if taking.policy == "mutable":
            known.left.append(entry)
        taking.intake.end_file(found.size)
        return entry

    def _entry(self, file: _File, taking: Taking) -> ManifestEntry:
        if taking.policy == "immutable":
            found = digest_file(Path(file.source), self._algorithm, taking.intake.take)
            entry = self._entry_of(file.local, file.path, found, taking.skip_cache)
        else:
            staged = self._staging.new_path()
            found = copy_and_digest(Path(file.source), staged, self._algorithm, taking.intake.take)
            entry = self._staged_entry(staged, file.path, found, taking.skip_cache)
        if taking.known is not None:
            taking.known.learn(file.relative, found)
        taking.intake.end_file()
        return entry

    def _staged_entry(
        self, staged: Path, path: str, found: FileDigest, skip_cache: bool
    ) -> ManifestEntry:
        staged.chmod(_READ_ONLY)
        return self._entry_of(str(staged.absolute()), path, found, skip_cache)

    def _entry_of(
        self, local: str, path: str, found: FileDigest, skip_cache: bool
    ) -> ManifestEntry:
        marked = {} if self._algorithm == "MD5" else {ALGORITHM_KEY: self._algorithm}
        return ManifestEntry(
            path,
            found.digest,
            found.size,
            local_path=local,
            extra=marked,
            skip_cache=skip_cache,
        )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bytes_of(files: list[_File]) -> int:
    """Return how large files are together; 0: they are too many to be looked at twice."""
    if len(files) > _SIZED_FILES:
        return 0
    return sum(os.stat(file.source).st_size for file in files)  # noqa: PTH116 - one of many


def _folder(name: str | os.PathLike[str]) -> str:
    """Return a folder inside an artifact in its one form; `.` is the root, as is an empty name."""
    return "." if PurePosixPath(name) == PurePosixPath() else logical_path(name)


def _checked_policy(policy: str | None) -> str:
    checked = policy or "mutable"
    if checked not in POLICIES:
        raise ValueError(f"policy {policy!r} does not exist: use one of {POLICIES}")
    return checked


def _named_by_digest(path: LogicalPath, digest: str) -> LogicalPath:
    """Return a path whose last name begins with a hash instead of its own first part."""
    _, dot, rest = path.name.partition(".")
    return path.with_name(f"{hex_of(digest)[:_HASH_CHARACTERS]}{dot}{rest}")
