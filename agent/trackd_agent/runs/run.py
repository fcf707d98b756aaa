"""One run on this node: its writers, their labels, and the servers it goes to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from trackd_agent.core.errors import InvalidRequest, RunAlreadyAttached
from trackd_agent.runs.liveness import looks_dead
from trackd_agent.runs.options import RunRef, RunSnapshot, WriterSnapshot
from trackd_agent.runs.state.updates import Notice
from trackd_agent.runs.upload.uplink import Uplink
from trackd_agent.runs.upload.upsert import run_url
from trackd_agent.runs.writer import Writer
from trackd_agent.runs.writer_facts import WriterFacts
from trackd_agent.upstream import RunPath
from trackd_proto.layout import DEFAULT_ENTITY, journal_root, producer_name, run_key

if TYPE_CHECKING:
    from trackd_agent.runs.context import RunsContext
    from trackd_proto.records import Start

MODES = ("online", "offline", "shared")


class Run:
    """A run as this agent knows it; made by the first writer, forgotten when all is uploaded.

    Args:
        facts: of its first writer.
        context: settings and neighbours.
    """

    def __init__(self, facts: WriterFacts, context: RunsContext) -> None:
        self.key = run_key(facts.entity, facts.project, facts.run_id)
        self.run_id = facts.run_id
        self.project = facts.project
        self.entity = facts.entity
        self.mode = facts.mode
        self.base_url = facts.base_url
        self.run_dir = Path(facts.run_dir)
        self.started_s = facts.attached_s
        self.writers: list[Writer] = []
        self.uplinks: list[Uplink] = []
        self._own_server_url = ""
        self._context = context
        self._trouble_since_s = 0.0
        self._trouble_told = False
        if self.is_online:
            path = RunPath(facts.entity, facts.project, facts.run_id)
            addresses = dict.fromkeys((facts.base_url, *context.config.mirrors))
            self.uplinks = [
                Uplink(path, self.run_dir, context.upstreams.get(a), context, is_first=not i)
                for i, a in enumerate(addresses)
            ]

    @property
    def is_online(self) -> bool:
        """Whether it is uploaded while it runs."""
        return self.mode != "offline"

    @property
    def journal_dir(self) -> Path:
        """Folder of the writers' journals."""
        if self.is_online:
            return journal_root(self._context.data_dir) / self.key
        return self.run_dir / "journal"

    @property
    def url(self) -> str:
        """Address of the run for a browser; empty when not known."""
        if not self.uplinks:
            return ""
        return self.uplinks[0].upsert.url or self._expected_url()

    def _expected_url(self) -> str:
        """Return the address at a server of ours, which is known before the server answers."""
        if not self._own_server_url and (
            address := self._context.upstreams.expected_address(self.base_url)
        ):
            entity = self.entity or DEFAULT_ENTITY
            self._own_server_url = run_url(address, RunPath(entity, self.project, self.run_id))
        return self._own_server_url

    def matches(self, ref: RunRef) -> bool:
        """Whether a caller means this run."""
        return (
            ref.run_id == self.run_id
            and ref.project in ("", self.project)
            and ref.entity in ("", self.entity)
        )

    # -- writers ---------------------------------------------------------------------------

    def writer_of(self, producer: int) -> Writer | None:
        """Return the writer with this identity."""
        return next((w for w in self.writers if w.producer == producer), None)

    def free_label(self, label: str, producer: int, *, rename: bool) -> str:
        """Return the label that a new writer gets.

        Raises:
            RunAlreadyAttached: a living writer holds it, and another will not do.
        """
        taken = {
            w.label: w
            for w in self.writers
            if w.is_alive and not w.facts.is_child and w.producer != producer
        }
        holder = taken.get(label)
        if holder is None or looks_dead(holder):
            return label
        if not rename:
            raise RunAlreadyAttached(
                "LABEL_TAKEN",
                f"label {label!r} of run {self.run_id!r} is held by process {holder.facts.pid}, "
                "which is alive; give this process another x_label, or finish the other one",
                details={"label": label, "run_id": self.run_id, "pid": str(holder.facts.pid)},
            )
        stem = label or "writer"
        number = 2
        while f"{stem}-{number}" in taken:
            number += 1
        return f"{stem}-{number}"

    def add(self, facts: WriterFacts) -> Writer:
        """Open a writer's journals and let the uplinks carry it.

        Raises:
            JournalFull: the journal cannot be written.
        """
        facts.base_url, facts.run_dir = self.base_url, str(self.run_dir)
        folder = self.journal_dir / producer_name(facts.producer)
        writer = Writer(facts, folder, self._context)
        self.writers.append(writer)
        for uplink in self.uplinks:
            uplink.add(writer)
        return writer

    def substitute_start(self, producer: int) -> Start:
        """Return a first record for a writer of this run whose own cannot be read.

        Its label is lost with it: it gets one of its own, so that it disturbs no other stream.
        """
        facts = WriterFacts(
            run_id=self.run_id,
            project=self.project,
            entity=self.entity,
            mode=self.mode,
            run_dir=str(self.run_dir),
            base_url=self.base_url,
            label=f"writer-{producer_name(producer)[:8]}",
            producer=producer,
            spool_dir="",
            attached_s=self.started_s,
        )
        return facts.substitute_start()

    def check_mode(self, mode: str) -> None:
        """Refuse a writer that records in another way than the run.

        Raises:
            InvalidRequest: it does.
        """
        if (mode == "offline") == self.is_online:
            raise InvalidRequest(
                "MODE_MISMATCH",
                f"run {self.run_id!r} is recorded in mode {self.mode!r} on this node, not "
                f"{mode!r}; give all its processes the same mode",
            )

    # -- state -----------------------------------------------------------------------------

    @property
    def has_living_writer(self) -> bool:
        """Whether more may come."""
        return any(writer.may_grow for writer in self.writers)

    @property
    def is_over(self) -> bool:
        """Whether all writers have ended and every server has everything."""
        return not self.has_living_writer and not self.is_uploading

    @property
    def is_uploading(self) -> bool:
        """Whether something is on its way, or may be."""
        return any(uplink.is_running for uplink in self.uplinks) or (
            not self.is_online and any(not writer.pumps.are_over for writer in self.writers)
        )

    @property
    def problem(self) -> str:
        """What keeps records from coming in, or the upload from moving."""
        problems = [w.problem for w in self.writers] + [up.problem for up in self.uplinks]
        return next(filter(None, problems), "")

    def tell_trouble(self) -> None:
        """Tell one of the ranks, once, what has kept the upload from moving for a while."""
        trouble = next((up for up in self.uplinks if up.problem), None)
        now_s = time.monotonic()
        if trouble is None:
            self._trouble_since_s, self._trouble_told = 0.0, False
            return
        self._trouble_since_s = self._trouble_since_s or now_s
        listener = next((writer for writer in self.writers if writer.is_alive), None)
        lasts = now_s - self._trouble_since_s >= self._context.config.trouble_told_s
        if lasts and listener is not None and not self._trouble_told:
            self._trouble_told = True
            text = (
                f"the upload to {trouble.upstream.base_url or trouble.upstream.name} waits: "
                f"{trouble.problem.rstrip('.')}; nothing is lost, see `trackd status`"
            )
            listener.notices.append(Notice("warning", text))

    @property
    def backlog_bytes(self) -> int:
        """Journal bytes that some server has not acknowledged."""
        return sum(writer.pumps.backlog_bytes for writer in self.writers)

    @property
    def state(self) -> str:
        """`running`, `finished`, `failed` or `crashed`."""
        if self.has_living_writer:
            return "running"
        last = {writer.label: writer for writer in self.writers if not writer.is_guest}.values()
        if any(writer.state == "crashed" for writer in last):
            return "crashed"
        return "failed" if any(writer.pumps.exit_code for writer in last) else "finished"

    def snapshot(self) -> RunSnapshot:
        """Return the state for people."""
        return RunSnapshot(
            run_id=self.run_id,
            project=self.project,
            entity=self.entity,
            mode=self.mode,
            state=self.state,
            run_dir=self.run_dir,
            url=self.url,
            upload_problem=self.problem,
            started_s=self.started_s,
            writers=tuple(_snapshot_of(writer) for writer in self.writers),
        )

    def hurry(self) -> None:
        """Send what there is, also where the upload waits for better times."""
        for uplink in self.uplinks:
            uplink.hurry()

    def close(self) -> None:
        """Let go of all journals; they stay."""
        for writer in self.writers:
            writer.close()


def _snapshot_of(writer: Writer) -> WriterSnapshot:
    """Return the state of a writer for people."""
    return WriterSnapshot(
        label=writer.label,
        producer=producer_name(writer.producer),
        pid=writer.facts.pid if writer.state == "attached" else 0,
        state=writer.state,
        received_seq=writer.journal.last_seq,
        journalled_seq=writer.journal.last_seq,
        uploaded_seq=writer.uploaded_seq,
        backlog_bytes=writer.pumps.backlog_bytes,
        dropped=writer.pumps.dropped,
        exit_code=writer.pumps.exit_code,
    )
