"""Follows the event files of one writer of a run.

Events of one step in a row of events make one history row. The last such group of a file is
held back until another step follows, nothing was written for a while, or the end is near: a
training loop writes the values of a step one by one.
"""

from __future__ import annotations

import errno
import itertools
import math
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from trackd_agent.tensorboard.event_file import DamagedFileError, Placed, read_events
from trackd_agent.tensorboard.namespaces import Namespaces
from trackd_agent.tensorboard.values import Converter
from trackd_proto.records import FileSaved, Followed, Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trackd_agent.tensorboard.events import Event
    from trackd_proto.records import TensorboardLogs

#: A step to which nothing was added for so long is complete.
SETTLED_S = 2.0
#: A folder that is not there for so long is reported.
_MISSED_S = 10.0
_BEGUN_S = re.compile(r"tfevents\.(\d+)\.")
_NO_EVENTS = ".profile-empty"
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
#: Latest time of an event that is one, in seconds since 1970.
_LATEST_S = 1e11
#: Different messages that the user hears.
_MAX_PROBLEMS = 50


class Position(NamedTuple):
    """How far a file was read, and what its keys begin with."""

    offset: int
    namespace: str


class _File:
    """What is known of one event file beside its position."""

    def __init__(self, namespace: str, now_s: float) -> None:
        self.converter = Converter(namespace)
        self.size = -1
        self.changed_s = now_s
        self.is_damaged = False

    def note_size(self, size: int, now_s: float) -> None:
        if size != self.size:
            self.size, self.changed_s = size, now_s


class Follower:
    """Follows folders of event files; nothing here is lost or doubled if positions are kept.

    Args:
        files_dir: the run's files folder, for images and links to the event files.
        started_s: when the writer began, in seconds since 1970.
        positions: of files that were read before, by path.
        now_s: monotonic seconds.

    Attributes:
        positions: how far each file is; what `read` returns counts once it is accepted.
        problems: messages for the user about files that cannot be read.
    """

    def __init__(
        self,
        files_dir: Path,
        started_s: float,
        positions: Mapping[str, Position],
        now_s: float,
    ) -> None:
        self.positions = dict(positions)
        self.problems: list[str] = []
        self._files_dir = files_dir
        self._started_s = started_s
        self._folders: dict[str, TensorboardLogs] = {}
        #: Since when folders are missing, in monotonic seconds; infinite once that was told.
        self._missing_s: dict[str, float] = {}
        self._told: set[str] = set()
        self._files: dict[str, _File] = {}
        self._namespaces = Namespaces(now_s)

    def follow(self, logs: TensorboardLogs) -> None:
        """Follow one more folder; again is harmless, and one that is no path is told."""
        if not _is_absolute(logs.folder) or (logs.root and not _is_absolute(logs.root)):
            self._tell(
                f"TensorBoard: {logs.folder[:200]!r} is not followed: folder and root must be "
                "absolute paths"
            )
            return
        # Without '..': a path from root to folder must not lead out of the run's files.
        root = os.path.normpath(logs.root) if logs.root else ""
        logs = msgspec.structs.replace(logs, folder=os.path.normpath(logs.folder), root=root)
        if logs.folder in self._folders:
            return
        self._folders[logs.folder] = logs
        for path, position in self.positions.items():
            if str(Path(path).parent) == logs.folder:
                self._namespaces.recall(logs, position.namespace)

    def _tell(self, problem: str) -> None:
        """Tell the user, once."""
        if problem not in self._told and len(self._told) < _MAX_PROBLEMS:
            self._told.add(problem)
            self.problems.append(problem)

    def read(self, now_s: float, *, final: bool = False) -> list[Followed]:
        """Return what is new, about a megabyte a file at most; writes images into the run.

        Args:
            now_s: monotonic seconds.
            final: nothing more will be written: hold nothing back.

        Returns:
            One record a file with something new. Nothing of it counts before `accept`.
        """
        self._namespaces.settle(self._folders.values(), now_s, final=final)
        found: list[Followed] = []
        for logs in self._folders.values():
            namespace = self._namespaces.name(logs)
            if namespace is None or self._is_missing(logs, now_s):
                continue
            for path in _event_files(logs):
                if not _is_text(path.name):
                    self._tell(f"TensorBoard: {path!r} is left out: its name is no UTF-8")
                    continue
                followed = self._read_file(path, logs, namespace, now_s, final=final)
                found += [followed] if followed else []
        return found

    def _is_missing(self, logs: TensorboardLogs, now_s: float) -> bool:
        """Whether a folder is not there; told once, when it lasts: it may be made yet."""
        if Path(logs.folder).is_dir():
            self._missing_s.pop(logs.folder, None)
            return False
        if now_s - self._missing_s.setdefault(logs.folder, now_s) >= _MISSED_S:
            self._missing_s[logs.folder] = math.inf
            self.problems.append(
                f"TensorBoard: the agent sees no folder {logs.folder}, so nothing of it is "
                "recorded; write to a folder that this node's agent can read"
            )
        return True

    def accept(self, followed: Followed) -> None:
        """Count something as done: whoever called `read` has stored it."""
        self.positions[followed.file] = Position(followed.offset, followed.namespace)

    def _read_file(
        self, path: Path, logs: TensorboardLogs, namespace: str, now_s: float, *, final: bool
    ) -> Followed | None:
        position = self.positions.get(str(path))
        if position is None:
            return self._begin_file(path, logs, namespace)
        file = self._files.setdefault(str(path), _File(position.namespace, now_s))
        try:
            file.note_size(path.stat().st_size, now_s)
            if file.is_damaged or file.size <= position.offset:
                return None
            events, more = read_events(path, position.offset)
        except DamagedFileError as error:
            file.is_damaged = True
            self._tell(f"TensorBoard: {error}; what comes behind is not recorded")
            return None
        except OSError:
            return None  # it may be readable again the next time
        settled = final or now_s - file.changed_s >= SETTLED_S
        steps = _complete_steps(events, more=more, settled=settled)
        return self._convert(path, position, file.converter, steps) if steps else None

    def _begin_file(self, path: Path, logs: TensorboardLogs, namespace: str) -> Followed:
        """Return the record of a file that was just found: it becomes part of the run."""
        files: list[FileSaved] = []
        if logs.save:
            name = f"{namespace}/{path.name}" if namespace else path.name
            target = self._files_dir / name
            with suppress(OSError):  # without it the values still are recorded
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.is_symlink():
                    target.symlink_to(path)
                files.append(FileSaved(name, "end"))
        return Followed(str(path), 0, namespace, [], files)

    def _convert(
        self, path: Path, position: Position, converter: Converter, steps: list[list[Placed]]
    ) -> Followed:
        rows: list[Row] = []
        files: list[FileSaved] = []
        config: list[tuple[list[str], object]] = []
        for step in steps:
            events = [placed.event for placed in step]
            made = converter.convert(events)
            if made.row:
                time_s = self._time_of(events)
                rows.append(Row(time_s, time_s - self._started_s, made.row))
            for name, data in made.files.items():
                if self._write(name, data):
                    files.append(FileSaved(name, "now"))
            config += [([key], value) for key, value in made.config.items()]
        end = steps[-1][-1].end
        return Followed(str(path), end, position.namespace, rows, files, config)

    def _write(self, name: str, data: bytes) -> bool:
        """Write one file of the run, whole or not at all; return whether it can be written.

        Raises:
            OSError: there is no room for it; the next reading tries again.
        """
        target = self._files_dir / name
        temporary = target.with_name(f".{target.name}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            temporary.replace(target)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise
            self._tell(f"TensorBoard: images are left out, {self._files_dir}: {error.strerror}")
            return False
        return True

    def _time_of(self, events: list[Event]) -> float:
        """Return when a step was written; the begin of the run where that is no time."""
        times = [event.time_s for event in events if 0 <= event.time_s <= _LATEST_S]
        return max(times, default=self._started_s)


def _event_files(logs: TensorboardLogs) -> Iterator[Path]:
    """Yield the event files of a folder in the order in which they were begun."""
    try:
        names = sorted(path.name for path in Path(logs.folder).iterdir())
    except OSError:
        return  # not made yet
    for name in names:
        begun = _BEGUN_S.search(name)
        if begun and int(begun[1]) >= int(logs.since_s) and not name.endswith(_NO_EVENTS):
            yield Path(logs.folder) / name


def _complete_steps(events: list[Placed], *, more: bool, settled: bool) -> list[list[Placed]]:
    """Return events by step; the last step is left out if more of it may come.

    A single step that is larger than what is read at a time is taken in parts.
    """
    groups = itertools.groupby(events, key=lambda placed: placed.event.step)
    steps = [list(group) for _, group in groups]
    if more:
        return steps[:-1] or steps
    return steps if settled else steps[:-1]


def _is_absolute(folder: str) -> bool:
    return Path(folder).is_absolute() and "\0" not in folder


def _is_text(name: str) -> bool:
    return name == name.encode(errors="replace").decode()
