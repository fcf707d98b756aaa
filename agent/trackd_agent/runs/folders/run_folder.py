"""Finding everything that was recorded for a run folder, whoever still lives.

A writer's frames lie in its journal and, as far as they never reached it, in its spool; both
are read, and what is in both counts once. Nothing is changed here, so it can be done while
writers and agent are at work, and after all of them were killed.
"""

from __future__ import annotations

import heapq
import operator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from trackd_agent.journal import read_folder
from trackd_agent.runs.liveness import lock_is_free
from trackd_agent.runs.spool import decode_start
from trackd_agent.runs.writer import AGENT_SUFFIX
from trackd_agent.runs.writer_facts import WriterFacts
from trackd_proto import layout
from trackd_proto.records import Start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackd_proto.frames import Frame

_PRODUCER_DIGITS = 16


def folder_named(run: str) -> Path | None:
    """Return the run folder that a path or the id of a run below ./trackd means.

    Of several with this id the newest.
    """
    if Path(run).is_dir():
        return Path(run).resolve()
    if "/" in run:
        return None
    named = [
        folder
        for folder in Path("trackd").glob("*run-*")
        if (facts := layout.RunFolderFacts.read(folder)) and facts.run_id == run
    ]
    return max(named, key=lambda path: path.stat().st_mtime).resolve() if named else None


@dataclass
class WriterSource:
    """Where the records of one writer lie.

    Attributes:
        producer: the writer, 16 hex digits.
        rank_folders: its journal and its spool, as far as they exist.
        agent_folders: what the agent noted about it.
        spool: the spool folder alone; held open by the writer while it lives.
        missing: sequence numbers found nowhere, known once the frames were read.
        damaged_bytes: what held no readable record.
        torn_bytes: what stands behind the last readable record of its journal.
        last_seq: the last number read.
    """

    producer: str
    rank_folders: list[Path] = field(default_factory=list[Path])
    agent_folders: list[Path] = field(default_factory=list[Path])
    spool: Path | None = None
    missing: int = 0
    damaged_bytes: int = 0
    torn_bytes: int = 0
    last_seq: int = 0

    def rank_frames(self) -> Iterator[Frame]:
        """Yield the writer's own frames in order, each once."""
        return self._frames(self.rank_folders, int(self.producer, 16))

    def agent_frames(self) -> Iterator[Frame]:
        """Yield the frames that the agent added."""
        return self._frames(self.agent_folders, None)

    def start(self) -> Start | None:
        """Return the first record, or None where it is lost."""
        first = next(self.rank_frames(), None)
        return decode_start(first) if first else None

    def start_or_substitute(self, facts: layout.RunFolderFacts | None) -> Start | None:
        """Return the first record under the label in force.

        Where it cannot be read but others can, what the run folder says stands in for it.
        """
        start = self.start()
        if start is None and facts is not None and next(self.rank_frames(), None) is not None:
            start = _start_of(facts)
        if start is not None:
            for known in self.noted_facts():
                return msgspec.structs.replace(start, label=known.label)
        return start

    def noted_facts(self) -> Iterator[WriterFacts]:
        """Yield what the agent noted about the writer beside its journals."""
        for folder in self.rank_folders:
            if facts := WriterFacts.load(folder):
                yield facts

    def is_alive(self) -> bool:
        """Tell whether the writer's process holds its spool."""
        return self.spool is not None and lock_is_free(self.spool) is False

    def _frames(self, folders: list[Path], producer: int | None) -> Iterator[Frame]:
        streams = [self._read(folder, producer) for folder in folders]
        self.missing = self.damaged_bytes = self.torn_bytes = self.last_seq = 0
        for frame in heapq.merge(*streams, key=operator.attrgetter("seq")):
            if frame.seq <= self.last_seq:
                continue
            self.missing += frame.seq - self.last_seq - 1
            self.last_seq = frame.seq
            yield frame

    def _read(self, folder: Path, producer: int | None) -> Iterator[Frame]:
        reader = read_folder(folder, producer)
        try:
            while frames := reader.read():
                yield from frames
            self.damaged_bytes += sum(damage.length for damage in reader.damages)
            if folder != self.spool:  # a row that a rank died in was not logged
                self.torn_bytes += reader.torn_bytes
        finally:
            reader.close()


def find_writers(run_dir: Path, facts: layout.RunFolderFacts | None) -> list[WriterSource]:
    """Return the writers of a run folder whose records are on this machine, by producer."""
    found: dict[str, WriterSource] = {}
    _add_journals(found, run_dir / "journal")
    data = Path(facts.data_dir) if facts and facts.data_dir else None
    if facts and data:
        for folder in sorted(layout.journal_root(data).glob(f"{_glob_name(facts.run_id)}-*")):
            _add_journals(found, folder, run_dir)
        _add_spools(found, layout.spool_root(data), facts.run_id, run_dir)
    return [found[producer] for producer in sorted(found)]


def _add_journals(found: dict[str, WriterSource], root: Path, run_dir: Path | None = None) -> None:
    """Note the journals below `root`; with `run_dir` only those of that run folder."""
    if not root.is_dir():
        return
    for folder in sorted(root.iterdir()):
        producer, is_agent = folder.name.removesuffix(AGENT_SUFFIX), AGENT_SUFFIX in folder.name
        if not folder.is_dir() or not _is_producer(producer):
            continue
        if is_agent:
            if producer in found:  # it sorts behind the writer's own
                found[producer].agent_folders.append(folder)
            continue
        source = WriterSource(producer, [folder])
        if run_dir is None or _belongs_to(source, run_dir):
            found.setdefault(producer, WriterSource(producer)).rank_folders.append(folder)


def _add_spools(found: dict[str, WriterSource], root: Path, run_id: str, run_dir: Path) -> None:
    for folder in sorted(root.glob(f"{_glob_name(run_id)}-*")):
        producer = folder.name[-_PRODUCER_DIGITS:]
        if not _is_producer(producer):
            continue
        if producer not in found:
            if not _belongs_to(WriterSource(producer, [folder]), run_dir):
                continue
            found[producer] = WriterSource(producer)
        found[producer].rank_folders.append(folder)
        found[producer].spool = folder


def _belongs_to(source: WriterSource, run_dir: Path) -> bool:
    """Tell whether a writer recorded into this run folder, as the agent noted or it says itself."""
    named = next(source.noted_facts(), None) or source.start()
    return named is not None and Path(named.run_dir).resolve() == run_dir.resolve()


def _start_of(facts: layout.RunFolderFacts) -> Start:
    return Start(
        run_id=facts.run_id,
        project=facts.project,
        entity=facts.entity,
        label="",
        mode=facts.mode,
        run_dir="",
        time_s=0.0,
        pid=0,
        sdk_version="",
        python_version="",
        host="",
        program="",
        base_url=facts.base_url,
    )


def _is_producer(name: str) -> bool:
    return len(name) == _PRODUCER_DIGITS and all(c in "0123456789abcdef" for c in name)


def _glob_name(run_id: str) -> str:
    """Return a run id as it begins folder names; such names hold no wildcard characters."""
    return layout.safe_name(run_id)
