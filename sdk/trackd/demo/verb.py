"""`trackd demo`: trains on handwritten digits in several ranks that share one run."""

from __future__ import annotations

import importlib.util
import secrets
import sys
import tempfile
from pathlib import Path

import click

_NEEDS = ("numpy", "sklearn")


@click.command()
@click.option("--steps", default=10_000, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--ranks", default=4, show_default=True, type=click.IntRange(1, 64))
@click.option("--project", default="demo", show_default=True, help="Project of the run.")
@click.option("--kill-agent", is_flag=True, help="Kill the agent (SIGKILL) in the middle.")
def demo(steps: int, ranks: int, project: str, kill_agent: bool) -> None:
    """Train a small network on real data in several ranks that share one run and one agent.

    Example: trackd demo --kill-agent
    """
    if missing := [name for name in _NEEDS if importlib.util.find_spec(name) is None]:
        raise click.ClickException(
            f"the demonstration needs {' and '.join(missing)}: "
            f"install the extra with {sys.executable} -m pip install 'trackd[demo]'"
        )
    from trackd.demo.launch import Launch

    with tempfile.TemporaryDirectory(prefix="trackd-demo-") as folder:
        launch = Launch(
            run_id=f"digits-{secrets.token_hex(3)}",
            project=project,
            steps=steps,
            ranks=ranks,
            socket=Path(folder) / "ring.sock",
        )
        sys.exit(launch.run(kill_agent=kill_agent))
