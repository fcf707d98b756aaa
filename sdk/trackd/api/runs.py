"""A run on a server, to be read and edited."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from trackd.api.console import ConsoleLogs
from trackd.api.errors import AbsentError, NotThereError, RefusedError, elsewhere, refusing
from trackd.api.files import File, Files, uploaded
from trackd.api.history import RunHistory
from trackd.api.operations import artifacts as artifact_operations
from trackd.api.operations import runs as operations
from trackd.remote.answers import part

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from trackd.api.api import Api
    from trackd.api.errors import Node
    from trackd.api.versions import RunArtifacts
    from trackd.artifacts import Artifact

_ENDED = ("finished", "crashed", "failed", "killed")
_POLL_S = 5.0


class Run(RunHistory):
    """A run on a server."""

    ABSENT: ClassVar[Mapping[str, str]] = {
        "download_history_exports": "scan_history() reads every row"
    }

    @classmethod
    def create(
        cls,
        api: Api,
        run_id: str | None = None,
        project: str | None = None,
        entity: str | None = None,
        state: Literal["running", "pending"] = "running",
    ) -> Run:
        """Create a run without a process; `init()` is how a run is made that logs.

        Args:
            api: the server.
            run_id: its id; None: a new one.
            project: name of the project; None: that of the settings.
            entity: user or team; None: the default one.
            state: of a `pending` run, the process comes later.

        Raises:
            RefusedError: the server refuses.
        """
        return api.create_run(run_id=run_id, project=project, entity=entity, state=state)

    # --- editing -----------------------------------------------------------------------------

    def update(self) -> None:
        """Send name, tags, notes, description, group, type, configuration and summary.

        Raises:
            CommError: the server refuses, or does not answer.
        """
        attrs = self.load_full_data()
        self._execute(
            operations.UPDATE_RUN,
            id=self.storage_id,
            tags=attrs.get("tags"),
            description=attrs.get("description"),
            notes=attrs.get("notes"),
            display_name=self.name,
            config=self.json_config,
            groupName=attrs.get("group"),
            jobType=attrs.get("jobType"),
        )
        self.summary.update()

    save = update

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("tags", "notes", "description", "group"):
            self._attrs[name] = value
        elif name == "job_type":
            self._attrs["jobType"] = value
        elif name == "display_name":
            self._attrs["displayName"] = value
        else:
            object.__setattr__(self, name, value)

    def delete(self, delete_artifacts: bool = False) -> None:
        """Delete the run.

        Args:
            delete_artifacts: the artifacts that it logged, too.
        """
        variables: Node = {"id": self.storage_id}
        if delete_artifacts:
            chosen = operations.DELETE_RUN_AND_ARTIFACTS
            variables["deleteArtifacts"] = True
        else:
            chosen = operations.DELETE_RUN
        self._remote.execute(chosen, variables)

    def stop(self) -> None:
        """Ask the process of the run to end; return at once."""
        self._remote.execute(operations.STOP_RUN, {"id": self.storage_id})

    def update_state(self, state: str) -> bool:
        """Set the state of a run that has no process any more: `pending` or `failed`.

        Returns:
            True if the server did so.
        """
        change = {"input": {"id": self.storage_id, "state": state}}
        done = bool(
            part(self._remote.execute(operations.UPDATE_STATE, change), "updateRunState", "success")
        )
        if done:
            self._attrs["state"] = state
        return done

    def wait_until_finished(self) -> None:
        """Wait until the run has ended, however long that takes.

        Raises:
            NotThereError: the run is deleted meanwhile.
        """
        while True:
            state = part(self._execute(operations.RUN_STATE), "project", "run", "state")
            if state is None:
                raise NotThereError(f"there is no run {'/'.join(self.path)}")
            self._attrs["state"] = state
            if state in _ENDED:
                return
            time.sleep(_POLL_S)

    # --- files -------------------------------------------------------------------------------

    @refusing
    def files(
        self, names: Sequence[str] | None = None, pattern: str | None = None, per_page: int = 50
    ) -> Files:
        """Return the files of the run.

        Args:
            names: only these.
            pattern: only names like it, in the manner of SQL's LIKE.
            per_page: length of a page.
        """
        return Files(self._remote, self, names, per_page, pattern=pattern)

    def file(self, name: str) -> File:
        """Return a file of the run.

        Raises:
            NotThereError: it has none of this name.
        """
        for found in self.files([name]):
            return found
        raise NotThereError(f"run {'/'.join(self.path)} has no file {name!r}")

    @refusing
    def upload_file(self, path: str | os.PathLike[str], root: str | os.PathLike[str] = ".") -> File:
        """Put a file into the run; return it as the server has it.

        Args:
            path: the file.
            root: a folder above it; the file's name in the run is its path from there.

        Raises:
            RefusedError: there is no such file, it is not below `root`, or the server refuses it.
            CommError: it cannot be sent.
        """
        return self.file(uploaded(self._remote, self, path, root))

    @refusing
    def console_logs(self, *, per_page: int = 1_000, last: int | None = None) -> ConsoleLogs:
        """Return what the run's processes wrote to their consoles, line by line.

        Args:
            per_page: length of a page.
            last: only so many lines from the end; None: all.
        """
        return ConsoleLogs(self._remote, self, per_page, last)

    @property
    def sweep(self) -> None:
        """The sweep that the run belongs to: None where it belongs to none.

        Raises:
            AbsentError: it belongs to one; trackd has no sweeps.
        """
        if self.sweep_name:
            raise AbsentError("Run", "sweep", elsewhere("sweeps"))

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What the run ran on, from its file `wandb-metadata.json`; None: it has none."""
        import tempfile

        for found in self.files(["wandb-metadata.json"]):
            with tempfile.TemporaryDirectory() as folder, found.download(folder) as file:
                return json.load(file)
        return None

    # --- artifacts ---------------------------------------------------------------------------

    @refusing
    def logged_artifacts(self, per_page: int = 100) -> RunArtifacts:
        """Return the artifacts that the run logged."""
        from trackd.api.versions import RunArtifacts  # artifacts know runs

        return RunArtifacts(self._remote, self, "logged", per_page)

    @refusing
    def used_artifacts(self, per_page: int = 100) -> RunArtifacts:
        """Return the artifacts that the run used."""
        from trackd.api.versions import RunArtifacts  # artifacts know runs

        return RunArtifacts(self._remote, self, "used", per_page)

    def use_artifact(self, artifact: Artifact, use_as: str | None = None) -> Artifact:
        """Note that the run used an artifact; return it.

        Args:
            artifact: of `Api.artifact`.
            use_as: accepted and ignored.

        Raises:
            RefusedError: it is no artifact of a server.
        """
        from trackd.remote.operations import USE_ARTIFACT

        del use_as
        _check_logged(artifact)
        self._remote.execute(
            USE_ARTIFACT,
            {
                "entityName": self.entity,
                "projectName": self.project,
                "runName": self.id,
                "artifactID": artifact.id,
                "artifactEntityName": artifact.entity,
                "artifactProjectName": artifact.project,
            },
        )
        return artifact

    def log_artifact(
        self,
        artifact: Artifact,
        aliases: Iterable[str] | None = None,
        tags: Iterable[str] | None = None,
    ) -> Artifact:
        """Note that the run made an artifact of its project; return it.

        Args:
            artifact: of `Api.artifact`.
            aliases: to add to it.
            tags: to add to it.

        Raises:
            RefusedError: it is no artifact of a server, or of another project.
        """
        _check_logged(artifact)
        if (self.entity, self.project) != (artifact.source_entity, artifact.source_project):
            raise RefusedError(
                f"log_artifact(): {artifact.source_qualified_name} is of another project than run "
                f"{'/'.join(self.path)}: use_artifact() it, or log a new one"
            )
        collection = artifact.source_name.partition(":")[0]
        made = {
            "entityName": self.entity,
            "projectName": self.project,
            "runName": self.id,
            "artifactTypeName": artifact.type,
            "artifactCollectionName": collection,
            "digest": artifact.digest,
            "digestAlgorithm": artifact.digest_algorithm.value,
            "enableDigestDeduplication": True,
            "aliases": [
                {"artifactCollectionName": collection, "alias": alias} for alias in aliases or ()
            ],
            "tags": [{"tagName": tag} for tag in tags or ()],
        }
        self._remote.execute(artifact_operations.CREATE_ARTIFACT, {"input": made})
        return artifact


def _check_logged(artifact: object) -> None:
    """Refuse what is no artifact of a server.

    Raises:
        RefusedError: it is not.
    """
    from trackd.artifacts import Artifact  # artifacts know runs

    if not isinstance(artifact, Artifact):
        raise RefusedError(f"{artifact!r} is no artifact: give one of Api().artifact(name)")
    if artifact.is_draft():
        raise RefusedError(
            f"artifact {artifact.name!r} is on no server yet: log it in a run that is open, or put "
            "it there with `trackd artifact put`"
        )
