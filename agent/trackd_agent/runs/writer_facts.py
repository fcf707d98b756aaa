"""Who a writer is: what recovery has to know of it, kept beside its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trackd_agent.core.errors import JournalFull
from trackd_agent.runs import liveness
from trackd_proto.layout import producer_name, run_hash
from trackd_proto.records import Start, TensorboardLogs

if TYPE_CHECKING:
    from pathlib import Path

FACTS_FILE = "writer.json"


class WriterFacts(msgspec.Struct):
    """Identity of one writer and the process behind it. Holds no secret."""

    run_id: str
    project: str
    entity: str
    mode: str
    run_dir: str
    base_url: str
    label: str
    producer: int
    spool_dir: str
    attached_s: float
    parent_producer: int = 0
    pid: int = 0
    pid_start_ticks: int = 0
    #: It left on purpose; nothing more will come.
    left: bool = False
    #: Folders of TensorBoard files that are followed for it.
    tensorboard: list[TensorboardLogs] = msgspec.field(default_factory=list[TensorboardLogs])

    @property
    def writer_id(self) -> str:
        """Name of the writer in folders and at servers."""
        return producer_name(self.producer)

    @property
    def run_hash(self) -> int:
        """Hash of its run in journals and spools."""
        return run_hash(self.project, self.run_id)

    @property
    def is_child(self) -> bool:
        """Whether it is a forked child, which writes a spool only and ends without a word."""
        return self.parent_producer != 0

    @property
    def is_plain(self) -> bool:
        """Whether its stream is the run's own; all others are streams within a shared run."""
        return not self.label and self.mode != "shared" and not self.is_child

    def note_process(self, pid: int, ticks: int, *, seen: bool) -> None:
        """Note which process speaks for the writer.

        Args:
            pid: its process id as the agent sees it; 0: not visible from here.
            ticks: its start time as it says itself.
            seen: the kernel named the process; otherwise only its start time proves that it is
                the one that this agent would find.
        """
        self.pid = pid
        is_same = seen or liveness.start_ticks(pid) == ticks
        self.pid_start_ticks = (liveness.start_ticks(pid) or ticks) if is_same else 0

    def substitute_start(self) -> Start:
        """Return what stands in for a first record that cannot be read."""
        return Start(
            run_id=self.run_id,
            project=self.project,
            entity=self.entity,
            label=self.label,
            mode=self.mode,
            run_dir=self.run_dir,
            time_s=self.attached_s,
            pid=self.pid,
            sdk_version="",
            python_version="",
            host="",
            program="",
            base_url=self.base_url,
            update_finish_state=not self.is_child,
            parent_producer=self.parent_producer,
        )

    def store(self, folder: Path) -> None:
        """Write the facts, whole or not at all; nothing is done where they stand there already.

        Raises:
            JournalFull: they cannot be written; the next call tries again.
        """
        path = folder / FACTS_FILE
        content = msgspec.json.encode(self)
        try:
            if path.exists() and path.read_bytes() == content:
                return
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = folder / f".{FACTS_FILE}"
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            raise JournalFull(
                "JOURNAL_UNWRITABLE", f"{path}: {error.strerror or error}", retry_after_s=1.0
            ) from error

    @classmethod
    def load(cls, folder: Path) -> WriterFacts | None:
        """Return the facts in a journal folder, or None where there are none to be read."""
        try:
            return msgspec.json.decode((folder / FACTS_FILE).read_bytes(), type=cls)
        except (OSError, ValueError):  # damage may also be text that is no UTF-8
            return None
