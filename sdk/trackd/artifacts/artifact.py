"""`Artifact`: a named set of files and references, built here and then logged by a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trackd.artifacts import rules
from trackd.artifacts.facts import new_manifest
from trackd.artifacts.manifest import Manifest
from trackd.artifacts.member import ArtifactMember, ArtifactTarget
from trackd.artifacts.notices import warn
from trackd.artifacts.paths import member_path
from trackd.artifacts.published import PublishedArtifact
from trackd.artifacts.records import record_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Self

    from trackd.artifacts.manifest import ManifestEntry
    from trackd.artifacts.online.logged import Logged
    from trackd.remote.connection import Remote
    from trackd_proto.records import ArtifactLogged

#: Tables below it are named by their contents.
_TABLES_FOLDER = "media/tables"


class Artifact(PublishedArtifact):
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
        checked_name = rules.checked_name(name)
        checked_type = rules.checked_type(type, name)
        checked_metadata = rules.checked_metadata(metadata)
        manifest = new_manifest(digest_algorithm, storage_region)
        super().__init__(checked_name, checked_type, manifest)
        self._description = description
        self._metadata = checked_metadata
        self._is_incremental = incremental
        #: Keeps added values alive, so that their ids stay theirs.
        self._added_values: dict[int, tuple[ArtifactMember, ManifestEntry]] = {}

    @classmethod
    def of_server(cls, remote: Remote, logged: Logged, name: str = "") -> Self:
        """Return a version that a server has.

        Args:
            remote: the server.
            logged: what it says.
            name: under which it was found, where that is an alias.
        """
        made = cls(rules.own_name(logged.place.collection), "own")
        made._name = name or logged.place.name
        made._take(remote, logged)
        made.finalize()
        return made

    def become_copy_of(self, version: Artifact) -> None:
        """Take over name, facts and contents of a version on a server; see `new_draft`."""
        source = version.source_collection_path
        self._name, self.home, self.base_id = source.name, source, version.id
        self._description = version.description
        self._metadata = rules.checked_metadata(version.metadata)
        kept = version.manifest
        self._manifest = Manifest(kept.algorithm, kept.storage_policy.region)
        self._manifest.fill(entry.as_kept(version.id) for entry in kept.entries.values())

    @classmethod
    def for_own_use(cls, name: str, type_: str, *, incremental: bool = False) -> Self:
        """Return an artifact that the recorder itself makes, such as one for a table.

        Args:
            name: any text; characters that names may not have are left out.
            type_: reserved types are allowed.
            incremental: what is added comes on top of the latest version.
        """
        made = cls(rules.own_name(name), "own", incremental=incremental)
        made._type = type_
        return made

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
        if not (isinstance(obj, ArtifactMember) and obj.is_added_alone):
            raise TypeError(
                f"Artifact.add: {type(obj).__name__} is no type it can hold: add tables and "
                "media, or write the value to a file and use add_file"
            )
        if id(obj) in self._added_values:
            return self._added_values[id(obj)][1]
        path = member_path(name, obj.artifact_suffix)
        if uri := obj.artifact_uri():
            return self.add_reference(uri, path)[0]
        content = json.dumps(obj.to_artifact(self), sort_keys=True)
        found = self.manifest.get_entry_by_path(path)
        if found is not None and not overwrite:
            return found
        is_tmp = path.startswith(_TABLES_FOLDER)
        entry = self._add_text(path, content, is_tmp=is_tmp, overwrite=overwrite)
        self._added_values[id(obj)] = (obj, entry)
        if obj.artifact_target is None:
            obj.artifact_target = ArtifactTarget(self, entry.path)
        return entry

    def __setitem__(self, name: str, item: ArtifactMember) -> None:
        self.add(item, name)

    def to_record(
        self,
        run_dir: Path,
        *,
        aliases: Iterable[str] | None = None,
        tags: Iterable[str] | None = None,
        finalize: bool = True,
        use_after_commit: bool = False,
        history_step: int | None = None,
    ) -> ArtifactLogged:
        """Finalize the artifact and return its record; its staged files become the run's.

        Args:
            run_dir: folder of the run that records it.
            aliases: of the version; `latest` is added.
            tags: of the version.
            finalize: False: other processes add parts to the same version.
            use_after_commit: the run uses it, rather than having made it.
            history_step: of the open row; None: rows have no numbers.

        Raises:
            ValueError: a refused alias or tag, or metadata that was changed into something refused.
            TypeError: metadata was changed into something that is not JSON, or the description or
                the distributed id is no text.
        """
        self.metadata = self._metadata
        rules.check_text("description", self._description)
        rules.check_text("distributed_id", self.distributed_id)
        self.finalize()
        return record_of(
            self,
            self._staging,
            run_dir,
            aliases=rules.checked_aliases(aliases),
            tags=rules.checked_tags(tags),
            finalize=finalize,
            use_after_commit=use_after_commit,
            history_step=history_step,
        )

    def save(self, project: str | None = None, settings: Any = None) -> None:
        """Log a draft, in the open run or in one of job type `auto`; send changes of a version.

        Args:
            project: of the run that is made.
            settings: of the run that is made.

        Raises:
            CommError: the server refuses a change, or does not answer.
        """
        if not self.is_draft():
            self._send_changes()
            return
        from trackd.artifacts import logging_calls  # which knows this class

        logging_calls.save(self, project, settings)
