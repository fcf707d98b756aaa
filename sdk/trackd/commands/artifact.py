"""`trackd artifact`: artifacts on a server, from the shell."""

from __future__ import annotations

import click

from trackd.cli import Verbs


@click.command(cls=Verbs, verbs_of="trackd.verbs.artifact")
def artifact() -> None:
    """Put artifacts on a server, get them back, look at and compare them.

    A NAME is [[ENTITY/]PROJECT/]COLLECTION[:ALIAS], an alias `latest`, `v3` or one of your own.

    Exit status of all verbs: 0 done, 1 refused or the answer is no, 2 wrong usage, 3 there is no
    such thing, 4 the agent or the server does not answer.

    Example: trackd artifact ls digits
    """
