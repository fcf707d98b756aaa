"""This process as one writer of a run: spool, recorder and sender, from attach to detach."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackd import __version__
from trackd import identity as identities
from trackd.context import start_record
from trackd.errors import CommError, LabelInUseError, UsageError
from trackd.lifecycle.continuing import MODES, run_ref
from trackd.messages.footer import Digest
from trackd.runs.status import RunStatus
from trackd.sending import monitoring
from trackd.sending.agent_link import AgentCallError
from trackd.sending.sender import Sender
from trackd_proto.records import Exit, Kind
from trackd_proto.v1 import run_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd.context import WriterContext
    from trackd.runs.status import SystemMetrics
    from trackd_proto.v1 import common_pb2

#: Longest wait of `init` for an agent, whatever `init_timeout` says: rows are safe without one.
MAX_AGENT_WAIT_S = 10.0
_CALL_TIMEOUT_S = 5.0
#: How long the end of a run waits for acknowledgements before it leaves the rest on disk.
_LAST_ACKS_S = 0.02
#: How long it goes on waiting while nothing moves: rows are safe, and nobody may be there.
_STALLED_S = 4.0
_SAY_SO_AFTER_S = 1.5
#: Longest waits for what the run shows at its end: until the agent has all, and for its answer.
_DIGEST_ACKS_S = 0.15
_DIGEST_S = 0.25
_POLL_S = 0.1
#: Longest wait for the name that the server gives a run, and at the end of one that just began.
_NAME_S, _NAME_AT_END_S = 5.0, 0.5


@dataclass(frozen=True, slots=True)
class Handover:
    """How a writer's end went."""

    #: An agent holds every record, or takes the rest from the disk; otherwise the next agent does.
    complete: bool
    #: Every record is uploaded too.
    uploaded: bool
    #: Records that no agent knows of yet, and where they lie.
    left: int = 0
    folder: str = ""
    #: Records that were never stored for want of room, by reason.
    dropped: Mapping[str, int] = field(default_factory=dict[str, int])
    #: What there is to show of the run; None: nobody could tell in time.
    digest: Digest | None = None
    #: Client ids and names of the artifacts that this process recorded.
    artifacts: tuple[tuple[str, str], ...] = ()


class Writer:
    """This process as an attached writer."""

    def __init__(self, context: WriterContext) -> None:
        self.context = context
        self.producer = identities.generate_producer()
        self.spool = context.make_spool(self.producer)
        self.recorder = context.make_recorder(self.spool, context.identity.starting_step)
        self.sender = Sender(self.spool, context.discovery, self._attach_request, context.terminal)
        self.sender.on_attached = self._take_label
        self.spool.is_drained = lambda: self.sender.is_streaming
        identity = context.identity
        self._is_drawn = False
        #: When nobody waits for the name any more; 0: nobody asked yet.
        self._name_due_s = 0.0
        self._began_s = 0.0
        self._rename_on_conflict = not identity.label_is_explicit and bool(identity.label)

    def open(self) -> bool:
        """Join the run; return False when no agent answered and rows wait in the spool.

        Raises:
            LabelInUseError: a living process writes under the label that the user gave.
            UsageError: the agent refuses the run for what it is.
            CommError: the agent refuses this process.
        """
        attached = self._attach()
        if attached is None:
            self._rename_on_conflict = True
        else:
            self.context.run_dir = Path(attached.run_dir or self.context.run_dir)
        return attached is not None

    def begin(self) -> None:
        """Write the first record and start to send."""
        identity = self.context.identity
        first_step = identity.starting_step
        start = start_record(self.context, identity.config, first_step=first_step)
        self.recorder.record(Kind.START, start)
        self._began_s = time.monotonic()
        self.sender.start()

    def finish(self, exit_code: int, timeout_s: float) -> Handover:
        """Record the end, hand everything to the agent and leave."""
        end = Exit(exit_code, time.time(), self.context.clock.runtime_s())
        self.spool.settle()
        self.recorder.record(Kind.EXIT, end)
        try:
            digest = self._read_digest() if self.context.terminal.shows_info else None
            self._learn_address(min(_NAME_AT_END_S, timeout_s))
            complete = self._hand_over(timeout_s)
        except BaseException:  # an impatient user: the agent takes the rest from the disk
            self.leave(delete=False)
            raise
        finally:
            if self._is_drawn:
                self.context.terminal.redraw("")
        self.sender.stop()
        last_seq = self.spool.last_seq
        left = 0 if complete else last_seq - self.sender.acked_seq
        # What the agent does not hold stays: it, or the next one, takes it from the folder once
        # the lock is free.
        self.spool.close(delete=complete and self.sender.acked_seq >= last_seq)
        uploaded = complete and self.sender.news.uploaded_seq >= last_seq
        folder, dropped = str(self.spool.folder), self.spool.dropped
        place = self.recorder.place
        artifacts = tuple(place.artifacts) if place is not None else ()
        return Handover(complete, uploaded, left, folder, dropped, digest, artifacts)

    def leave(self, *, delete: bool) -> None:
        """Send nothing more, and close the spool.

        Args:
            delete: with everything in it.
        """
        self.sender.stop()
        self.spool.close(delete=delete)

    def _read_digest(self) -> Digest | None:
        """Return what the run is to show at its end, where the agent can tell at once."""
        label = self.context.identity.label
        request = run_pb2.ReadDigestRequest(run=self._run_ref(), label=label)
        response = self.sender.read_digest(request, _DIGEST_ACKS_S, _DIGEST_S)
        if response is None or response.is_behind:
            return None
        return Digest(json.loads(response.summary_json), json.loads(response.history_json))

    def _learn_address(self, timeout_s: float) -> None:
        """Give the server of a run that just began a moment to answer: the last lines tell where.

        One that has not answered for longer is away, and not waited for.
        """
        is_new = time.monotonic() - self._began_s < _NAME_S
        is_asked = self.sender.is_streaming and self.context.identity.mode != "offline"
        if is_new and is_asked and not self.sender.news.url:
            self.sender.wait_name(timeout_s)

    def _hand_over(self, timeout_s: float) -> bool:
        """See to it that an agent has everything or takes it from the disk, while one moves."""
        sender, last_seq = self.sender, self.spool.last_seq
        began_s = moved_s = time.monotonic()
        wait_s, acked_seq, said = _LAST_ACKS_S, sender.acked_seq, False
        sender.hurry()
        while True:
            held = sender.wait_acked(last_seq, wait_s)
            now_s = time.monotonic()
            left_s = began_s + timeout_s - now_s
            if (held or left_s > 0) and sender.detach(min(_CALL_TIMEOUT_S, max(1.0, left_s))):
                return True
            if sender.acked_seq > acked_seq:
                acked_seq, moved_s = sender.acked_seq, now_s
            stalled = sender.is_hopeless or now_s - moved_s > _STALLED_S
            if stalled or left_s <= 0:
                return held
            if now_s - began_s > _SAY_SO_AFTER_S:
                self._say_so(last_seq - acked_seq, said=said)
                said = True
            wait_s = min(_POLL_S, left_s)

    def _say_so(self, waiting: int, *, said: bool) -> None:
        """Tell what the end waits for: once, or on a terminal in a line that is redrawn."""
        state = "the agent is busy" if self.sender.is_streaming else "no agent answers"
        text = f"handing over {waiting} records ({state}) ..."
        if self.context.terminal.redraw(text):
            self._is_drawn = True
        elif not said:
            self.context.terminal.info(text)

    def read_summary(self) -> tuple[dict[str, Any], int] | None:
        """Return the summary and the open step; None when no agent answers in time."""
        request = run_pb2.ReadSummaryRequest(run=self._run_ref(), label=self.context.identity.label)
        response = self.sender.read_summary(request, self.context.settings.summary_timeout)
        if response is None:
            return None
        # Python's own parser: summaries hold the NaN and Infinity tokens.
        return json.loads(response.summary_json or "{}"), response.step

    def ask_name(self, *, waits: bool) -> str | None:
        """Return how the server calls the run; None where it has not said so.

        Args:
            waits: for a server that is asked for the first time; a name that does not come in
                time costs its time once.
        """
        if self.context.identity.mode == "offline":
            return None
        now_s = time.monotonic()
        self._name_due_s = self._name_due_s or now_s + _NAME_S
        left_s = self._name_due_s - now_s if waits else 0.0
        if not (name := self.sender.wait_name(left_s)) and left_s > 0:
            self.context.terminal.warn_once(
                f"the server did not answer within {_NAME_S:.0f} s: run.url is None until it "
                "does, and so is run.name of a run that the script did not name"
            )
        return name or None

    def system_metrics(self) -> SystemMetrics:
        """Return the last values of each system metric that the agent keeps for this process."""
        return monitoring.last_metrics(self.sender)

    def status(self) -> RunStatus:
        """Return how much of what was recorded the server has; zeros when offline."""
        if self.context.identity.mode == "offline":
            return RunStatus()
        news, total = self.sender.news, self.spool.last_seq
        return RunStatus(total, total - min(total, news.uploaded_seq), news.uploaded_at)

    # --- attaching ---------------------------------------------------------------------------

    def _attach(self) -> run_pb2.AttachResponse | None:
        settings = self.context.settings
        timeout_s = min(settings.init_timeout, settings.x_service_wait, MAX_AGENT_WAIT_S)
        try:
            return self.sender.attach_first(timeout_s)
        except AgentCallError as error:
            if not error.is_label_conflict:
                return self._go_on_without(error)
            identity = self.context.identity
            if identity.label_is_explicit:
                raise LabelInUseError(
                    f"x_label={identity.label!r} of run {identity.run_id!r} is in use by another "
                    "living process: give each process its own x_label (TRACKD_X_LABEL)"
                ) from None
        # Nobody chose our label, so we may take another one.
        identity.label = f"p{os.getpid()}"
        self._rename_on_conflict = True
        try:
            return self.sender.attach_first(timeout_s)
        except AgentCallError as error:
            return self._go_on_without(error)

    def _go_on_without(self, error: AgentCallError) -> None:
        """Begin in the spool although the agent failed; what only the user can mend is raised."""
        if error.is_invalid:
            raise UsageError(error.message)
        if error.is_refusal:
            raise CommError(f"the agent refuses this run: {error.message} ({error.code})")
        self.context.terminal.warn_once(
            f"the agent failed to take this run ({error.message}); rows are kept on this node "
            "and offered again"
        )

    def _take_label(self, attached: run_pb2.AttachResponse) -> None:
        self.context.identity.label = attached.label

    def _attach_request(self) -> run_pb2.AttachRequest:
        context, pid = self.context, os.getpid()
        return run_pb2.AttachRequest(
            run=self._run_ref(),
            producer=self.producer,
            label=context.identity.label,
            mode=MODES[context.identity.mode],
            spool_dir=str(self.spool.folder.absolute()),
            run_dir=str(context.run_dir.absolute()),
            sdk_version=__version__,
            pid=pid,
            pid_start_ticks=identities.start_ticks(pid),
            rename_on_conflict=self._rename_on_conflict,
            base_url=context.settings.base_url or "",
            api_key=context.settings.api_key or "",
            hints=monitoring.hints(context.settings),
        )

    def _run_ref(self) -> common_pb2.RunRef:
        return run_ref(self.context.identity)
