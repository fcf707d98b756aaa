"""How the verbs about storage ask a server, and what they say where it does not answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from trackd_proto import layout

if TYPE_CHECKING:
    from trackd_agent.daemon.servers import Server

NO_SUCH_THING, NO_ANSWER = 3, 4
#: A server that looks at every byte of a large disk takes its time, in seconds.
_TIMEOUT_S = 24 * 3600.0


def asked_server(base_url: str) -> Server:
    """Return the server to ask, or leave."""
    from trackd_agent.daemon.servers import ServerUnreachable, find_server

    try:
        return find_server(layout.data_dir(), base_url)
    except ServerUnreachable as error:
        fail(str(error), NO_ANSWER)


def ask(
    server: Server, method: str, path: str, body: object = None, missing: str | None = None
) -> Any:
    """Return the JSON of an answer, or leave; `missing` is said where there is no such thing."""
    from trackd_agent.daemon.servers import NoSuchRun, ServerUnreachable

    try:
        if method == "GET":
            return server.get(path, _TIMEOUT_S)
        return server.post(path, body, _TIMEOUT_S)
    except NoSuchRun:
        fail(missing or f"{server.base_url} has no {path}", NO_SUCH_THING)
    except ServerUnreachable as error:
        fail(str(error), NO_ANSWER)


def fail(message: str, status: int) -> NoReturn:
    """Say on standard error why the verb ends, and leave."""
    click.echo(f"{click.get_current_context().command_path}: {message}", err=True)
    sys.exit(status)
