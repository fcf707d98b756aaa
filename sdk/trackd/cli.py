"""The `trackd` command: finds the verb among the installed ones and runs it.

Verbs are entry points of the group `trackd.verbs`, one click command each, loaded only when
used; a verb may be a group of such itself (`trackd.verbs.artifact`). `trackd --help` shows the
first line of a verb's help, for which all verbs load.
"""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from trackd import __version__

_GROUP = "trackd.verbs"


class Verbs(click.Group):
    """A group whose commands are entry points.

    Args:
        verbs_of: name of the group of entry points.
        options: those of a click group.
    """

    def __init__(self, *args: Any, verbs_of: str = _GROUP, **options: Any) -> None:
        options.setdefault("context_settings", {"help_option_names": ["-h", "--help"]})
        super().__init__(*args, **options)
        self.verbs_of = verbs_of

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all installed verbs."""
        del ctx
        return sorted(self._verbs())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one verb."""
        del ctx
        entry = self._verbs().get(cmd_name)
        if entry is None:
            return None
        loaded = entry.load()
        assert isinstance(loaded, click.Command), f"{entry.value} is not a click command"
        return loaded

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; of one that does not exist the error names those spelled alike."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if not (alike := get_close_matches(args[0], self.list_commands(ctx))):
                raise
            message = f"{error.message} Did you mean {' or '.join(alike)}?"
            raise click.UsageError(message, ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs; one that cannot be loaded (a missing extra) says why."""
        rows: list[tuple[str, str]] = []
        for name in self.list_commands(ctx):
            try:
                command = self.get_command(ctx, name)
            except ImportError as error:
                rows.append((name, f"(not available: {error})"))
            else:
                rows.append((name, command.get_short_help_str(80) if command else ""))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _verbs(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=self.verbs_of)}


@click.command(cls=Verbs)
@click.version_option(__version__, prog_name="trackd")
def trackd() -> None:
    """One agent daemon per node for machine-learning training.

    Example: trackd status
    """


def main() -> None:
    """Run the command line."""
    try:
        trackd(prog_name="trackd")
    except ImportError as error:
        missing = error.name or str(error)
        click.echo(
            f"trackd: {missing} is missing: install it, or the extra that needs it", err=True
        )
        sys.exit(1)
