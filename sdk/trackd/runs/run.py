"""`Run`: what a training script holds. A façade of thin methods over the feature modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd import console
from trackd.artifacts.run_methods import RunArtifacts
from trackd.recording.recorder import FinishedRecorder
from trackd.runs import alerts, metrics
from trackd.runs.summaries import Summary
from trackd_proto.records import ConfigUpdate, Kind

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta
    from types import TracebackType
    from typing import Self, TextIO

    from trackd.backends import Backend
    from trackd.context import RunIdentity
    from trackd.lifecycle.attaching import Ticket
    from trackd.run_files.saving import FileSaver
    from trackd.runs.alerts import AlertLevel
    from trackd.runs.metrics import Metric
    from trackd.runs.status import RunStatus
    from trackd.runs.watching import Module, Watcher


class Run(RunArtifacts):
    """One run of an experiment, as this process sees it. Made by `trackd.init`."""

    __slots__ = ()

    # --- recording ---------------------------------------------------------------------------

    def log(
        self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None
    ) -> None:
        """Record values of this moment as (part of) one row.

        Returns at once: the row is on disk as soon as the call returned, and survives the death
        of this process and of the agent. Problems of agent, server or disk never raise here.

        Args:
            data: values by name: numbers, text, lists, nested dictionaries, times, enums, arrays
                and tensors (more than 32 numbers are recorded as a histogram), media such as
                `Image` and lists of them, tables, charts, frames of pandas, figures of plotly and
                matplotlib.
            step: number of the row; must not go back. By default rows number themselves.
            commit: close the row. Default: True without `step`, False with it.

        Raises:
            TypeError: a key or value cannot be recorded; the good values of the row were.
            ValueError: the content of a value cannot be, such as an array of NaN alone; the
                same holds.
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
        self.require_open("save()")
        if self._make_saver is None:
            return False
        if self._saver is None:
            self._saver = self._make_saver()
        base = None if base_path is None else str(base_path)
        return self._saver.save(glob_str, base, policy, glob=glob)

    def restore(
        self,
        name: str,
        run_path: str | None = None,
        replace: bool = False,
        root: str | os.PathLike[str] | None = None,
    ) -> TextIO | None:
        """Bring a file of a run onto this machine, unless it is there; see `trackd.restore`.

        Args:
            name: path of the file in the run's files folder.
            run_path: `entity/project/run_id`; default: this run.
            replace: fetch it even if it is there.
            root: folder to put it into; default: this run's files folder.

        Returns:
            The file, open for reading; None where the run has no such file.

        Raises:
            ValueError: `run_path` names no run, or the file was never uploaded.
            CommError: the server cannot be asked, or does not know the run.
        """
        from trackd.run_files import restoring  # few runs need it, and it loads HTTP

        return restoring.restore_for(self, name, run_path, replace, root)

    def write_logs(self, text: str) -> None:
        """Add text to the run's console without printing it; ignored after the end of the run.

        Args:
            text: lines; a line feed is added where the last one lacks it. What looks like a
                terminal's escape sequence stays as it is.

        Raises:
            TypeError: it is no text.
        """
        console.write_logs(self._backend.recorder, self._backend.console, text)

    def alert(
        self,
        title: str,
        text: str,
        level: str | AlertLevel | None = None,
        wait_duration: float | timedelta | None = None,
    ) -> None:
        """Tell whoever follows the run that something happened.

        Args:
            title: short; alerts of the same title are not repeated within `wait_duration`.
            text: body.
            level: `INFO` (default), `WARN` or `ERROR`, or an `AlertLevel`.
            wait_duration: seconds, or a `timedelta`; default one minute.

        Raises:
            ValueError: `level` is none of the three.
            TypeError: `wait_duration` is no duration.
            UsageError: the run is finished.
        """
        self._recorder.record(Kind.ALERT, alerts.alert(title, text, level, wait_duration))

    def mark_preempting(self) -> None:
        """Say that this run is about to be preempted; the server is told at once.

        Raises:
            UsageError: the run is finished.
        """
        self._recorder.record(Kind.PREEMPTING, alerts.preempting())

    def pin_config_keys(self, keys: Sequence[str] = ()) -> None:
        """Show some configuration keys first on the run's page.

        Args:
            keys: names in the order wanted; replaces what was pinned before.

        Raises:
            UsageError: the run is finished.
        """
        pinned = ConfigUpdate(set=[(["_wandb", "pinned_keys"], list(keys))])
        self._recorder.record(Kind.CONFIG, pinned)

    def status(self) -> RunStatus:
        """Return how much of the run the server has.

        Raises:
            UsageError: the run is finished.
        """
        self.require_open("status()")
        return self._backend.status()

    def watch(
        self,
        models: Module | Sequence[Module],
        criterion: Any = None,
        log: str | None = "gradients",
        log_freq: int = 1000,
        idx: int | None = None,
        log_graph: bool = False,
    ) -> None:
        """Record histograms of a PyTorch model's gradients and parameters while it trains.

        They join the open row as `gradients/<name>` and `parameters/<name>`; from the second
        model on names begin with `graph_<number>`.

        Args:
            models: a `torch.nn.Module`, or several.
            criterion: loss function; kept with the graph.
            log: `gradients`, `parameters`, `all`, or None for neither.
            log_freq: every so many forward or backward passes.
            idx: number of the first model; default: so many models as were watched before.
            log_graph: put the layers into the summary as `graph_<number>` after a forward pass.

        Raises:
            ValueError: `log` is none of those; a hook or graph of this model is there already.
            TypeError: something is no PyTorch module.
            Error: PyTorch is not installed.
        """
        if self.disabled:
            return
        self._watching().watch(models, criterion, log, log_freq, idx, log_graph=log_graph)

    def unwatch(self, models: Module | Sequence[Module] | None = None) -> None:
        """Stop what `watch` began.

        Args:
            models: the models; default: all.
        """
        self._watching().unwatch(models)

    def _watching(self) -> Watcher:
        from trackd.runs.watching import Watcher  # few runs watch a model

        self._watcher = self._watcher or Watcher(self, self._terminal.warn)
        return self._watcher

    def display(self, height: int = 420, hidden: bool = False) -> bool:
        """Show the run's page in a notebook.

        Args:
            height: of the frame, in pixels.
            hidden: show a button that shows the frame.

        Returns:
            False where this is no notebook, or one that shows no frames.
        """
        from trackd.lifecycle import notebooks

        return notebooks.display(self, height, hidden=hidden)

    def to_html(self, height: int = 420, hidden: bool = False) -> str:
        """Return a frame with the run's page as HTML; see `display`."""
        from trackd.lifecycle import notebooks

        return notebooks.to_html(self, height, hidden=hidden)

    def finish(self, exit_code: int | None = None) -> None:
        """End the run: hand everything to the agent, which goes on uploading.

        Args:
            exit_code: 0 (default) finished, others failed. A run that is still open when the
                process ends gets the code of the process.
        """
        self._finish(self, exit_code)

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
            if hasattr(type(self), name):
                raise
            raise Exception(  # noqa: TRY002 - the reference's type, which scripts may catch
                f"run has no attribute {name!r} to set: use run.config or run.summary for values"
            ) from None

    def __reduce__(self) -> tuple[Callable[[Ticket], Run], tuple[Ticket]]:
        from trackd.lifecycle import attaching  # loads a lot, and few pickle runs

        return attaching.enter, (attaching.ticket_of(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        del memo
        return self

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude
        return {"text/html": self.to_html(hidden=True), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<trackd.Run {self.path}>"

    # --- for the session ---------------------------------------------------------------------

    def begin(self, make_saver: Callable[[], FileSaver] | None, start_time: float) -> None:
        """Called once by the session when everything is set up."""
        self._make_saver = make_saver
        self._start_time = start_time

    def before_finish(self, action: Callable[[], None]) -> None:
        """Do something when the run is about to end and still takes records; for integrations."""
        self._ending.before(action)

    def use(self, backend: Backend) -> None:
        """Send records elsewhere from now on."""
        self._backend = backend
        self._recorder = backend.recorder
        self._summary = Summary(backend.summary_store())

    def close(self) -> bool:
        """Refuse records from now on; False where another call sees to that, or did."""
        return self._ending.once(self._close)

    def _close(self) -> None:
        self._recorder = FinishedRecorder(self.id, self._recorder.step)

    @property
    def identity(self) -> RunIdentity:
        """What the run is."""
        return self._identity
