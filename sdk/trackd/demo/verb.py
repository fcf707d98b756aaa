"""`trackd demo`: trains on handwritten digits in several ranks that share one run."""

from __future__ import annotations

import importlib.util
import secrets
import sys
import tempfile
from pathlib import Path

import click

import trackd

#: Modules beyond the SDK's own, and the packages that bring them.
_NEEDS = {"numpy": "numpy", "sklearn": "scikit-learn"}


def _project(_: click.Context, option: click.Parameter, name: str) -> str:
    try:
        trackd.Settings(project=name)
    except (ValueError, trackd.UsageError) as error:
        raise click.BadParameter(str(error), param=option) from None
    return name


@click.command(short_help="See it work: train a small network in several ranks, one run.")
@click.option("--steps", default=10_000, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--ranks", default=4, show_default=True, type=click.IntRange(1, 64))
@click.option(
    "--project", default="demo", show_default=True, callback=_project, help="Project of the run."
)
@click.option("--kill-agent", is_flag=True, help="Kill the agent (SIGKILL) in the middle.")
def demo(steps: int, ranks: int, project: str, kill_agent: bool) -> None:
    """Train a small network on real data in several ranks that share one run and one agent.

    Example: trackd demo --kill-agent
    """
    missing = [package for name, package in _NEEDS.items() if not importlib.util.find_spec(name)]
    if missing:
        raise click.ClickException(
            f"the demonstration needs {' and '.join(missing)} (the extra `demo`): "
            f"{sys.executable} -m pip install {' '.join(missing)}"
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
