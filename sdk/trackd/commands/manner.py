"""What all verbs have in common: options, exit statuses, tables, sizes."""

from __future__ import annotations

import functools
import json
import shutil
import sys
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trackd.api import Api
    from trackd.artifacts import Artifact

_P = ParamSpec("_P")
REFUSED, NO_SUCH_THING, NO_ANSWER = 1, 3, 4
_KIB = 1024
_GAP = "  "
#: So long a server is waited for, repetitions included, in seconds.
_ANSWER_S = 20.0
#: Width of a table in a pipe: what reads it must not find words cut.
_PIPE_WIDTH = 10_000


def verb(function: Callable[_P, None]) -> Callable[_P, None]:
    """Give a verb `--json` and `--base-url`, and make errors one line and an exit status."""

    @functools.wraps(function)
    def reporting(*args: _P.args, **options: _P.kwargs) -> None:
        from trackd.api.errors import NotThereError, is_refusal
        from trackd.errors import CommError, Error

        try:
            function(*args, **options)
        except BrokenPipeError:  # `| head` has enough: click knows what to do
            raise
        except (NotThereError, FileNotFoundError) as error:
            fail(str(error), NO_SUCH_THING)
        except (ValueError, TypeError, OSError) as error:  # RefusedError is a ValueError, too
            fail(str(error), REFUSED)
        except CommError as error:
            fail(str(error), REFUSED if is_refusal(error) else NO_ANSWER)
        except Error as error:
            fail(str(error), REFUSED)

    with_server = click.option(
        "--base-url", default="", help="Server to ask; default: as configured."
    )
    with_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    return with_json(with_server(reporting))


def api_of(base_url: str) -> Api:
    """Return the server to ask: one that is away is told soon."""
    from trackd.api import Api

    return Api({"base_url": base_url}, timeout=_ANSWER_S)


def version_of(api: Api, name: str, type_: str | None = None) -> Artifact:
    """Return the version of a name.

    Raises:
        NotThereError: there is none; says how to write a name that lacks its project.
    """
    from trackd.api import NotThereError

    try:
        return api.artifact(name, type_)
    except NotThereError as error:
        if "/" in name or api.settings["project"]:
            raise
        raise NotThereError(f"{error}; write PROJECT/{name}, or set TRACKD_PROJECT") from error


def fail(message: str, status: int) -> NoReturn:
    """Say what went wrong, and leave."""
    context = click.get_current_context()
    click.echo(f"{context.command_path}: {message}", err=True)
    sys.exit(status)


def print_json(value: object) -> None:
    """Print JSON for programs."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=1, default=str))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; a heading that starts with `>` is of numbers. The last column may be cut."""
    lines = [[heading.lstrip(">") for heading in headings], *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(headings))]
    screen = shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPE_WIDTH
    for line in lines:
        cells = [
            cell.rjust(width) if heading.startswith(">") else cell.ljust(width)
            for cell, width, heading in zip(line, widths, headings, strict=True)
        ]
        click.echo(_GAP.join(cells)[:screen].rstrip())


def note(text: str) -> None:
    """Say something that is no part of the answer."""
    click.echo(text, err=True)


def print_facts(facts: dict[str, Any]) -> None:
    """Print names and values, one a line; empty ones are left out."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        if value in (None, "", [], {}):
            continue
        if isinstance(value, bool):
            value = "yes" if value else "no"
        elif isinstance(value, list):
            value = ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(value, dict):
            value = json.dumps(value, ensure_ascii=False)
        click.echo(f"{name:<{width}}{_GAP}{value}")


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < _KIB:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _KIB
    return f"{value:.1f} TiB"


def moment(stamp: str | None) -> str:
    """Return a time as people read it."""
    return (stamp or "")[:19].replace("T", " ")
