"""`trackd artifact put`: a file, folder or reference becomes a version."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trackd.commands.describing import facts_of
from trackd.commands.manner import note, print_json, verb
from trackd.remote.operations import VIEWER

if TYPE_CHECKING:
    from trackd.artifacts import Artifact

_JOB_TYPE = "cli_put"
_SCHEME = "://"
#: A server that does not answer in this time is told, rather than waited for; in seconds.
_ANSWER_S = 30.0


@click.command()
@click.argument("path")
@click.option("-n", "--name", required=True, help="[[ENTITY/]PROJECT/]COLLECTION to put it into.")
@click.option("-t", "--type", "type_", default="dataset", show_default=True, help="Its type.")
@click.option("-a", "--alias", "aliases", multiple=True, help="Alias besides `latest`, repeatable.")
@click.option("--tag", "tags", multiple=True, help="Tag of the version, repeatable.")
@click.option("-d", "--description", default=None, help="Free text.")
@click.option("-m", "--metadata", default="", help="JSON object with facts about it.")
@click.option(
    "--policy",
    type=click.Choice(["mutable", "immutable"]),
    default="mutable",
    show_default=True,
    help="Copy the files first, or send them from where they are: they must not change then.",
)
@verb
def put(  # noqa: PLR0913 - one for each option
    path: str,
    name: str,
    type_: str,
    aliases: tuple[str, ...],
    tags: tuple[str, ...],
    description: str | None,
    metadata: str,
    policy: str,
    *,
    base_url: str,
    as_json: bool,
) -> None:
    """Put a file, a folder or a reference (s3://…, gs://…, https://…) on the server.

    What is there already is not sent again; contents equal to the latest version make no new one.
    A NAME without its project means the one that is set (TRACKD_PROJECT), else `uncategorized`.

    Example: trackd artifact put weights/ -n digits/model -t model -a best
    """
    from trackd.artifacts import Artifact
    from trackd.artifacts.naming import ArtifactPath

    place = ArtifactPath.parse(name)
    if place.alias:
        raise ValueError(f"name {name!r}: give the alias {place.alias!r} with --alias")
    if sys.stderr.isatty():
        note(f"reading {path} ...")
    made = Artifact(place.collection, type_, description, _object(metadata))
    _fill(made, path, policy)
    logged = _logged(made, place, list(aliases), list(tags), base_url)
    if as_json:
        print_json(facts_of(logged))
    else:
        click.echo(logged.qualified_name)


def _object(metadata: str) -> dict[str, Any]:
    """Return the metadata of an option.

    Raises:
        ValueError: it is no JSON.
        TypeError: it is no JSON object.
    """
    try:
        found = json.loads(metadata or "{}")
    except ValueError as error:
        raise ValueError(f"--metadata {metadata!r} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise TypeError(f"--metadata {metadata!r}: give a JSON object")
    return found  # pyright: ignore[reportUnknownVariableType]


def _fill(made: Artifact, path: str, policy: str) -> None:
    """Add what a path means.

    Raises:
        FileNotFoundError: nothing is there.
    """
    if _SCHEME in path:
        made.add_reference(path)
    elif Path(path).is_dir():
        made.add_dir(path, policy=policy)
    elif Path(path).exists():
        made.add_file(path, policy=policy)
    else:
        raise FileNotFoundError(f"{path}: there is no such file or folder")


def _logged(
    made: Artifact, place: Any, aliases: list[str], tags: list[str], base_url: str
) -> Artifact:
    """Log an artifact in a run of its own; return it as the server has it.

    Raises:
        AuthenticationError: the server does not take the key.
        CommError: it does not answer; a run would wait for it.
    """
    import trackd
    from trackd.artifacts.naming import DEFAULT_PROJECT
    from trackd.artifacts.online.progress import Trouble
    from trackd.artifacts.online.saves import Save
    from trackd.remote.connection import Remote

    shown = Remote.of_server(base_url)
    with Trouble(shown.settings, "`artifact put`") as trouble:
        trouble.note("the server does not answer yet")
        shown.execute(VIEWER, timeout_s=_ANSWER_S)
    settings: dict[str, Any] = {"silent": True, "console": "off", "x_disable_stats": True}
    if base_url:
        settings["base_url"] = base_url
    run = trackd.init(
        entity=place.entity or None,
        # never that of the folder which the command line is installed in, as for a training script
        project=place.project or shown.settings.project or DEFAULT_PROJECT,
        name=f"put {made.name}",
        job_type=_JOB_TYPE,
        mode="online",
        settings=settings,
    )
    try:
        logged = run.log_artifact(made, aliases=aliases or None, tags=tags or None)
        logged.attach_save(Save(shown, logged.client_id, logged.name))  # its bar, and no line more
        logged.wait()
    except BaseException:
        run.finish(exit_code=1)
        raise
    run.finish()
    return logged
