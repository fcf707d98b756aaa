"""What `Run.log_artifact` and its kin do."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from trackd.artifacts import rules
from trackd.artifacts.artifact import Artifact
from trackd.artifacts.naming import ArtifactPath
from trackd.artifacts.notices import warn
from trackd.artifacts.online import lookup
from trackd.artifacts.online.saves import Save
from trackd.errors import CommError
from trackd.logs import LOGGER
from trackd.remote.operations import USE_ARTIFACT, USE_ARTIFACT_PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackd.artifacts.run_methods import RunArtifacts
    from trackd.remote.connection import Remote

_DEFAULT_TYPE = "unspecified"
#: What the type of a model has in it, and the project of registered models.
_MODEL, _MODELS = "model", "model-registry"
#: How long the agent may take to make the run at the server, and how often is asked, in seconds.
_ARRIVAL_S, _POLL_S = 20.0, 0.05
#: A server that takes longer to tell a type, in seconds, is not waited for in a training loop: one
#: that is away is told of at once, and one that hangs refuses the version later.
_TYPE_TIMEOUT_S = 1.0
#: Nor is one that did not answer asked again so soon, in seconds.
_QUIET_S = 60.0
_MAX_KNOWN_TYPES = 1_000
#: Feature of servers that ask through which collection an artifact was found.
_TELLS_PLACE = "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION"


class AcceptsEverything:
    """What a disabled run returns for an artifact: every attribute and call is this again."""

    def __getattr__(self, name: str) -> AcceptsEverything:
        return self

    def __call__(self, *args: object, **options: object) -> AcceptsEverything:
        """Return this again."""
        return self


def accept_everything() -> Artifact:
    """Return what stands for an artifact in a disabled run."""
    return cast("Artifact", AcceptsEverything())


def log(  # noqa: PLR0913 - what a version says beside its contents
    run: RunArtifacts,
    what: Artifact | str | os.PathLike[str],
    name: str | None = None,
    type_: str | None = None,
    *,
    aliases: Iterable[str] | None = None,
    tags: Iterable[str] | None = None,
    distributed_id: str | None = None,
    finalize: bool = True,
    use_after_commit: bool = False,
) -> Artifact:
    """Record an artifact as an output of a run; see `Run.log_artifact`."""
    version = Version(
        rules.checked_aliases(aliases), rules.checked_tags(tags), finalize, use_after_commit
    )
    artifact = _artifact_of(run, what, name, type_)
    artifact.finalize()
    artifact.metadata = artifact.metadata  # its contents may have been changed: checked again
    artifact.distributed_id = distributed_id
    if not run.offline:
        _check_place(run, artifact)
    record(run, artifact, version)
    return artifact


class Version(NamedTuple):
    """What a logged version says beside its contents."""

    aliases: Iterable[str] | None = None
    tags: Iterable[str] | None = None
    #: False: other processes add parts to it.
    finalize: bool = True
    #: The run uses it, rather than having made it.
    use_after_commit: bool = False


def record(run: RunArtifacts, artifact: Artifact, version: Version | None = None) -> None:
    """Record an artifact in whatever mode its run is."""
    folder = Path(run.sync_dir).absolute()
    version = version or Version()
    try:
        artifact.copy_left_files(None if run.offline else run.remote)
        made = artifact.to_record(
            folder,
            aliases=version.aliases,
            tags=version.tags,
            finalize=version.finalize,
            use_after_commit=version.use_after_commit,
            history_step=_step_of(run),
        )
    except OSError as error:  # the disk is full: training goes on
        warn(f"artifact {artifact.name!r} cannot be recorded: {error}")
        return
    place = run.backend.recorder.place
    if place is not None:
        place.record_artifact(made)
    if not run.offline:
        artifact.note_files()
        artifact.attach_save(Save(run.remote, artifact.client_id, artifact.name))


def _step_of(run: RunArtifacts) -> int | None:
    """Return the number of the open row; None: nothing was logged, or rows have no numbers."""
    return None if run.settings.mode == "shared" else run.backend.recorder.step or None


def _check_place(run: RunArtifacts, artifact: Artifact) -> None:
    """Refuse an artifact that cannot be a version of its collection.

    A server that does not answer soon hinders nothing: it refuses the version itself, which
    `wait()` raises, and a line on the terminal tells.

    Raises:
        ValueError: the collection has another type, or the draft is of another project.
    """
    place = ArtifactPath(artifact.name, run.project, run.entity)
    known = _known_type(run.remote, place)
    if known is not None and known != artifact.type:
        raise ValueError(
            f"artifact {artifact.name!r} is of type {known!r} at the server: a version of type "
            f"{artifact.type!r} needs another name"
        )
    _remember(run.remote.types, str(place), artifact.type)
    home = artifact.home
    if home is None:
        return
    entity = run.entity or run.remote.default_entity
    if (home.entity, home.project) != (entity, run.project):
        raise ValueError(
            f"artifact {artifact.name!r} belongs to {home.entity}/{home.project}: a changed copy "
            f"cannot be logged to {entity}/{run.project}"
        )


def _known_type(remote: Remote, place: ArtifactPath) -> str | None:
    """Return the type of a collection; None: there is none, or nobody says so soon."""
    known = remote.types.get(str(place))
    if known is not None or remote.is_forked or time.monotonic() < remote.quiet_until_s:
        return known
    answers: SimpleQueue[str | Exception | None] = SimpleQueue()

    def ask() -> None:
        try:
            full = place.with_defaults(entity=remote.find_entity(_TYPE_TIMEOUT_S))
            answers.put(lookup.type_of(remote, full, _TYPE_TIMEOUT_S))
        except Exception as error:  # noqa: BLE001 - raised where the answer is wanted
            answers.put(error)

    try:
        threading.Thread(target=ask, name="trackd-type", daemon=True).start()
        answer = answers.get(timeout=_TYPE_TIMEOUT_S)
    except (Empty, RuntimeError):  # the interpreter is ending
        answer = CommError("no answer in time")
    if isinstance(answer, CommError):
        remote.quiet_until_s = time.monotonic() + _QUIET_S
        LOGGER.info("the type of collection %s is not known: %s", place, answer)
        return None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _remember(types: dict[str, str], place: str, type_: str) -> None:
    if len(types) >= _MAX_KNOWN_TYPES:
        types.clear()
    types[place] = type_


def log_part(
    run: RunArtifacts,
    call: str,
    what: Artifact | str | os.PathLike[str],
    distributed_id: str | None,
    **options: Any,
) -> Artifact:
    """Record a part of a version to which several processes contribute, or its end."""
    if distributed_id is None and run.settings.run_group is None:
        raise TypeError(
            f"{call} needs distributed_id=..., a text that all contributing processes share, "
            "or a run with a group"
        )
    shared = run.group if distributed_id is None else distributed_id
    return log(run, what, distributed_id=shared, **options)


def use(
    run: RunArtifacts,
    what: Artifact | str,
    type_: str | None,
    aliases: Iterable[str] | None,
) -> Artifact:
    """Name an artifact as an input of a run; see `Run.use_artifact`."""
    if run.offline:
        raise TypeError(
            "use_artifact(): an offline run cannot ask a server for artifacts: use mode='online'"
        )
    if isinstance(what, str):
        artifact = lookup.find(run.remote, what, type_)
    elif isinstance(what, Artifact):  # pyright: ignore[reportUnnecessaryIsInstance]
        artifact = what
    else:
        raise ValueError(  # noqa: TRY004 - the reference's type
            f"use_artifact() needs a name or an Artifact, got {type(what).__name__}"
        )
    if artifact.is_draft():
        log(run, artifact, aliases=aliases, use_after_commit=True)
        return artifact.wait()
    _record_use(run, artifact)
    return artifact


def _record_use(run: RunArtifacts, artifact: Artifact) -> None:
    remote = run.remote
    tells_place = _TELLS_PLACE in remote.features
    variables = {
        "entityName": run.entity or remote.default_entity,
        "projectName": run.project,
        "runName": run.id,
        "artifactID": artifact.id,
    }
    if tells_place:
        variables["artifactEntityName"] = artifact.entity
        variables["artifactProjectName"] = artifact.project
    operation = USE_ARTIFACT if tells_place else USE_ARTIFACT_PLAIN
    deadline_s = time.monotonic() + _ARRIVAL_S
    while True:
        is_there = _is_at_server(run)
        try:
            remote.execute(operation, variables)
        except CommError:
            if is_there or time.monotonic() > deadline_s:
                raise
            time.sleep(_POLL_S)
        else:
            return


def _is_at_server(run: RunArtifacts) -> bool:
    """Tell whether the server surely has the run: at its beginning the agent is just making it."""
    status = run.backend.status()
    return status.sync_items_total > status.sync_items_pending


def use_model(run: RunArtifacts, name: str) -> str:
    """Use and download a model; see `Run.use_model`."""
    if run.offline:
        raise RuntimeError(
            "use_model(): an offline run cannot download from a server: use mode='online'"
        )
    artifact = use(run, name, None, None)
    _check_model(artifact, "use_model()")
    folder = artifact.download()
    found = os.listdir(folder)  # noqa: PTH208 - names
    return os.path.join(folder, found[0]) if len(found) == 1 else folder  # noqa: PTH118


def link(
    run: RunArtifacts, artifact: Artifact, target_path: str, aliases: Iterable[str] | None
) -> Artifact:
    """Link an artifact to a collection; see `Run.link_artifact`."""
    if artifact.is_draft() and not artifact.is_being_saved:
        log(run, artifact)
    if run.offline:
        raise NotImplementedError(
            f"link_artifact(): artifact {artifact.name!r} is logged, but an offline run cannot "
            "link it: link it in an online run"
        )
    target = ArtifactPath.parse(target_path)
    if not target.is_registry:
        entity = run.entity or run.remote.default_entity
        target = target.with_defaults(project=run.project, entity=entity)
    return artifact.link(str(target), aliases)


def link_model(
    run: RunArtifacts,
    path: str | os.PathLike[str],
    registered_model_name: str,
    name: str | None,
    aliases: Iterable[str] | None,
) -> Artifact:
    """Log a model and link it to a registered one; see `Run.link_model`."""
    if "/" in registered_model_name:
        raise AssertionError(
            f"link_model(): registered_model_name {registered_model_name!r} must be a plain name, "
            "without entity and project"
        )
    type_ = _MODEL
    if name is not None and not run.offline:
        try:
            earlier = lookup.find(run.remote, f"{name}:latest")
        except (ValueError, CommError):
            pass  # the first one
        else:
            _check_model(earlier, "link_model()")
            type_ = earlier.type
    entity = run.entity or ("" if run.offline else run.remote.default_entity)
    target = ArtifactPath(registered_model_name, _MODELS, entity)
    return link(run, log(run, path, name, type_), str(target), aliases)


def _check_model(artifact: Artifact, call: str) -> None:
    """Refuse what is no model.

    Raises:
        AssertionError: the type does not say that it is one.
    """
    if _MODEL not in artifact.type.lower():
        raise AssertionError(
            f"{call}: artifact {artifact.name!r} is of type {artifact.type!r}: the type of a model "
            f"has {_MODEL!r} in it"
        )


def save(artifact: Artifact, project: str | None, settings: Any) -> None:
    """Log a draft in the open run, or in one made for it; see `Artifact.save`."""
    from trackd import session  # the session knows runs, which know artifacts

    run = session.session().run
    if run is not None:
        run.log_artifact(artifact)
        return
    home = artifact.home
    entity = home.entity if home else None
    project = project or (home.project if home else None)
    settings = settings or {"silent": True}
    with session.init(entity, project, job_type="auto", settings=settings) as made:
        made.log_artifact(artifact)


def _artifact_of(
    run: RunArtifacts, what: Artifact | str | os.PathLike[str], name: str | None, type_: str | None
) -> Artifact:
    if isinstance(what, Artifact):
        return what
    try:
        path = os.fspath(what)
    except TypeError:
        raise TypeError(
            f"log_artifact() needs an Artifact or a path, got {type(what).__name__}"
        ) from None
    base = os.path.basename(path)  # noqa: PTH119 - also of URIs
    artifact = Artifact(name or f"run-{run.id}-{base}", type_ or _DEFAULT_TYPE)
    if Path(path).is_file():
        artifact.add_file(path)
    elif path and Path(path).is_dir():
        artifact.add_dir(path)
    elif "://" in path:
        artifact.add_reference(path)
    else:
        raise ValueError(f"log_artifact(): {path!r} is no file, no folder and no URI")
    return artifact
