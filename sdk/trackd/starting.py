"""How a run begins and ends in this process: the steps of `init` and `finish`, in order."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING

from trackd import folders
from trackd import identity as identities
from trackd.backends import AgentBackend, ChildBackend, DisabledBackend
from trackd.console import ConsoleCapture, check_levels
from trackd.console.feed import feed
from trackd.context import RunIdentity, WriterContext
from trackd.errors import CommError
from trackd.lifecycle import continuing, notebooks
from trackd.lifecycle.stopping import stopper
from trackd.logs import open_debug_log
from trackd.messages import print_header
from trackd.recording.values import config_record
from trackd.run_files import environment, provenance
from trackd.runs.run import Run
from trackd.sending import monitoring
from trackd.sending.discovery import Discovery
from trackd.terminal import Terminal
from trackd.writer import Writer
from trackd_proto.layout import RunFolderFacts
from trackd_proto.records import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd.backends import Backend
    from trackd.configuration import FirstConfig
    from trackd.run_files.saving import FileSaver
    from trackd.settings import Settings


#: Exit code of a run whose `init` failed, and how long its end may take, in seconds.
_FAILED = 1
_GIVE_UP_S = 5.0
_SHARED = "mode='shared': the processes of the run number their rows each for itself"
_NO_SHARED_STEPS = (
    "log(step=...) has no effect in shared mode, where several processes write: log the step as a "
    "value and name it with run.define_metric()"
)


def identify(settings: Settings, config: FirstConfig) -> RunIdentity:
    """Return what the run is, from settings, environment and defaults; completes the settings."""
    environment.complete(settings)
    known_id = continuing.remembered_id(settings, Terminal(settings).warn)
    run_id = known_id or identities.generate_id()
    disabled = settings.mode == "disabled"
    program = settings.program or identities.program_path()
    project = settings.project or identities.default_project(program)
    if disabled and project == identities.NO_PROJECT:
        project = "dummy"
    label, is_shared = settings.x_label, settings.mode == "shared"
    label_is_explicit = bool(label)
    if label is None:
        label = identities.rank_label(os.environ)
        label = label or (identities.shared_label() if is_shared else "")
    if is_shared:
        settings.x_label = label
    settings.update({"run_id": run_id, "project": project})
    if disabled:
        settings.entity = settings.entity or "dummy"
        settings.run_name = settings.run_name or f"dummy-{run_id}"
    return RunIdentity(
        run_id=run_id,
        project=project,
        entity=settings.entity or "",
        mode=settings.mode,
        name=settings.run_name,
        group=settings.run_group,
        job_type=settings.run_job_type,
        notes=settings.run_notes,
        tags=settings.run_tags or (),
        label=label,
        label_is_explicit=label_is_explicit,
        # As read back from a record: keys of nested mappings are text, as in the reference.
        config=config.values if disabled else config_record(config.values),
        locks=config.locks,
        environment={} if disabled else environment.describe(settings),
    )


def start_disabled(
    identity: RunIdentity, settings: Settings, finish: Callable[[Run, int | None], None]
) -> Run:
    """Return a run that records nothing."""
    run = Run(identity, settings, DisabledBackend(), Terminal(settings), finish)
    run.begin(None, time.time())
    return run


def start(
    identity: RunIdentity, settings: Settings, finish: Callable[[Run, int | None], None]
) -> Run:
    """Return a run that records: attached to an agent, or to its spool until one comes.

    Raises:
        LabelInUseError: a living process writes under the label that the user gave.
        UsageError: the agent refuses the run for what it is.
        CommError: the agent refuses this process, or there is no place for a spool.
    """
    check_levels(settings.capture_loggers or {})
    context, proposal = _prepare(identity, settings)
    writer = None
    try:
        continuing.take_up(context)
        writer = Writer(context)
        attached = writer.open()
        _establish(context, proposal)
    except BaseException:
        if writer is not None:
            writer.leave(delete=True)
        folders.withdraw(proposal)
        raise
    continuing.remember(settings, identity.run_id, context.terminal.warn)
    writer.begin()
    try:
        return _begin(writer, finish, attached=attached)
    except BaseException:
        writer.finish(_FAILED, _GIVE_UP_S)  # nobody would ever end it
        raise


def _begin(writer: Writer, finish: Callable[[Run, int | None], None], *, attached: bool) -> Run:
    """Return the run of a writer that has begun, with all that goes on beside it."""
    context = writer.context
    identity, settings, terminal = context.identity, context.settings, context.terminal
    backend = AgentBackend(writer)
    logs = folders.RunFolder(context.run_dir).logs
    backend.debug_log = open_debug_log(logs, settings.x_log_level)
    run = make_run(context, backend, finish)
    print_header(run, identity.name, terminal, attached=attached)
    if identity.mode == "shared":
        writer.recorder.ignored_steps = _NO_SHARED_STEPS
        terminal.warn(_SHARED)
    provenance.keep(run, terminal.warn)
    writer.sender.news.on_url = lambda url: terminal.info(f"view the run at {url}")
    console = ConsoleCapture(writer.recorder.console, settings, terminal, run.write_logs)
    backend.console = console
    writer.sender.on_poll = console.tick
    writer.sender.news.on_stop = stopper(settings.stop_fn, terminal)
    if notebooks.in_notebook():
        backend.cells = notebooks.Cells(
            writer.recorder.skip, feed().renew, partial(monitoring.pause, writer.sender)
        )
        backend.cells.follow()
    return run


def start_in_child(
    identity: RunIdentity,
    settings: Settings,
    finish: Callable[[Run, int | None], None],
    parent_producer: int,
) -> Run:
    """Return a run of a forked process, where gRPC cannot be used: the agent reads its spool.

    Raises:
        CommError: there is no place for a spool.
    """
    context, proposal = _prepare(identity, settings)
    terminal = context.terminal
    continuing.take_up(context, can_ask=False)
    _establish(context, proposal)
    try:
        if not context.discovery.is_listening():
            context.discovery.start_agent()
    except OSError as error:  # the next agent takes the spool
        terminal.warn(f"cannot start an agent: {error}; rows are kept on disk meanwhile")
    backend = ChildBackend(context, parent_producer, identity.starting_step)
    backend.config = identity.config
    backend.is_guest = False
    recorder = backend.open()
    run = make_run(context, backend, finish)
    print_header(run, identity.name, terminal, attached=True)
    provenance.keep(run, terminal.warn)
    console = ConsoleCapture(recorder.console, settings, terminal, run.write_logs)
    backend.console = console
    console.start_ticking()
    return run


def _prepare(identity: RunIdentity, settings: Settings) -> tuple[WriterContext, folders.RunFolder]:
    """Return what the writers of a run have in common, and the folder that is proposed for it.

    Raises:
        CommError: there is no place for the folder.
    """
    terminal = Terminal(settings)
    try:
        wanted = identities.working_folder() / settings.wandb_dir
        proposal = folders.propose(
            folders.writable_root(wanted, terminal.warn),
            identity.run_id,
            offline=identity.mode == "offline",
            start_time_s=time.time(),
            suffix=settings.x_sync_dir_suffix,
        )
    except OSError as error:
        raise CommError(
            f"there is no place for the run's folder: {error}: make room, or set TRACKD_ROOT_DIR"
        ) from error
    return WriterContext(identity, settings, Discovery(), terminal, proposal.path), proposal


def _establish(context: WriterContext, proposal: folders.RunFolder) -> None:
    """Make the folder of the run: ours, or the one of the writer that came first.

    Raises:
        CommError: it cannot be made.
    """
    folder = proposal
    if context.run_dir.absolute() != proposal.path.absolute():
        folders.withdraw(proposal)
        folder = folders.RunFolder(context.run_dir)
    facts = RunFolderFacts(
        run_id=context.identity.run_id,
        project=context.identity.project,
        entity=context.identity.entity,
        mode=context.identity.mode,
        data_dir=str(context.discovery.data_dir),
        base_url=context.settings.base_url or "",
    )
    try:
        folders.establish(folder, facts)
    except OSError as error:
        raise CommError(
            f"the run's folder {folder.path} cannot be made: {error}: make room, or let all "
            "processes of a run see the same folders"
        ) from error


def make_run(
    context: WriterContext, backend: Backend, finish: Callable[[Run, int | None], None]
) -> Run:
    """Return the run that users hold, with what its methods need."""
    folder = folders.RunFolder(context.run_dir)
    run = Run(context.identity, context.settings, backend, context.terminal, finish)

    def make_saver() -> FileSaver:
        from trackd.run_files.saving import FileSaver  # few runs save files, and this loads a lot

        return FileSaver(
            folder.files,
            lambda saved: run.backend.recorder.record(Kind.FILE, saved),
            context.terminal.info,
            context.terminal.warn,
            use_symlinks=context.settings.symlink,
        )

    context.settings.run_dir = str(context.run_dir)
    context.settings.x_start_time = context.clock.start_time_s
    run.begin(make_saver, context.clock.start_time_s)
    return run
