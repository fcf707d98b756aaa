"""Reading an artifact back that a server has: its files, entries and values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trackd.artifacts.copies import CopiedArtifact
from trackd.artifacts.notices import warn
from trackd.artifacts.paths import logical_path

if TYPE_CHECKING:
    import os

    from trackd.api import ArtifactFiles
    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.manifest import ManifestEntry


class StoredArtifact(CopiedArtifact):
    """Files and values of an artifact on a server. All methods raise for a draft."""

    def download(
        self,
        root: str | os.PathLike[str] | None = None,
        allow_missing_references: bool = False,
        skip_cache: bool | None = None,
        path_prefix: str | os.PathLike[str] | None = None,
        multipart: bool | None = None,
    ) -> str:
        """Download the files, each verified against its digest; return the folder.

        Files that are there already are kept where they are right, and never removed. Ctrl-C
        ends the download: whole files stay.

        Args:
            root: folder below which they are put; default: `./artifacts/<name>:<version>`.
            allow_missing_references: leave references out that lead to nothing.
            skip_cache: neither read nor fill the cache of this machine.
            path_prefix: only files whose path begins with this text.
            multipart: whether files travel in ranges; default: those of 2 GiB and more.

        Raises:
            ArtifactNotLoggedError: it is a draft.
            FileNotFoundError: a reference leads to nothing.
            ValueError: a file or reference has other contents than it should, or cannot be read.
            OSError: nothing can be written.
            CommError: the server does not answer.
        """
        from trackd.artifacts.online import downloads  # only where something is read back

        self._facts("download")
        base = str(root or downloads.default_root(self._whole))
        options = downloads.Options(
            prefix=str(path_prefix or ""),
            skip_cache=bool(skip_cache),
            multipart=multipart,
            allow_missing=allow_missing_references,
        )
        downloads.download(self._whole, Path(base).absolute(), options)
        return base

    def checkout(self, root: str | os.PathLike[str] | None = None) -> str:
        """Make a folder hold the files of the artifact and no others; return it.

        Args:
            root: the folder; default: `./artifacts/<name>`.

        Raises:
            ArtifactNotLoggedError: it is a draft.
            OSError: a file cannot be removed or written.
            ValueError: see `download`.
            CommError: the server does not answer.
        """
        from trackd.artifacts.online import downloads, local_copies

        self._facts("checkout")
        base = str(root or downloads.default_root(self._whole, with_version=False))
        local_copies.remove_foreign(self._whole, Path(base))
        return self.download(base)

    def verify(self, root: str | os.PathLike[str] | None = None) -> None:
        """Check that a folder holds the files of the artifact and no others.

        Args:
            root: the folder; default: where `download` puts it.

        Raises:
            ArtifactNotLoggedError: it is a draft.
            ValueError: a file is foreign, or has other contents.
            FileNotFoundError: a file is missing.
            CommError: the server does not answer.
        """
        from trackd.artifacts.online import downloads, local_copies

        self._facts("verify")
        base = root or downloads.default_root(self._whole)
        local_copies.verify(self._whole, Path(base))

    def file(self, root: str | os.PathLike[str] | None = None) -> str:
        """Download the only file; return its path.

        Args:
            root: folder below which it is put; default: `./artifacts/<name>:<version>`.

        Raises:
            ArtifactNotLoggedError: it is a draft.
            ValueError: there are more files, or none.
            CommError: the server does not answer.
        """
        self._facts("file")
        entries = list(self.manifest.entries)
        if len(entries) != 1:
            raise ValueError(
                f"file(): artifact {self.name} has {len(entries)} files, not one: use download(), "
                "or get_entry(path).download()"
            )
        logical_path(self.name.replace(":", "-"))  # a colon is no drive here
        return self.get_entry(entries[0]).download(root or f"./artifacts/{self.name}")

    def files(
        self, names: list[str] | None = None, per_page: int = 50, start: str | None = None
    ) -> ArtifactFiles:
        """Iterate over the files as the server lists them.

        Args:
            names: only these paths.
            per_page: how many are asked for at once.
            start: where an earlier listing stopped.

        Raises:
            ArtifactNotLoggedError: it is a draft.
        """
        from trackd.api import ArtifactFiles  # which is built on artifacts

        return ArtifactFiles(self._server("files"), self._whole, names, per_page, start)

    def get_entry(self, name: str | os.PathLike[str]) -> ManifestEntry:
        """Return an entry.

        Args:
            name: path inside the artifact; of a table or media also the name it was added under.

        Raises:
            ArtifactNotLoggedError: it is a draft.
            KeyError: there is none.
            CommError: the server does not answer.
        """
        from trackd.artifacts.online import values

        self._facts("get_entry")
        entry = values.entry_of(self.manifest, name)
        if entry is None:
            raise KeyError(f"artifact {self.name} has no entry {str(name)!r}")
        return entry.of(self._whole)

    def get_path(self, name: str | os.PathLike[str]) -> ManifestEntry:
        """Return an entry; the old name of `get_entry`."""
        warn("Artifact.get_path is deprecated: use get_entry")
        return self.get_entry(name)

    def get(self, name: str) -> Any:
        """Return the table or media that was added under a name; None: there is none.

        Raises:
            ArtifactNotLoggedError: it is a draft.
            ValueError: its file is damaged.
            CommError: the server does not answer.
        """
        from trackd.artifacts.online import values

        self._facts("get")
        return values.get(self._whole, name)

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    @property
    def _whole(self) -> Artifact:
        """This object, which is never of another class, under its full type."""
        return cast("Artifact", self)
