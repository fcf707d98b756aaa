"""Console lines of a run as they come: from its journals, its console files, or a server.

A source hands out each line once, when no more is expected on it: that is when a later line of
the same writer exists, or when nothing changed since the last look.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from trackd_agent.daemon.servers import NoSuchRun
from trackd_agent.journal import read_folder
from trackd_agent.runs.console import Console, console_class
from trackd_agent.runs.folders.run_folder import WriterSource, find_writers
from trackd_proto import records
from trackd_proto.records import ConsoleOutput, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from trackd_agent.daemon.servers import Server
    from trackd_proto.layout import RunFolderFacts
    from trackd_proto.records import Start

_PAGE_LINES = 1000
_LOG_LINES = """
query ConsoleTail($entity: String!, $project: String!, $run: String!, $last: Int!) {
  project(name: $project, entityName: $entity) {
    run(name: $run) { logLines(last: $last) { edges { node { timestamp label line } } } }
  }
}
"""


class ShownLine(NamedTuple):
    """One line and the label of its writer."""

    label: str
    text: str


class ConsoleSource(Protocol):
    """Where lines come from."""

    def poll(self) -> list[ShownLine]:
        """Return the lines that are new since the last call."""
        ...


class _Settled:
    """Tells which lines of one writer are new and will not grow any more."""

    def __init__(self) -> None:
        self._shown = 0
        self._last_text: str | None = None

    def take(self, lines: list[str]) -> list[str]:
        end = len(lines)
        last_text = lines[-1] if lines else None
        if lines and self._last_text != last_text:
            end -= 1  # the last one may still grow: look once more
        self._last_text = last_text
        fresh = lines[self._shown : end]
        self._shown = max(self._shown, end)
        return fresh


class JournalConsole:
    """Lines of a run folder whose journals are whole, as those of offline runs are."""

    def __init__(self, run_dir: Path, facts: RunFolderFacts | None) -> None:
        self._run_dir = run_dir
        self._facts = facts
        self._writers: dict[str, _WriterConsole] = {}

    def poll(self) -> list[ShownLine]:
        """Return the lines that are new since the last call."""
        shown: list[ShownLine] = []
        for source in find_writers(self._run_dir, self._facts):
            if source.producer not in self._writers:
                start = source.start_or_substitute(self._facts)
                self._writers[source.producer] = _WriterConsole(start)
            shown += self._writers[source.producer].poll(source)
        return shown


class _WriterConsole:
    def __init__(self, start: Start | None) -> None:
        self._label = start.label if start else ""
        self._seq = 0
        self._console = (console_class(start) if start else Console)(self._label)
        self._lines: dict[int, str] = {}
        self._settled = _Settled()

    def poll(self, source: WriterSource) -> list[ShownLine]:
        # The spool before the journal: what is gone from it is in the journal by then.
        for folder in reversed(source.rank_folders):
            reader = read_folder(folder, int(source.producer, 16), self._seq, live=True)
            while frames := reader.read():
                for frame in frames:
                    if frame.kind == Kind.CONSOLE:
                        self._write(frame.payload)
            self._seq = max(self._seq, reader.position_seq)
            reader.close()
        for number, line in self._console.take().items():
            self._lines[number] = json.loads(line)["content"]
        lines = [self._lines[number] for number in sorted(self._lines)]
        return [ShownLine(self._label, text) for text in self._settled.take(lines)]

    def _write(self, payload: memoryview) -> None:
        try:
            record = records.decode(Kind.CONSOLE, payload)
        except ValueError:
            return
        if isinstance(record, ConsoleOutput):
            self._console.write(record)


class FileConsole:
    """Lines of the console files that the agent writes for an online run of this node."""

    def __init__(self, files_dir: Path) -> None:
        self._files_dir = files_dir
        self._settled: dict[str, _Settled] = {}

    def poll(self) -> list[ShownLine]:
        """Return the lines that are new since the last call."""
        shown: list[ShownLine] = []
        for path in sorted(self._files_dir.glob("output*.log")):
            settled = self._settled.setdefault(path.name, _Settled())
            label = path.stem.removeprefix("output").removeprefix("_")
            lines = path.read_text(errors="replace").split("\n")[:-1]
            shown += [ShownLine(label, text) for text in settled.take(lines)]
        return shown


class ServerConsole:
    """Lines of a run on a server: the newest thousand at each look."""

    def __init__(self, server: Server, entity: str, project: str, run: str) -> None:
        self._server = server
        self._names = {"entity": entity, "project": project, "run": run}
        #: Time of the newest line per writer, and how many lines of that time were shown.
        self._newest: dict[str, tuple[str, int]] = {}

    def poll(self) -> list[ShownLine]:
        """Return the lines that are new since the last call."""
        try:
            data = self._server.graphql(_LOG_LINES, {**self._names, "last": _PAGE_LINES})
        except NoSuchRun:
            path = "/".join(self._names[name] for name in ("entity", "project", "run"))
            raise NoSuchRun(
                f"{self._server.base_url} has no run {path}; `trackd ls` lists runs"
            ) from None
        shown: list[ShownLine] = []
        same_time: dict[tuple[str, str], int] = {}
        for edge in data["project"]["run"]["logLines"]["edges"]:
            node: dict[str, Any] = edge["node"]
            label, stamp = node["label"] or "", node["timestamp"] or ""
            nth = same_time[label, stamp] = same_time.get((label, stamp), 0) + 1
            if (stamp, nth) > self._newest.get(label, ("", 0)):
                self._newest[label] = (stamp, nth)
                shown.append(ShownLine(label, node["line"]))
        return shown
