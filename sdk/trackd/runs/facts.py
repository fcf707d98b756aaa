"""What a run can be asked: the properties of `Run`, with the few that can be set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from trackd.artifacts import in_config
from trackd.configuration import Config, StaticConfig
from trackd.errors import UsageError
from trackd.lifecycle.ending import Ending
from trackd.recording.recorder import FinishedRecorder
from trackd.recording.values import config_record
from trackd.runs.summaries import Summary
from trackd.settings import in_jupyter
from trackd_proto.records import ConfigUpdate, Kind, RunUpdate

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd.backends import Backend
    from trackd.context import RunIdentity
    from trackd.remote.connection import Remote
    from trackd.run_files.saving import FileSaver
    from trackd.runs.run import Run
    from trackd.runs.status import SystemMetrics
    from trackd.runs.watching import Watcher
    from trackd.settings import Settings
    from trackd.terminal import Terminal


class RunFacts(ABC):
    """The properties of a run, and what they are read from."""

    __slots__ = (
        "__weakref__",
        "_backend",
        "_config",
        "_ending",
        "_finish",
        "_identity",
        "_make_saver",
        "_recorder",
        "_remote",
        "_saver",
        "_settings",
        "_start_time",
        "_summary",
        "_terminal",
        "_watcher",
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
        self._watcher: Watcher | None = None
        self._remote: Remote | None = None
        self._ending = Ending()
        self._config = Config(
            identity.config,
            self._publish_config,
            terminal.warn,
            locks=identity.locks,
            is_free=in_jupyter(),
            use=self._use_in_config,
        )
        self._summary = Summary(backend.summary_store())

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
        """Display name. Can be set.

        Of a run that nobody named: what the server calls it. Whoever reads it before the server
        has answered waits, 5 s at the most; it is None offline, and while no server answers.
        """
        return self._backend.ask_name() if self._identity.name is None else self._identity.name

    @name.setter
    def name(self, name: str | None) -> None:
        self._recorder.record(Kind.RUN, RunUpdate(name=_text("name", name)))
        self._identity.name = name

    @property
    def notes(self) -> str | None:
        """Longer description. Can be set."""
        return self._identity.notes

    @notes.setter
    def notes(self, notes: str | None) -> None:
        self._recorder.record(Kind.RUN, RunUpdate(notes=_text("notes", notes)))
        self._identity.notes = notes

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags. Can be set; a refused tag is reported and leaves them unchanged."""
        return self._identity.tags

    @tags.setter
    def tags(self, tags: tuple[str, ...] | list[str]) -> None:
        from trackd.settings.rules import tags as tags_rule

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
        """Address of the run's page; waited for like its name. None when offline or not known."""
        if self.offline:
            self._terminal.warn("there is no url in offline mode")
            return None
        if not self._backend.url:
            self._backend.ask_name()  # the address comes with it
        return self._backend.url or None

    @property
    def project_url(self) -> str | None:
        """Address of the project's page; None when offline or not known yet."""
        url = self.url
        return url and url.rpartition("/runs/")[0]

    @property
    def sweep_id(self) -> str | None:
        """Id of the sweep that the run belongs to; None outside a sweep."""
        return getattr(self._settings, "sweep_id", None)

    @property
    def sweep_url(self) -> str | None:
        """Address of the sweep's page; None outside a sweep, offline, or not known yet."""
        project_url = self.project_url
        return project_url and self.sweep_id and f"{project_url}/sweeps/{self.sweep_id}"

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
        """Number of the first row: not 0 when an earlier run is continued."""
        return self._identity.starting_step

    @property
    def step(self) -> int:
        """Number of the open row.

        Raises:
            UsageError: in shared mode, where no number is that of the run.
        """
        if self._identity.mode == "shared":
            raise UsageError(
                "run.step does not exist in shared mode, where several processes write: count "
                "steps in the script and log them as a value"
            )
        return self._backend.open_step

    @property
    def _system_metrics(self) -> SystemMetrics:
        """The last values of each system metric, with their times; keys without label.

        Empty without the setting `x_stats_buffer_size`, and where no agent answers in a second.
        """
        return self._backend.system_metrics()

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
        return self._identity.resumed

    @property
    def is_finished(self) -> bool:
        """True after `finish`."""
        return isinstance(self._recorder, FinishedRecorder)

    def require_open(self, what: str) -> None:
        """Refuse something that makes no sense after the run's end.

        Args:
            what: the call, as the user wrote it.

        Raises:
            UsageError: the run is finished.
        """
        if self.is_finished:
            raise UsageError(
                f"{what}: run {self.id} is finished and takes nothing more; "
                "start a new one with trackd.init()"
            )

    @abstractmethod
    def _use_in_config(self, value: Any) -> Any:
        """Use an artifact that is a value of the configuration; return it."""

    def _publish_config(self, changes: dict[str, Any]) -> None:
        recorded = config_record(in_config.recorded(changes))
        update = ConfigUpdate(set=[([key], value) for key, value in recorded.items()])
        self._recorder.record(Kind.CONFIG, update)


def _text(field: str, value: object) -> str:
    """Return a fact as it is recorded: None takes it back.

    Raises:
        ValueError: it is neither text nor None.
    """
    if value is not None and not isinstance(value, str):
        raise ValueError(f"run.{field}={value!r} is of type {type(value).__name__}: use text")
    return value or ""
