"""TensorBoard: the agent follows the event files that this process writes.

`trackd.init(sync_tensorboard=True)` is all that is needed. `patch` before it names the folder
from which keys are named when there are several; `follow` takes a folder that somebody else
writes to.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import platform
import re
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackd import libraries
from trackd.errors import UsageError
from trackd.recording.recorder import Recorder
from trackd.session import session
from trackd.terminal import Terminal
from trackd_proto.records import Kind, TensorboardLogs

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd.runs.run import Run

#: Modules whose class `EventFileWriter` writes event files; PyTorch uses that of TensorBoard.
_WRITERS = ("tensorboard.summary.writer.event_file_writer", "tensorboardX.event_file_writer")
#: How long the end of a run waits for what a writer has in its queue, in seconds.
_QUEUE_WAIT_S = 2.0
_NO_STEPS = (
    "log(step=...) has no effect while TensorBoard is recorded, because the rows of both are "
    "numbered together: log the step as a value and name it with run.define_metric()"
)


class _Patches:
    """What is patched in this process.

    Attributes:
        save: upload the event files, too.
        root: folder from which keys are named; empty: the common one of all.
    """

    def __init__(self) -> None:
        self.save = True
        self.root = ""
        self._originals: list[tuple[Any, Callable[..., None]]] = []
        #: When the last run began here, also where it goes on with an earlier one: what that one
        #: wrote is in it already. In seconds since 1970.
        self._since_s = 0.0
        #: Writers whose rest is flushed when a run ends.
        self._writers: weakref.WeakSet[Any] = weakref.WeakSet()

    @property
    def is_active(self) -> bool:
        """Whether anything is patched."""
        return bool(self._originals)

    def apply(self) -> None:
        """Let every event file that is begun from now on be followed.

        Raises:
            Error: TensorBoard is not installed.
        """
        libraries.load("tensorboard", "sync_tensorboard", "tensorboard")
        for name in _WRITERS:
            if importlib.util.find_spec(name.partition(".")[0]):
                self._patch(importlib.import_module(name).EventFileWriter)

    def _patch(self, writer_class: Any) -> None:
        original = writer_class.__init__

        @functools.wraps(original)
        def begin(writer: Any, logdir: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
            original(writer, logdir, *args, **kwargs)
            self._writers.add(writer)
            self._announce(os.path.abspath(os.fspath(logdir)))  # noqa: PTH100 - no links resolved

        writer_class.__init__ = begin
        self._originals.append((writer_class, original))

    def undo(self) -> None:
        """Follow nothing more that is begun."""
        for writer_class, original in self._originals:
            writer_class.__init__ = original
        self._originals.clear()

    def prepare(self, run: Run) -> None:
        """Let a run record event files."""
        self._since_s = time.time()
        recorder = run.backend.recorder
        if isinstance(recorder, Recorder):
            recorder.ignored_steps = _NO_STEPS
        run.before_finish(self._flush)

    def _flush(self) -> None:
        for writer in list(self._writers):
            try:
                _write_queued(writer)
                writer.flush()
            except Exception:  # noqa: BLE001 - the writer is closed, or its disk is full
                self._writers.discard(writer)

    def _announce(self, folder: str) -> None:
        run = session().run
        if run is None or run.is_finished:
            return
        root = _own_root(folder)
        if not root and self.root:
            root = str(Path(self.root).absolute())
            if not Path(folder).is_relative_to(root):
                Terminal(run.settings).warn(
                    f"TensorBoard: {folder} is not below root_logdir={self.root!r}: "
                    "its keys are named from the folder itself"
                )
                root = ""
        _follow(run, folder, root, save=self.save, since_s=self._since_s)


def _write_queued(writer: Any) -> None:
    """Let a writer of tensorboardX write what waits in its queue: its `flush` does not.

    Its thread ends at a mark, as when the writer is closed, and a new one takes its place.
    """
    worker: Any = getattr(writer, "_worker", None)  # tensorboardX offers no way that waits
    mark: Any = getattr(worker, "_shutdown_signal", None)
    if mark is None:
        return
    queue, sink = writer._event_queue, writer._ev_writer  # noqa: SLF001
    queue.put(mark, True, _QUEUE_WAIT_S)
    worker.join(_QUEUE_WAIT_S)
    if not worker.is_alive():
        writer._worker = type(worker)(queue, sink, writer._flush_secs)  # noqa: SLF001
        writer._worker.start()  # noqa: SLF001


@functools.cache
def _patches() -> _Patches:
    return _Patches()


def patch(
    save: bool = True,
    tensorboard_x: bool | None = None,
    pytorch: bool | None = None,
    root_logdir: str | os.PathLike[str] = "",
) -> None:
    """Record what is written to TensorBoard from now on; to be called before `init`.

    Args:
        save: upload the event files, too.
        tensorboard_x: accepted, all writers are patched.
        pytorch: accepted, all writers are patched.
        root_logdir: folder from which keys are named: `train/loss` in `<root>/run1` becomes
            `run1/train/loss`. Default: the common folder of all.

    Raises:
        ValueError: it was called before.
        Error: TensorBoard is not installed.
    """
    del tensorboard_x, pytorch
    patches = _patches()
    if patches.is_active:
        raise ValueError(
            "patch(): TensorBoard is recorded already: call unpatch() first, "
            "or leave out sync_tensorboard=True in init()"
        )
    patches.save, patches.root = save, os.fspath(root_logdir)
    patches.apply()


def unpatch() -> None:
    """Undo `patch`; files that are followed stay so."""
    _patches().undo()


def apply_to_process() -> None:
    """Do what `init(sync_tensorboard=True)` does for the process; again is harmless.

    Raises:
        Error: TensorBoard is not installed.
    """
    if not _patches().is_active:
        patch()


def prepare(run: Run) -> None:
    """Let a new run record event files, if anything is patched."""
    if _patches().is_active:
        _patches().prepare(run)


def follow(
    folder: str | os.PathLike[str],
    run: Run | None = None,
    root_logdir: str | os.PathLike[str] = "",
    save: bool = True,
) -> None:
    """Record the event files of a folder that some program writes or has written.

    Args:
        folder: where the files lie; those in folders below are not meant.
        run: default: the global run.
        root_logdir: folder from which keys are named; default: the folder itself, or what it has
            in common with others that are followed.
        save: upload the event files, too.

    Raises:
        UsageError: there is no run, or it is finished.
    """
    run = run or session().run
    if run is None:
        raise UsageError("follow() records into a run: call trackd.init() first")
    root = os.fspath(root_logdir)
    root = str(Path(root).absolute()) if root else ""
    _follow(run, str(Path(folder).absolute()), root, save=save, since_s=0.0)


def _follow(run: Run, folder: str, root: str, *, save: bool, since_s: float) -> None:
    run.backend.recorder.record(Kind.TENSORBOARD, TensorboardLogs(folder, root, save, since_s))


def _own_root(folder: str) -> str:
    """Return the folder that a writer chose by itself, `runs/<time>_<host>`: its own root."""
    match = re.search(rf"-\d+_{re.escape(platform.node())}[^/]*", folder)
    return folder[: match.end()] if match else ""
