"""The command `trackd server` as the entry point names it."""

from __future__ import annotations

from importlib.metadata import entry_points

from click.testing import CliRunner


def test_the_verb_explains_itself_with_an_example() -> None:
    (entry,) = entry_points(group="trackd.verbs", name="server")
    done = CliRunner().invoke(entry.load(), ["--help"])
    assert done.exit_code == 0
    for word in ("--dir", "--port", "--json", "--exit-on-stdin-close", "Example"):
        assert word in done.output
