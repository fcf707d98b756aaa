"""The SDK's state in this process: settings read once, open runs, exit and fork hooks."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from trackd.errors import Error
from trackd.identity import generate_producer
from trackd.lifecycle.exits import ExitHooks
from trackd.sending import quiet_grpc
from trackd.session_settings import SessionSettings, chosen_reinit
from trackd.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from trackd.configuration import FirstConfig
    from trackd.lifecycle.attaching import Ticket
    from trackd.runs.run import Run
    from trackd.settings import RunMoment, Settings

#: Names of the package that belong to the global run while there is one.
_BOUND_METHODS = (
    "log",
    "save",
    "define_metric",
    "alert",
    "mark_preempting",
    "pin_config_keys",
    "watch",
    "unwatch",
    "log_artifact",
    "use_artifact",
    "log_model",
    "use_model",
    "link_model",
)


class Session:
    """Open runs of this process and what they share."""

    def __init__(self) -> None:
        self.store = SessionSettings()
        self._runs: list[Run] = []
        #: Runs of the process from which this one was forked.
        self._inherited: list[Run] = []
        #: Runs that other processes handed over.
        self._entered: dict[tuple[str, int], Run] = {}
        #: Not 0 in a process that was forked after gRPC was in use.
        self._forked_from = 0
        self._global: Run | None = None
        #: Held while `init` is at work: threads that call it at once come one after the other.
        #: A signal handler may call it in the middle of a call.
        self.starting = threading.RLock()
        self._hooks = ExitHooks(self._at_exit, self._complain)
        self._fork_hook_installed = False

    # --- settings ----------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """Settings of all runs of this process, under those of each `init`."""
        return self.store.loaded().settings

    def set_up(self, explicit: Mapping[str, Any] | Settings | None = None) -> Settings:
        """Read settings files and environment, once, and add explicit settings."""
        return self.store.loaded(explicit).settings

    def forget(self) -> None:
        """Read settings anew at the next `init`."""
        self.store.forget()

    # --- runs --------------------------------------------------------------------------------

    @property
    def run(self) -> Run | None:
        """The global run."""
        return self._global

    def init(self, settings: Settings, config: FirstConfig) -> Run:
        """Start a run, or return the open one, as `reinit` says."""
        reinit = chosen_reinit(settings.reinit)
        runs = () if settings.mode == "disabled" else (*self._inherited, *self._runs)
        open_runs = [run for run in runs if not run.is_finished]
        if open_runs and reinit != "create_new":
            terminal = Terminal(settings)
            if reinit == "return_previous":
                if settings.resume == "must":
                    raise Error(
                        "init(resume='must'): a run is open already: finish it first, or use "
                        "reinit='finish_previous'"
                    )
                terminal.info(
                    f"init() returns the previous run {open_runs[-1].id}, which is still open "
                    "(reinit='return_previous')"
                )
                return open_runs[-1]
            terminal.info("init() is finishing previous runs (reinit='finish_previous')")
            for run in open_runs:
                run.finish()
        return self._start(settings, config)

    def _start(self, settings: Settings, config: FirstConfig) -> Run:
        quiet_grpc.load()
        from trackd import starting  # loads gRPC and what needs it, at the first run only

        identity = starting.identify(settings, config)
        if settings.mode == "disabled":
            run = starting.start_disabled(identity, settings, self.finish)
            self._bind(run)
            return run
        self._install_hooks()
        if settings.sync_tensorboard:
            importlib.import_module("trackd.integration.tensorboard").apply_to_process()
        if self._forked_from:
            run = starting.start_in_child(identity, settings, self.finish, self._forked_from)
        else:
            run = starting.start(identity, settings, self.finish)
        self._runs.append(run)
        if "trackd.integration.tensorboard" in sys.modules:
            sys.modules["trackd.integration.tensorboard"].prepare(run)
        if settings.reinit != "create_new":
            self._bind(run)
        return run

    def enter(self, ticket: Ticket) -> Run:
        """Return the run of another process, which that process shares with this one."""
        key = ticket.identity.run_id, ticket.producer
        if key not in self._entered:
            quiet_grpc.load()
            from trackd.lifecycle import attaching

            self._entered[key] = run = attaching.join(ticket, self.finish)
            if not run.is_finished:
                self._inherited.append(run)
            self._bind(run)
        return self._entered[key]

    def finish(self, run: Run, exit_code: int | None) -> None:
        """End a run; a second time does nothing. A disabled run just stops being the global one."""
        try:
            self._finish(run, exit_code)
        finally:
            if run is self._global:
                self._bind(None)

    def _finish(self, run: Run, exit_code: int | None) -> None:
        status = int(exit_code or 0)
        if run.disabled or not run.close():
            return
        for runs in (self._runs, self._inherited):
            if run in runs:
                runs.remove(run)
        from trackd.lifecycle.leaving import leave  # loads gRPC

        leave(run, status)

    def tear_down(self, exit_code: int | None) -> None:
        """Finish every open run and forget the settings; the global run stays, to be looked at."""
        problems: list[Exception] = []
        for run in [*reversed(self._runs), *self._inherited]:
            try:
                self._finish(run, exit_code)
            except Exception as error:  # noqa: BLE001 - raised when the others are finished, too
                problems.append(error)
        self.forget()
        if problems:
            raise problems[0]

    def _bind(self, run: Run | None) -> None:
        """Let the functions of the package work on this run."""
        package = sys.modules["trackd"].__dict__
        self._global = run
        if run is None:
            for name in (*_BOUND_METHODS, "config", "summary", "run"):
                package.pop(name, None)
            return
        package.update({name: getattr(run, name) for name in _BOUND_METHODS})
        package.update(run=run, config=run.config, summary=run.summary)

    @property
    def is_forked(self) -> bool:
        """Whether gRPC was in use before this process was forked: it does not work here."""
        return bool(self._forked_from)

    # --- exit and fork -----------------------------------------------------------------------

    def _install_hooks(self) -> None:
        self._hooks.install()
        if not self._fork_hook_installed:
            self._fork_hook_installed = True
            os.register_at_fork(after_in_child=self._in_child)

    def _at_exit(self) -> None:
        for run in [*reversed(self._runs), *self._inherited]:
            try:
                self.finish(run, self._hooks.exit_code)
            except Exception as error:  # noqa: BLE001 - the others want to be finished, too
                self._complain(str(error))

    def _complain(self, text: str) -> None:
        self.store.complain(text)

    def _in_child(self) -> None:
        self.starting = threading.RLock()  # the thread that held it is not in this process
        for run in [*self._runs, *self._inherited]:
            run.backend.in_child(run.use)
        self._inherited += self._runs
        self._runs = []
        self._hooks.exit_code = 0
        if "grpc" in sys.modules:  # it does not work in a forked child
            self._forked_from = self._forked_from or generate_producer()
        if self._global is not None:
            self._bind(self._global)


_session = Session()


def session() -> Session:
    """Return the session of this process."""
    return _session


def setup(settings: Settings | Mapping[str, Any] | None = None) -> Session:
    """Read settings files and environment now, and add settings for all runs of this process.

    Args:
        settings: values that win over files and environment.

    Raises:
        ValueError: a value is refused.
        UsageError: a value is refused.
    """
    session().set_up(settings)
    return session()


def teardown(exit_code: int | None = None) -> None:
    """Finish all open runs.

    Args:
        exit_code: recorded for each of them.
    """
    session().tear_down(exit_code)


def finish(exit_code: int | None = None) -> None:
    """Finish the global run; without one nothing happens.

    Args:
        exit_code: 0 (default) finished, others failed.
    """
    run = session().run
    if run is not None:
        run.finish(exit_code)


def init(  # noqa: PLR0913 - the signature of the reference
    entity: str | None = None,
    project: str | None = None,
    dir: str | os.PathLike[str] | None = None,
    id: str | None = None,
    name: str | None = None,
    notes: str | None = None,
    tags: list[str] | tuple[str, ...] | str | None = None,
    config: Any = None,
    config_exclude_keys: Collection[str] | None = None,
    config_include_keys: Collection[str] | None = None,
    allow_val_change: bool | None = None,
    group: str | None = None,
    job_type: str | None = None,
    mode: str | None = None,
    force: bool | None = None,
    reinit: str | bool | None = None,
    resume: str | bool | None = None,
    resume_from: RunMoment | str | None = None,
    fork_from: RunMoment | str | None = None,
    save_code: bool | None = None,
    tensorboard: bool | None = None,
    sync_tensorboard: bool | None = None,
    monitor_gym: bool | None = None,
    settings: Settings | Mapping[str, Any] | None = None,
    anonymous: Any = None,
) -> Run:
    """Start a run.

    Works without a network: rows go to the agent of this node, which is started when there is
    none, or to disk until one answers.

    Args:
        entity: user or team.
        project: the run belongs to; default: name of the git repository, or `uncategorized`.
        dir: where the folder `trackd` with run folders is made; default: here.
        id: of the run; several processes that name the same id share one run.
        name: to be shown.
        notes: longer description.
        tags: labels to search for.
        config: the run's parameters: dictionary, argparse namespace, absl flags, object with
            attributes, or path of a YAML file.
        config_exclude_keys: deprecated; see `trackd.helper.parse_config`.
        config_include_keys: deprecated; see `trackd.helper.parse_config`.
        allow_val_change: accepted; `init` may always set values.
        group: runs that belong together.
        job_type: kind of job, such as `train`.
        mode: `online`, `offline`, `shared` or `disabled`.
        force: accepted.
        reinit: what a second `init` does: `return_previous`, `finish_previous`, `create_new`.
        resume: `allow`, `must`, `never` or `auto`.
        resume_from: step of this run to go back to, as `<run id>?_step=<number>`.
        fork_from: step of another run to start from, as `<run id>?_step=<number>`.
        save_code: keep the program with the run.
        tensorboard: older name of `sync_tensorboard`.
        sync_tensorboard: record what is written to TensorBoard.
        monitor_gym: accepted, has no effect: log videos with `trackd.Video`.
        settings: further settings; see `Settings`. An object is changed in place.
        anonymous: deprecated, has no effect.

    Raises:
        UsageError: a refused project or id, or a label in use by another living process.
        ValueError: a refused setting.
        ConfigError: a configuration file is missing or cannot be read.
        CommError: the agent refuses this process, or nothing can be written anywhere.
    """
    del allow_val_change, monitor_gym  # `init` may always set values
    this = session()
    with this.starting:
        merged = this.store.for_run(
            settings,
            {
                "entity": entity,
                "project": project,
                "root_dir": dir,
                "run_id": id,
                "run_name": name,
                "run_notes": notes,
                "run_tags": tags,
                "run_group": group,
                "run_job_type": job_type,
                "mode": mode,
                "force": force,
                "reinit": reinit,
                "resume": resume,
                "resume_from": resume_from,
                "fork_from": fork_from,
                "save_code": save_code,
                "sync_tensorboard": tensorboard if sync_tensorboard is None else sync_tensorboard,
                "anonymous": anonymous,
            },
        )
        first = this.store.first_config(config, merged, config_exclude_keys, config_include_keys)
        return this.init(merged, first)
