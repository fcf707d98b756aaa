"""The methods of `Run` that are about artifacts; `trackd.artifacts` does what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd.runs.facts import RunFacts

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from trackd.artifacts import Artifact
    from trackd.artifacts.code import Filter
    from trackd.backends import Backend
    from trackd.remote.connection import Remote


class RunArtifacts(RunFacts):
    """What a run makes and uses."""

    __slots__ = ()

    @property
    def backend(self) -> Backend:
        """Where records go."""
        return self._backend

    @property
    def remote(self) -> Remote:
        """The server of the run."""
        if self._remote is None:
            from trackd.remote.connection import Remote  # only where a server is asked

            self._remote = Remote(self.settings)
        return self._remote

    def log_artifact(
        self,
        artifact_or_path: Artifact | str | os.PathLike[str],
        name: str | None = None,
        type: str | None = None,
        aliases: Iterable[str] | None = None,
        tags: Iterable[str] | None = None,
    ) -> Artifact:
        """Record an artifact as an output of the run; its contents cannot change afterwards.

        Args:
            artifact_or_path: an `Artifact`, or a file, folder or URI to make one of.
            name: of the artifact made of a path; default: `run-<id>-<base name>`.
            type: of the artifact made of a path; default: `unspecified`.
            aliases: of the version; `latest` is always one.
            tags: of the version.

        Returns:
            The artifact. A disabled run returns an object that accepts everything.

        Raises:
            ValueError: nothing is at the path, or a refused name, type, alias, tag or metadata.
            TypeError: neither an artifact nor a path, or metadata that is not JSON.
            UsageError: the run is finished.
        """
        from trackd.artifacts import logging_calls

        if self.disabled:
            return logging_calls.accept_everything()
        self.require_open("log_artifact()")
        given = (artifact_or_path, name, type)
        return logging_calls.log(self, *given, aliases=aliases, tags=tags)

    def upsert_artifact(
        self,
        artifact_or_path: Artifact | str | os.PathLike[str],
        name: str | None = None,
        type: str | None = None,
        aliases: Iterable[str] | None = None,
        distributed_id: str | None = None,
    ) -> Artifact | None:
        """Record a part of a version to which several processes contribute.

        Args:
            artifact_or_path: see `log_artifact`.
            name: see `log_artifact`.
            type: see `log_artifact`.
            aliases: see `log_artifact`.
            distributed_id: text that all contributing processes share; default: the group.

        Returns:
            The artifact; None for a disabled run.

        Raises:
            TypeError: neither a group nor a distributed id.
            UsageError: the run is finished.
        """
        options = {"name": name, "type_": type, "aliases": aliases, "finalize": False}
        return self._log_part("upsert_artifact()", artifact_or_path, distributed_id, options)

    def finish_artifact(
        self,
        artifact_or_path: Artifact | str | os.PathLike[str],
        name: str | None = None,
        type: str | None = None,
        aliases: Iterable[str] | None = None,
        distributed_id: str | None = None,
    ) -> Artifact | None:
        """Record the last part of a version to which several processes contributed.

        Args:
            artifact_or_path: see `log_artifact`.
            name: see `log_artifact`.
            type: see `log_artifact`.
            aliases: see `log_artifact`.
            distributed_id: see `upsert_artifact`.

        Returns:
            The artifact; None for a disabled run.

        Raises:
            TypeError: neither a group nor a distributed id.
            UsageError: the run is finished.
        """
        options = {"name": name, "type_": type, "aliases": aliases}
        return self._log_part("finish_artifact()", artifact_or_path, distributed_id, options)

    def use_artifact(
        self,
        artifact_or_name: str | Artifact,
        type: str | None = None,
        aliases: Iterable[str] | None = None,
        use_as: str | None = None,
    ) -> Artifact | None:
        """Name an artifact as an input of the run.

        Args:
            artifact_or_name: an artifact, or `[[entity/]project/]name[:alias]`.
            type: that it must have.
            aliases: to give to a draft.
            use_as: accepted and ignored.

        Returns:
            The artifact; None for a disabled run.

        Raises:
            TypeError: the run is offline.
            ValueError: there is no such artifact, or it has another type.
            UsageError: the run is finished.
            CommError: the server refuses, or does not answer.
        """
        from trackd.artifacts import logging_calls

        if self.disabled:
            return None
        self.require_open("use_artifact()")
        if use_as is not None:
            self._terminal.warn("use_artifact(use_as=...) is deprecated and ignored: leave it out")
        return logging_calls.use(self, artifact_or_name, type, aliases)

    def link_artifact(
        self, artifact: Artifact, target_path: str, aliases: Iterable[str] | None = None
    ) -> Artifact | None:
        """Link an artifact to a collection; a draft is logged first.

        Args:
            artifact: to link.
            target_path: of the collection, such as `wandb-registry-<registry>/<collection>`.
            aliases: of the link.

        Returns:
            The link; None for a disabled run.

        Raises:
            NotImplementedError: the run is offline.
            ValueError: a refused path or alias, or no organization for a registry.
            UsageError: the run is finished.
            CommError: the server refuses, or does not answer.
        """
        from trackd.artifacts import logging_calls

        if self.disabled:
            return None
        self.require_open("link_artifact()")
        return logging_calls.link(self, artifact, target_path, aliases)

    def log_model(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        aliases: Iterable[str] | None = None,
    ) -> None:
        """Record files as an artifact of type `model`.

        Args:
            path: file, folder or URI.
            name: see `log_artifact`.
            aliases: see `log_artifact`.

        Raises:
            ValueError: see `log_artifact`.
            UsageError: the run is finished.
        """
        self.log_artifact(path, name, "model", aliases)

    def use_model(self, name: str) -> str | None:
        """Download the files of a model.

        Args:
            name: `[[entity/]project/]name:alias`.

        Returns:
            The only file, or the folder of several; None for a disabled run.

        Raises:
            RuntimeError: the run is offline.
            AssertionError: the type of the artifact is not that of a model.
            ValueError: there is no such artifact.
            UsageError: the run is finished.
            CommError: the server refuses, or does not answer.
        """
        from trackd.artifacts import logging_calls

        if self.disabled:
            return None
        self.require_open("use_model()")
        return logging_calls.use_model(self, name)

    def link_model(
        self,
        path: str | os.PathLike[str],
        registered_model_name: str,
        name: str | None = None,
        aliases: Iterable[str] | None = None,
    ) -> Artifact | None:
        """Record files as a model, and link it to a registered one.

        Args:
            path: file, folder or URI.
            registered_model_name: plain name, without entity and project.
            name: see `log_artifact`.
            aliases: of the link.

        Returns:
            The link; None for a disabled run.

        Raises:
            AssertionError: the registered name is a path, or the artifact no model.
            NotImplementedError: the run is offline.
            UsageError: the run is finished.
            CommError: the server refuses, or does not answer.
        """
        from trackd.artifacts import logging_calls

        if self.disabled:
            return None
        self.require_open("link_model()")
        given = (path, registered_model_name, name, aliases)
        return logging_calls.link_model(self, *given)

    def log_code(
        self,
        root: str | None = ".",
        name: str | None = None,
        include_fn: Filter | None = None,
        exclude_fn: Filter | None = None,
    ) -> Artifact | None:
        """Record source files as an artifact of type `code`.

        Args:
            root: folder in which they lie.
            name: of the artifact; default: `source-<project>-<program>`.
            include_fn: takes a path, or a path and the root, and tells whether a file belongs to
                it; default: Python source, Dockerfiles and `requirements.txt`.
            exclude_fn: the same for files to leave out; default: what is in `wandb/` and
                `.wandb/`. Our own run folders are left out in any case.

        Returns:
            The artifact; None when there are no such files, and for a disabled run.

        Raises:
            UsageError: the run is finished.
        """
        from trackd.artifacts import code

        if self.disabled:
            return None
        self.require_open("log_code()")
        filters = (include_fn or code.is_source, exclude_fn or code.is_in_folder_of_runs)
        return code.log_code(self, root, name, *filters)

    def _use_in_config(self, value: Any) -> Artifact:
        from trackd.artifacts import in_config

        return in_config.use(self, value)

    def _log_part(
        self, call: str, what: Any, distributed_id: str | None, options: dict[str, Any]
    ) -> Artifact | None:
        from trackd.artifacts import logging_calls

        if self.disabled:
            return None
        self.require_open(call)
        return logging_calls.log_part(self, call, what, distributed_id, **options)
