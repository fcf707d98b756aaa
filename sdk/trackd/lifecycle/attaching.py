"""A run in another process: what `pickle` keeps of it, and how it goes on recording there.

A process that was given a run (an argument of `multiprocessing`, a pickle in a pipe) records into
the sequence of the run's own process, just as a forked child does.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackd.backends import ChildBackend
from trackd.context import RunIdentity, WriterContext
from trackd.recording.recorder import Clock
from trackd.recording.values import config_record
from trackd.sending.discovery import Discovery
from trackd.settings import FIELDS, Settings
from trackd.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd.runs.run import Run


@dataclasses.dataclass(frozen=True)
class Ticket:
    """What another process needs to record into a run."""

    pid: int
    identity: RunIdentity
    settings: dict[str, Any]
    #: Of the process that made the run; 0 for a disabled run.
    producer: int
    is_finished: bool
    run_dir: str = ""
    url: str = ""
    step: int = 0
    #: Start of the run: seconds since 1970, and on the monotonic clock of this machine.
    start_time_s: float = 0.0
    origin_s: float = 0.0


def ticket_of(run: Run) -> Ticket:
    """Return what another process needs to record into a run."""
    identity = dataclasses.replace(run.identity, config=config_record(run.config.as_dict()))
    given = run.settings.given().items()
    # A pickle may end up anywhere; and the agent has the secrets.
    settings = {k: v for k, v in given if not callable(v) and not FIELDS[k].is_secret}
    ticket = Ticket(os.getpid(), identity, settings, 0, run.is_finished)
    shared = run.backend.shared()
    if shared is None:
        return ticket
    context, producer = shared
    return dataclasses.replace(
        ticket,
        producer=producer,
        run_dir=str(context.run_dir.absolute()),
        url=run.backend.url,
        step=run.backend.recorder.step,
        start_time_s=context.clock.start_time_s,
        origin_s=context.clock.origin_s,
    )


def enter(ticket: Ticket) -> Run:
    """Return the run in this process; called by `pickle`.

    Raises:
        RuntimeError: this is the process that the run was pickled in.
    """
    if ticket.pid == os.getpid():
        raise RuntimeError(
            f"run {ticket.identity.run_id}: a run cannot be unpickled in the process that pickled "
            "it: use the run itself"
        )
    from trackd.session import session

    return session().enter(ticket)


def join(ticket: Ticket, finish: Callable[[Run, int | None], None]) -> Run:
    """Return a run of this process that records into the sequence of the ticket's."""
    from trackd import starting

    settings = Settings(**ticket.settings)
    if not ticket.producer:
        return starting.start_disabled(ticket.identity, settings, finish)
    clock = Clock()
    clock.start_time_s, clock.origin_s = ticket.start_time_s, ticket.origin_s
    terminal = Terminal(settings)
    terminal.mute()
    run_dir = Path(ticket.run_dir)
    context = WriterContext(ticket.identity, settings, Discovery(), terminal, run_dir, clock)
    backend = ChildBackend(context, ticket.producer, ticket.step, ticket.url)
    run = starting.make_run(context, backend, finish)
    if ticket.is_finished:
        run.close()
    return run
