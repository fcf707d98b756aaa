"""`trackd top`: node, devices and ranks, live."""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from trackd_agent.daemon.admin_client import AdminClient
    from trackd_agent.daemon.node_tables import Rates
    from trackd_proto.v1.admin_pb2 import ReadNodeResponse

    #: Waits so many seconds; returns whether the user wants to leave.
    Quit = Callable[[float], bool]

NO_AGENT_STATUS = 3
#: Between the two readings that a single picture with rates takes.
_ONCE_S = 0.5


@click.command()
@click.option("--once", is_flag=True, help="Print one picture and leave.")
@click.option(
    "--interval",
    "interval_s",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0.2, max=3600),
    help="Seconds between two pictures.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def top(*, once: bool, interval_s: float, as_json: bool) -> None:
    """Show what the node, its devices and its ranks do, until q or Ctrl-C.

    What is shown is read for this command; the runs' own metrics are not affected. In a pipe the
    pictures follow one another as plain text. Exit status 3: no agent runs.

    Example: trackd top --once
    """
    from trackd_agent.daemon.admin_client import NoAgent, connected

    try:
        with connected() as client, contextlib.suppress(KeyboardInterrupt):
            if as_json:
                _print_json(client, interval_s, once=once)
            elif once or not sys.stdout.isatty():
                _print_plain(client, interval_s, once=once)
            else:
                _live(client, interval_s)
    except NoAgent as error:
        click.echo(str(error), err=True)
        sys.exit(NO_AGENT_STATUS)


def _pictures(
    client: AdminClient, interval_s: float, *, once: bool
) -> Generator[tuple[ReadNodeResponse, Rates]]:
    """Yield readings with the rates since the one before; waits before each but the first."""
    from trackd_agent.daemon.node_tables import Rates

    earlier = client.read_node()
    if not once:
        yield earlier, Rates.between(None, earlier)
    while True:
        time.sleep(_ONCE_S if once else interval_s)
        node = client.read_node()
        yield node, Rates.between(earlier, node)
        if once:
            return
        earlier = node


def _print_json(client: AdminClient, interval_s: float, *, once: bool) -> None:
    from trackd_agent.daemon.admin_client import as_plain

    for node, _ in _pictures(client, interval_s, once=once):
        print(json.dumps(as_plain(node)), flush=True)  # noqa: T201 - what was asked for


def _print_plain(client: AdminClient, interval_s: float, *, once: bool) -> None:
    from trackd_agent.daemon import node_tables

    for node, rates in _pictures(client, interval_s, once=once):
        click.echo(node_tables.plain(node, rates) + ("" if once else "\n"))


def _live(client: AdminClient, interval_s: float) -> None:
    """Draw on the terminal's other screen; with plain text where rich is not installed."""
    try:
        from rich.live import Live
    except ImportError:
        _print_plain(client, interval_s, once=False)
        return
    from trackd_agent.daemon import node_tables
    from trackd_agent.daemon.tables import drawn

    earlier = None
    with _keys() as is_quit, Live(screen=True, auto_refresh=False) as live:
        while True:
            node = client.read_node()
            rates = node_tables.Rates.between(earlier, node)
            earlier = node
            live.update(drawn(node_tables.headline(node, rates), node_tables.sections(node, rates)))
            live.refresh()
            if is_quit(interval_s):
                return


@contextlib.contextmanager
def _keys() -> Generator[Quit]:
    """Let single keys through for a while; yields what waits for a `q`."""
    import termios
    import tty

    if not sys.stdin.isatty():
        yield _sleep
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield _pressed_q
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _pressed_q(seconds: float) -> bool:
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready) and os.read(sys.stdin.fileno(), 1) in (b"q", b"Q", b"")
