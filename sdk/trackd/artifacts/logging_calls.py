"""What `Run.log_artifact` and its kin do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from trackd.artifacts import rules
from trackd.artifacts.artifact import Artifact
from trackd.artifacts.notices import warn
from trackd.errors import UnsupportedError
from trackd_proto.records import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackd.artifacts.run_methods import RunArtifacts

_DEFAULT_TYPE = "unspecified"
_MODEL = "model"


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
) -> Artifact:
    """Record an artifact as an output of a run; see `Run.log_artifact`."""
    if not run.offline:
        _refuse_online("log_artifact()")
    rules.checked_aliases(aliases)
    rules.checked_tags(tags)
    artifact = _artifact_of(run, what, name, type_)
    artifact.finalize()
    artifact.distributed_id = distributed_id
    record(run, artifact, aliases=aliases, tags=tags, finalize=finalize)
    return artifact


def record(
    run: RunArtifacts,
    artifact: Artifact,
    *,
    aliases: Iterable[str] | None = None,
    tags: Iterable[str] | None = None,
    finalize: bool = True,
) -> None:
    """Record an artifact in whatever mode its run is."""
    folder = Path(run.sync_dir).absolute()
    try:
        made = artifact.to_record(folder, aliases=aliases, tags=tags, finalize=finalize)
    except OSError as error:  # the disk is full: training goes on
        warn(f"artifact {artifact.name!r} cannot be recorded: {error}")
        return
    run.backend.recorder.record(Kind.ARTIFACT, made)
    if not run.offline:
        warn(
            f"artifact {artifact.name!r} is kept in the run folder: its upload comes with a later "
            "version of trackd"
        )


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


def use(run: RunArtifacts) -> NoReturn:
    """Refuse to use an artifact: offline nobody has it."""
    if run.offline:
        raise TypeError(
            "use_artifact(): an offline run cannot ask a server for artifacts: use mode='online'"
        )
    _refuse_online("use_artifact()")


def use_model(run: RunArtifacts) -> NoReturn:
    """Refuse to download a model: offline nobody has it."""
    if run.offline:
        raise RuntimeError(
            "use_model(): an offline run cannot download from a server: use mode='online'"
        )
    _refuse_online("use_model()")


def link(run: RunArtifacts, artifact: Artifact) -> NoReturn:
    """Log a draft, then refuse to link it: that takes a server."""
    if not run.offline:
        _refuse_online("link_artifact()")
    log(run, artifact)
    raise NotImplementedError(
        f"link_artifact(): artifact {artifact.name!r} is logged, but an offline run cannot link "
        "it: link it in an online run"
    )


def link_model(
    run: RunArtifacts, path: str | os.PathLike[str], registered_model_name: str, name: str | None
) -> NoReturn:
    """Log a model, then refuse to link it: that takes a server."""
    if "/" in registered_model_name:
        raise AssertionError(
            f"link_model(): registered_model_name {registered_model_name!r} must be a plain name, "
            "without entity and project"
        )
    link(run, log(run, path, name, _MODEL))


def save(artifact: Artifact, project: str | None, settings: Any) -> None:
    """Log a draft in the open run, or in one made for it; see `Artifact.save`."""
    from trackd import session  # the session knows runs, which know artifacts

    run = session.session().run
    if run is not None:
        run.log_artifact(artifact)
        return
    with session.init(project, job_type="auto", settings=settings or {"silent": True}) as made:
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
    elif Path(path).is_dir():
        artifact.add_dir(path)
    elif "://" in path:
        artifact.add_reference(path)
    else:
        raise ValueError(f"log_artifact(): {path!r} is no file, no folder and no URI")
    return artifact


def _refuse_online(call: str) -> NoReturn:
    raise UnsupportedError(
        f"{call} in an online run: the upload of artifacts comes with a later version of trackd; "
        "until then log artifacts in offline runs, or save files with run.save()"
    )
