"""What can be done with an artifact on its way to a server and there: links, lineage, deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd.artifacts import server_facts
from trackd.artifacts.errors import ArtifactNotLoggedError, ArtifactRequestError
from trackd.artifacts.notices import warn
from trackd.artifacts.stored import StoredArtifact
from trackd.errors import CommError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from trackd.api import ArtifactCollection, Run
    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.manifest import Manifest
    from trackd.artifacts.online.logged import Logged
    from trackd.artifacts.online.saves import Save


class PublishedArtifact(StoredArtifact):
    """An artifact with its way to the server, its links and its runs."""

    def __init__(self, name: str, type_: str, manifest: Manifest | None) -> None:
        super().__init__(name, type_, manifest)
        self._save: Save | None = None

    # --- on its way --------------------------------------------------------------------------

    def attach_save(self, save: Save) -> None:
        """Note which save brings the artifact to a server."""
        self._save = save

    @property
    def is_being_saved(self) -> bool:
        """True once it was logged in an online run."""
        return self._save is not None

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until the server has the artifact, and take over what it says; return it.

        Args:
            timeout: seconds; default: as long as it takes. Ctrl-C ends the wait, not the upload.

        Raises:
            ArtifactNotLoggedError: it was not logged, or in an offline run.
            WaitTimeoutError: the time is over; the upload goes on.
            ValueError: the upload failed.
            CommError: the agent or the server does not answer.
        """
        if not self.is_draft():
            return self
        if self._save is None:
            raise ArtifactNotLoggedError("wait", self)
        self._take(self._save.remote, self._save.result(timeout))
        return self

    def cancel(self) -> bool:
        """Give up the upload of a logged artifact.

        Returns:
            False: it had ended, or was just being committed. True: it becomes no version, also
            where the upload had not begun yet.

        Raises:
            ArtifactNotLoggedError: it was not logged, or in an offline run.
            CommError: the agent does not answer.
        """
        if self._save is None:
            raise ArtifactNotLoggedError("cancel", self)
        return self._save.cancel()

    def _send_changes(self) -> None:
        from trackd.artifacts.online import editing

        facts = self._facts("save")
        manifest = self._manifest
        try:
            changed = editing.changed(self._whole, facts)
        except CommError:
            raise
        except ValueError as error:
            raise ArtifactRequestError(str(error)) from error
        self._take(self._server("save"), changed)
        self._manifest = manifest

    def new_draft(self) -> Artifact:
        """Return a draft with the same contents, to be changed and logged as a new version.

        Raises:
            ArtifactNotLoggedError: it is a draft.
            CommError: the server does not answer.
        """
        self._facts("new_draft")
        made = type(self._whole).for_own_use("draft", self.type)
        made.become_copy_of(self._whole)
        return made

    @property
    def url(self) -> str:
        """Page of the version; empty: there is none."""
        facts = self._facts("url")
        return server_facts.page_of(facts, self._server("url"))

    @property
    def use_as(self) -> None:
        """Nothing: accepted for old scripts."""
        warn("Artifact.use_as is deprecated and always None: leave it out")

    def json_encode(self) -> dict[str, Any]:
        """Return what stands for the artifact in a configuration or a row.

        Raises:
            ArtifactNotLoggedError: no server knows the artifact.
        """
        source = self._facts("json_encode").source
        return {
            "_type": "artifactVersion",
            "_version": "v0",
            "id": self.id,
            "version": source.alias,
            "sequenceName": source.collection,
            "usedAs": None,
        }

    # --- around it ---------------------------------------------------------------------------

    @property
    def collection(self) -> ArtifactCollection:
        """The collection in which it was found. Of a link: the link's."""
        from trackd.api import ArtifactCollection  # which is built on artifacts

        place, remote = self._facts("collection").place, self._server("collection")
        return ArtifactCollection(remote, place.entity, place.project, place.collection, self.type)

    @property
    def source_collection(self) -> ArtifactCollection:
        """The collection in which it was logged."""
        from trackd.api import ArtifactCollection

        source, remote = self._facts("source_collection").source, self._server("source_collection")
        place = source.entity, source.project, source.collection
        return ArtifactCollection(remote, *place, self.type)

    @property
    def linked_artifacts(self) -> list[Artifact]:
        """The links to it, at most 500; none for a link."""
        from trackd.artifacts.online import linking

        facts = self._facts("linked_artifacts")
        return [] if facts.is_link else linking.links_of(self._whole, facts)

    @property
    def source_artifact(self) -> Artifact:
        """The artifact to which a link leads; itself where it is none.

        Raises:
            ValueError: it cannot be had.
        """
        from trackd.artifacts.online import linking

        facts = self._facts("source_artifact")
        if not facts.is_link:
            return self._whole
        return linking.source_of(self._server("source_artifact"), facts)

    def link(self, target_path: str, aliases: Iterable[str] | None = None) -> Artifact:
        """Link it to a collection, which is made if need be; a draft is logged first.

        Args:
            target_path: of the collection, such as `wandb-registry-<registry>/<collection>`.
            aliases: of the link.

        Returns:
            The link.

        Raises:
            ArtifactNotLoggedError: it is a draft that was logged offline.
            ArtifactRequestError: a refused path or alias, or no organization for a registry.
            CommError: the server refuses, or does not answer.
        """
        from trackd.artifacts.online import linking

        if self.is_draft():
            if self._save is None:
                self._whole.save()
            if self._save is None:
                raise CommError(
                    f"link(): artifact {self.name!r} is logged, but cannot be linked to "
                    f"{target_path!r} from an offline run"
                )
            self.wait()
        server, facts = self._server("link"), self._facts("link")
        try:
            return linking.link(server, facts, target_path, aliases)
        except CommError:
            raise
        except ValueError as error:
            raise ArtifactRequestError(str(error)) from error

    def unlink(self) -> None:
        """Delete this link; the artifact stays.

        Raises:
            ArtifactNotLoggedError: it is a draft.
            ValueError: it is no link.
            CommError: the server refuses, or does not answer.
        """
        from trackd.artifacts.online import editing

        facts = self._facts("unlink")
        if not facts.is_link:
            raise ValueError(
                f"unlink(): {self.qualified_name} is no link: to delete it use delete()"
            )
        editing.unlink(self._server("unlink"), facts)

    def delete(self, delete_aliases: bool = False) -> None:
        """Delete the version and its files; of a link only the link.

        Args:
            delete_aliases: also where it has aliases.

        Raises:
            ArtifactNotLoggedError: it is a draft.
            CommError: it has aliases and `delete_aliases` is not set, the server refuses, or does
                not answer.
        """
        from trackd.artifacts.online import editing

        facts = self._facts("delete")
        if facts.is_link:
            warn("delete() of a link deletes the link alone: the artifact stays")
            self.unlink()
            return
        editing.delete(self._server("delete"), facts, delete_aliases=delete_aliases)

    def logged_by(self) -> Run | None:
        """Return the run that logged it; None: no run, or nobody knows.

        Raises:
            ArtifactNotLoggedError: it is a draft.
            CommError: the server does not answer.
        """
        from trackd.artifacts.online import linking

        return linking.creator_of(self._server("logged_by"), self._facts("logged_by").id)

    def used_by(self) -> list[Run]:
        """Return the runs that used it, or a link to it.

        Raises:
            ArtifactNotLoggedError: it is a draft.
            CommError: the server does not answer.
        """
        from trackd.artifacts.online import linking

        return linking.users_of(self._server("used_by"), self._facts("used_by").id)

    def as_link(self, logged: Logged) -> Artifact:
        """Return an object for a link to this artifact."""
        return type(self._whole).of_server(self._server("linked_artifacts"), logged)
