"""`Run`: what a training script holds. A façade of thin methods over the feature modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd import metrics
from trackd.configuration import Config, StaticConfig
from trackd.recording.recorder import FinishedRecorder
from trackd.summaries import Summary
from trackd_proto.records import ConfigUpdate, Kind, RunUpdate

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from trackd.backends import Backend
    from trackd.context import RunIdentity
    from trackd.files import FileSaver
    from trackd.metrics import Metric
    from trackd.settings import Settings
    from trackd.terminal import Terminal


class Run:
    """One run of an experiment, as this process sees it. Made by `trackd.init`."""

    __slots__ = (
        "__weakref__",
        "_backend",
        "_config",
        "_finish",
        "_identity",
        "_make_saver",
        "_recorder",
        "_saver",
        "_settings",
        "_start_time",
        "_summary",
        "_terminal",
    )

    def __init__(
        self,
        identity: RunIdentity,
        settings: Settings,
        backend: Backend,
        terminal: Terminal,
        finish: Callable[[Run, int | None], None],
    ) -> None:
        self._identity = identity
        self._settings = settings
        self._backend = backend
        self._recorder = backend.recorder
        self._terminal = terminal
        self._finish = finish
        self._start_time = 0.0
        self._make_saver: Callable[[], FileSaver] | None = None
        self._saver: FileSaver | None = None
        self._config = Config(identity.config, self._publish_config, terminal.warn)
        self._summary = Summary(backend.summary_store())

    # --- recording ---------------------------------------------------------------------------

    def log(
        self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None
    ) -> None:
        """Record values of this moment as (part of) one row.

        Returns at once: the row is on disk as soon as the call returned, and survives the death
        of this process and of the agent. Problems of agent, server or disk never raise here.

        Args:
            data: values by name: numbers, text, lists, nested dictionaries, numpy and torch
                scalars and small arrays.
            step: number of the row; must not go back. By default rows number themselves.
            commit: close the row. Default: True without `step`, False with it.

        Raises:
            TypeError: a key or value cannot be recorded; the good values of the row were.
            UsageError: the run is finished, `step` is no number of a row, or, in strict mode, a
                limit was exceeded.
        """
        self._recorder.row(data, step, commit)

    def define_metric(
        self,
        name: str,
        step_metric: str | Metric | None = None,
        step_sync: bool | None = None,
        hidden: bool | None = None,
        summary: str | None = None,
        overwrite: bool | None = None,
    ) -> Metric:
        """Say how a metric is to be shown and summarised.

        Args:
            name: of the metric; a `*` at its end means all that begin so.
            step_metric: metric to use as x axis.
            step_sync: fill the step metric in where a row lacks it.
            hidden: do not show it.
            summary: comma list of min, max, mean, last, first, none.
            overwrite: forget earlier definitions of the same name.

        Raises:
            Error: an argument is not acceptable.
            UsageError: the run is finished.
        """
        record = metrics.definition(name, step_metric, step_sync, hidden, summary, overwrite)
        self._recorder.record(Kind.METRIC, record)
        return metrics.metric_of(record)

    def save(
        self,
        glob_str: str | os.PathLike[str] | bytes,
        base_path: str | os.PathLike[str] | None = None,
        policy: str = "live",
        glob: bool = True,
    ) -> list[str] | bool:
        """Make files part of the run.

        Args:
            glob_str: path or pattern.
            base_path: folders below it are kept.
            policy: `live` (again on change), `now` or `end`.
            glob: expand `*`, `?` and `[...]`.

        Returns:
            Paths inside the run's files folder; False for a disabled run.

        Raises:
            ValueError: unknown policy, or a path outside `base_path`.
            UsageError: the run is finished.
        """
        if self._make_saver is None:
            return False
        if self._saver is None:
            self._saver = self._make_saver()
        base = None if base_path is None else str(base_path)
        return self._saver.save(glob_str, base, policy, glob=glob)

    def finish(self, exit_code: int | None = None) -> None:
        """End the run: hand everything to the agent, which goes on uploading.

        Args:
            exit_code: 0 finished, others failed. Default: how the process is ending.
        """
        self._finish(self, exit_code)

    # --- facts -------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Id of the run."""
        return self._identity.run_id

    @property
    def project(self) -> str:
        """Project of the run."""
        return self._identity.project

    @property
    def entity(self) -> str:
        """User or team; empty when not set."""
        return self._identity.entity

    @property
    def path(self) -> str:
        """`entity/project/id`, without missing parts."""
        identity = self._identity
        return "/".join(filter(None, (identity.entity, identity.project, identity.run_id)))

    @property
    def name(self) -> str | None:
        """Display name. Can be set."""
        return self._identity.name

    @name.setter
    def name(self, name: str) -> None:
        self._recorder.record(Kind.RUN, RunUpdate(name=str(name)))
        self._identity.name = str(name)

    @property
    def notes(self) -> str | None:
        """Longer description. Can be set."""
        return self._identity.notes

    @notes.setter
    def notes(self, notes: str) -> None:
        self._recorder.record(Kind.RUN, RunUpdate(notes=str(notes)))
        self._identity.notes = str(notes)

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags. Can be set; a refused tag is reported and leaves them unchanged."""
        return self._identity.tags

    @tags.setter
    def tags(self, tags: tuple[str, ...] | list[str]) -> None:
        from trackd.settings_rules import tags as tags_rule

        try:
            checked = tags_rule("tags", tuple(tags))
        except ValueError as error:
            self._terminal.warn(str(error))
            return
        self._recorder.record(Kind.RUN, RunUpdate(tags=list(checked)))
        self._identity.tags = checked

    @property
    def group(self) -> str:
        """Group; empty when not set."""
        return self._identity.group or ""

    @property
    def job_type(self) -> str:
        """Kind of job; empty when not set."""
        return self._identity.job_type or ""

    @property
    def label(self) -> str:
        """Label of this process within the run; empty when it is the only one."""
        return self._identity.label

    @property
    def url(self) -> str | None:
        """Address of the run's page; None when offline or not known yet."""
        if self.offline:
            self._terminal.warn("there is no url in offline mode")
        return self._backend.url or None

    @property
    def dir(self) -> str:
        """Folder of the run's files; empty for a disabled run."""
        run_dir = self._backend.run_dir
        return str(run_dir / "files") if run_dir else ""

    @property
    def sync_dir(self) -> str:
        """Folder of the run; empty for a disabled run."""
        return str(self._backend.run_dir or "")

    @property
    def config(self) -> Config:
        """Configuration of the run."""
        return self._config

    @property
    def config_static(self) -> StaticConfig:
        """A read-only snapshot of the configuration."""
        return StaticConfig(self._config)

    @property
    def summary(self) -> Summary:
        """Latest values, and what was written there."""
        return self._summary

    @property
    def settings(self) -> Settings:
        """A copy of the settings in force."""
        return self._settings.copy()

    @property
    def start_time(self) -> float:
        """When the run started, in seconds since 1970."""
        return self._start_time

    @property
    def starting_step(self) -> int:
        """Number of the first row."""
        return 0

    @property
    def step(self) -> int:
        """Number of the open row."""
        return self._backend.open_step

    @property
    def offline(self) -> bool:
        """True when nothing is uploaded."""
        return self._identity.mode == "offline"

    @property
    def disabled(self) -> bool:
        """True when nothing is recorded."""
        return self._identity.mode == "disabled"

    @property
    def resumed(self) -> bool:
        """True when an earlier run was continued."""
        return False

    # --- protocol ----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            import traceback

            traceback.print_exception(kind, error, trace)
        self.finish(exit_code=1 if kind is not None else 0)

    def __setattr__(self, name: str, value: Any) -> None:
        try:
            object.__setattr__(self, name, value)
        except AttributeError:
            raise Exception(  # noqa: TRY002 - the reference's type, which scripts may catch
                f"run has no attribute {name!r} to set: use run.config or run.summary for values"
            ) from None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        del memo
        return self

    def __repr__(self) -> str:
        return f"<trackd.Run {self.path}>"

    # --- for the session ---------------------------------------------------------------------

    @property
    def is_finished(self) -> bool:
        """True after `finish`."""
        return isinstance(self._recorder, FinishedRecorder)

    def begin(self, make_saver: Callable[[], FileSaver] | None, start_time: float) -> None:
        """Called once by the session when everything is set up."""
        self._make_saver = make_saver
        self._start_time = start_time

    def use(self, backend: Backend) -> None:
        """Send records elsewhere from now on."""
        self._backend = backend
        self._recorder = backend.recorder
        self._summary = Summary(backend.summary_store())

    def close(self) -> None:
        """Refuse records from now on."""
        self._recorder = FinishedRecorder(self.id, self._recorder.step)

    @property
    def backend(self) -> Backend:
        """Where records go."""
        return self._backend

    @property
    def identity(self) -> RunIdentity:
        """What the run is."""
        return self._identity

    def _publish_config(self, changes: dict[str, Any]) -> None:
        update = ConfigUpdate(set=[([key], value) for key, value in changes.items()])
        self._recorder.record(Kind.CONFIG, update)
