"""Brings the spool to the agent: attach, stream, acknowledge, reconnect, for as long as it takes.

Threads of one sender: the *supervisor* (ours) connects, watches for silence and keeps the spool
in order while nobody streams; gRPC's own request thread runs `_requests`, which polls the spool;
the *receiver* (ours, one per stream) takes acknowledgements in. `log()` wakes none of them.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections import deque
from typing import TYPE_CHECKING

from trackd.identity import jitter_s
from trackd.logs import LOGGER
from trackd.recording.spool_reader import SpoolReader
from trackd.sending.agent_link import AgentCallError, AgentLink
from trackd.sending.news import News
from trackd_proto.v1 import run_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trackd.recording.spool import Spool
    from trackd.recording.spool_reader import Piece
    from trackd.sending.agent_link import RecordsCall
    from trackd.sending.discovery import Discovery
    from trackd.terminal import Terminal

_log = LOGGER

_SLICE_BYTES = 256 * 1024
#: Where the agent reads the spool: larger, since a message costs more than what it names.
_NAMED_SLICE_BYTES = 1024 * 1024
_SLICE_FRAMES = 4_096
#: From this size on a piece of the spool is named rather than sent, where the agent can read it.
_LEAST_NAMED_BYTES = 16 * 1024
_WINDOW_BYTES = 4 * 1024 * 1024
_WINDOW_FRAMES = 10_000
_BUSY_POLL_S = 0.01
_IDLE_POLL_S = 0.05
_IDLE_AFTER_POLLS = 20
_PING_S = 2.0
_SILENCE_S = 10.0
_SUPERVISE_S = 0.5
_ATTACH_TIMEOUT_S = 10.0
_RECONNECT_S = (0.02, 1.0)
_SHORT_STREAM_S = 1.0
_START_AGENT_AFTER_S = 3.0
_DROP_WARNING_S = 60.0
_REFUSED_PAUSE_S = 5.0
#: How long who reads waits for an agent to come (back): one is started after three seconds.
_ABSENCE_S = 6.0
#: With more than so many records on their way the end of a run does not wait for its digest.
_DIGEST_FRAMES = 4_096


class Sender:
    """Owns the connection of one writer.

    Args:
        spool: what to send.
        discovery: where the agent is.
        attach_request: makes the request that joins the run.
        terminal: shows what the agent has to say.
    """

    def __init__(
        self,
        spool: Spool,
        discovery: Discovery,
        attach_request: Callable[[], run_pb2.AttachRequest],
        terminal: Terminal,
    ) -> None:
        self.acked_seq = 0
        self.news = News(terminal)
        #: Somebody waits for news: the agent is asked at once.
        self._is_asking = False
        self._spool = spool
        self._discovery = discovery
        self._attach_request = attach_request
        self._terminal = terminal
        self._link: AgentLink | None = None
        self._attached: run_pb2.AttachResponse | None = None
        self._streaming = False
        #: When the last stream ended.
        self._alone_since_s = time.monotonic()
        self._stopping = False
        self._heard_s = 0.0
        self._wake = threading.Event()
        self._ended = threading.Event()  # of the present stream
        self._window_full = False
        self._progress = threading.Condition()
        self._supervisor = threading.Thread(target=self._run, name="trackd-sender", daemon=True)
        self._start_agent_after_s = _START_AGENT_AFTER_S
        self._next_drop_warning_s = 0.0
        self._dropped_shown = 0
        #: Called with every answer to an attach.
        self.on_attached: Callable[[run_pb2.AttachResponse], None] = lambda response: None
        #: Called every poll: flushes partial console lines.
        self.on_poll: Callable[[], None] = lambda: None

    # --- called by the session ---------------------------------------------------------------

    def attach_first(self, timeout_s: float) -> run_pb2.AttachResponse | None:
        """Join the run, starting an agent where there is none; None when none answers in time.

        Raises:
            AgentCallError: the agent answered, and refused.
        """
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            if not self._discovery.is_listening():
                if not self._start_agent():
                    return None
                time.sleep(0.01)
                continue
            try:
                return self._attach(reattach=False, timeout_s=left_s)
            except AgentCallError as error:
                if not error.retryable:
                    raise
                time.sleep(0.02)
        return None

    def start(self) -> None:
        """Begin to send."""
        self._supervisor.start()

    def hurry(self) -> None:
        """The run ends: where no agent answers, start one now instead of waiting for its return."""
        self._start_agent_after_s = 0.0

    def wait_acked(self, seq: int, timeout_s: float) -> bool:
        """Wait until the agent holds everything up to this sequence number."""
        self._wake.set()
        with self._progress:
            return self._progress.wait_for(lambda: self.acked_seq >= seq, timeout_s)

    def detach(self, timeout_s: float) -> bool:
        """Leave the run on purpose; True when the agent holds everything, or sees to the rest."""
        link, attached = self._link, self._attached
        if link is None or attached is None or not self._streaming:
            return False
        try:
            response = link.detach(attached.capability, self._spool.last_seq, timeout_s)
        except AgentCallError as error:
            _log.warning("detach failed: %s", error)
            return False
        self.news.take_last(response)
        self.acked_seq = max(self.acked_seq, response.acked_seq)
        return response.takes_rest or self.acked_seq >= self._spool.last_seq

    def read_summary(
        self, request: run_pb2.ReadSummaryRequest, timeout_s: float
    ) -> run_pb2.ReadSummaryResponse | None:
        """Read the summary, as of everything recorded before; None when no agent answers."""
        deadline = time.monotonic() + timeout_s
        if not self._wait_acked_by_someone(self._spool.last_seq, deadline):
            return None
        left_s = max(0.1, deadline - time.monotonic())
        try:
            return link.read_summary(request, left_s) if (link := self._link) else None
        except AgentCallError as error:
            _log.warning("reading the summary failed: %s", error)
            return None

    def wait_name(self, timeout_s: float) -> str:
        """Return how the server calls the run; empty where nobody says so in time."""
        deadline = time.monotonic() + timeout_s
        while not self.news.name and (left_s := deadline - time.monotonic()) > 0:
            self._is_asking = True
            self._wake.set()
            self.news.is_named.wait(min(_IDLE_POLL_S, left_s))
        return self.news.name

    def _wait_acked_by_someone(self, seq: int, deadline: float) -> bool:
        """Wait until the agent holds everything up to a number; not long where there is none.

        Training may read `run.step` in every iteration: an absence costs its time once.
        """
        while not (acked := self.wait_acked(seq, 0.0)) and (now_s := time.monotonic()) < deadline:
            if not self._streaming and now_s - self._alone_since_s > _ABSENCE_S:
                break
            self.wait_acked(seq, min(_IDLE_POLL_S, deadline - now_s))
        return acked

    def read_digest(
        self, request: run_pb2.ReadDigestRequest, acks_s: float, timeout_s: float
    ) -> run_pb2.ReadDigestResponse | None:
        """Read what a run shows at its end; None where that takes longer."""
        last_seq = self._spool.last_seq
        if last_seq - self.acked_seq > _DIGEST_FRAMES or not self.wait_acked(last_seq, acks_s):
            return None
        try:
            return link.read_digest(request, timeout_s) if (link := self._link) else None
        except AgentCallError as error:
            _log.info("reading the digest failed: %s", error)
            return None

    def stop(self) -> None:
        """End the threads and the connection; nothing more is sent."""
        self._stopping = True
        self._ended.set()
        self._wake.set()
        if self._supervisor.is_alive():
            self._supervisor.join(timeout=2.0)
        self._drop_link()

    @property
    def connection(self) -> tuple[AgentLink, str] | None:
        """The way to the agent, and the proof of who calls; None where there is none now."""
        link, attached = self._link, self._attached
        return None if link is None or attached is None else (link, attached.capability)

    @property
    def is_streaming(self) -> bool:
        """True while an agent takes records."""
        return self._streaming

    # --- the supervisor ----------------------------------------------------------------------

    def _run(self) -> None:
        lost_s = time.monotonic()
        while not self._stopping:
            try:
                if self._attached is None and not self._reconnect(lost_s):
                    continue
                self._stream_while_it_helps()
            except Exception:  # noqa: BLE001 - whatever it is, it must not end the sending
                _log.exception("the sender failed and starts over")
                self._pause(_RECONNECT_S[1])
            self._drop_link()
            lost_s = time.monotonic()

    def _reconnect(self, lost_s: float) -> bool:
        """Try once to attach again; False when that must be repeated."""
        if not self._discovery.is_listening():
            if time.monotonic() - lost_s >= self._start_agent_after_s:
                self._start_agent()
            self._pause(jitter_s(*_RECONNECT_S))
            return False
        try:
            self._attach(reattach=True, timeout_s=_ATTACH_TIMEOUT_S)
        except AgentCallError as error:
            _log.warning("attach failed: %s", error)
            if error.retryable:
                self._pause(jitter_s(*_RECONNECT_S))
            else:
                self._terminal.warn_once(
                    f"the agent refuses this run ({error.message}); "
                    "rows are kept on this node and offered again"
                )
                self._pause(_REFUSED_PAUSE_S)
            return False
        return True

    def _start_agent(self) -> bool:
        """Start an agent if it is time for that; False when that does not work."""
        discovery = self._discovery
        try:
            discovery.start_agent()
        except OSError as error:
            self._terminal.warn_once(
                f"cannot start an agent: {error}: make {discovery.data_dir} writable or set "
                "TRACKD_DIR; rows are kept on disk meanwhile"
            )
            return False
        if discovery.failure:
            self._terminal.warn_once(
                f"the agent does not start: {discovery.failure}; rows are kept on disk meanwhile"
            )
        return not discovery.failure

    @property
    def is_hopeless(self) -> bool:
        """True when no agent answers and the last one started here failed."""
        return not self._streaming and bool(self._discovery.failure)

    def _attach(self, *, reattach: bool, timeout_s: float) -> run_pb2.AttachResponse:
        request = self._attach_request()
        request.reattach = reattach
        request.rename_on_conflict = request.rename_on_conflict or reattach
        self._drop_link()
        self._link = link = AgentLink(self._discovery.target)
        try:
            self._attached = attached = link.attach(request, timeout_s)
        except AgentCallError:
            self._drop_link()
            raise
        self._discovery.failure = ""
        self.news.take_url(attached.url)
        self.on_attached(attached)
        return attached

    def _stream_while_it_helps(self) -> None:
        """Stream; after a stream that ended at once, and brought nothing, wait a moment.

        An agent whose disk is full takes us back every time.
        """
        began_s, acked_seq = time.monotonic(), self.acked_seq
        self._stream()
        if self.acked_seq == acked_seq and time.monotonic() - began_s < _SHORT_STREAM_S:
            self._pause(jitter_s(*_RECONNECT_S))

    def _stream(self) -> None:
        """Stream until the connection ends, from either side."""
        link, attached = self._link, self._attached
        assert link is not None
        assert attached is not None
        reader = SpoolReader(self._spool)
        if not reader.seek(attached.last_seq):
            self._terminal.warn_once(
                f"the agent's journal ends at record {attached.last_seq}, older than what this "
                "process still holds: its files were damaged or removed"
            )
        self._acknowledge(attached.last_seq)
        self._heard_s = time.monotonic()
        self._ended = ended = threading.Event()
        call = link.records(self._requests(reader, attached, ended))
        receiver = threading.Thread(
            target=self._receive, args=(call, ended), name="trackd-acks", daemon=True
        )
        receiver.start()
        self._streaming = True
        try:
            while not ended.wait(_SUPERVISE_S) and not self._stopping:
                if time.monotonic() - self._heard_s > _SILENCE_S:
                    _log.warning("no answer from the agent for %s s", _SILENCE_S)
                    break
        finally:
            self._streaming = False
            self._alone_since_s = time.monotonic()
            ended.set()
            call.cancel()
            receiver.join(timeout=1.0)

    def _pause(self, duration_s: float) -> None:
        """Wait while nobody streams, keeping the spool in order."""
        deadline = time.monotonic() + duration_s
        while not self._stopping and (left_s := deadline - time.monotonic()) > 0:
            self._keep_house()
            time.sleep(min(_BUSY_POLL_S * 2, left_s))

    def _drop_link(self) -> None:
        link, self._link, self._attached = self._link, None, None
        if link is not None:
            link.close()

    # --- gRPC's request thread ---------------------------------------------------------------

    def _requests(
        self, reader: SpoolReader, attached: run_pb2.AttachResponse, ended: threading.Event
    ) -> Iterator[run_pb2.RecordsRequest]:
        in_flight: deque[tuple[int, int]] = deque()
        in_flight_bytes = 0
        first_seq = reader.next_seq
        sent_s = time.monotonic()
        idle_polls = 0
        slice_bytes = _NAMED_SLICE_BYTES if attached.reads_spool else _SLICE_BYTES
        yield run_pb2.RecordsRequest(capability=attached.capability, first_seq=first_seq)
        while not ended.is_set():
            self._keep_house()
            while in_flight and in_flight[0][0] <= self.acked_seq:
                in_flight_bytes -= in_flight.popleft()[1]
            window_open = (
                in_flight_bytes < _WINDOW_BYTES
                and reader.next_seq - self.acked_seq <= _WINDOW_FRAMES
            )
            self._window_full = not window_open
            piece = reader.read(slice_bytes, _SLICE_FRAMES) if window_open else None
            if piece is not None:
                in_flight.append((piece.first_seq + piece.frame_count - 1, piece.size_bytes))
                in_flight_bytes += piece.size_bytes
                sent_s = time.monotonic()
                idle_polls = 0
                yield _batch(piece, by_name=attached.reads_spool)
                if piece.size_bytes >= slice_bytes // 2 or piece.frame_count >= _SLICE_FRAMES // 2:
                    continue  # there is more
            elif self._is_asking or time.monotonic() - sent_s >= _PING_S:
                self._is_asking = False
                sent_s = time.monotonic()
                yield run_pb2.RecordsRequest(first_seq=reader.next_seq)
            idle_polls += 1
            self._wake.wait(_poll_s(piece, idle_polls))
            self._wake.clear()

    def _keep_house(self) -> None:
        self._spool.prepare()
        self.on_poll()
        dropped = sum(self._spool.dropped.values())
        if dropped > self._dropped_shown and time.monotonic() >= self._next_drop_warning_s:
            self._next_drop_warning_s = time.monotonic() + _DROP_WARNING_S
            self._dropped_shown = dropped
            self._terminal.warn(_text_of_drops(self._spool.dropped))

    # --- the receiver ------------------------------------------------------------------------

    def _receive(self, call: RecordsCall, ended: threading.Event) -> None:
        try:
            for response in call:
                self._heard_s = time.monotonic()
                self._acknowledge(response.acked_seq)
                self.news.take(response)
                if response.rewind:
                    break  # attaching again tells where to go on
        except AgentCallError as error:
            if not ended.is_set():
                _log.info("the record stream ended: %s", error)
        finally:
            ended.set()
            self._wake.set()

    def _acknowledge(self, seq: int) -> None:
        if seq > self.acked_seq:
            self.acked_seq = seq
            self._spool.trim(seq)
            with self._progress:
                self._progress.notify_all()
            if self._window_full:  # otherwise the next poll is soon enough, and finds more rows
                self._wake.set()


def _poll_s(piece: Piece | None, idle_polls: int) -> float:
    """Return how long to wait for more."""
    # What comes in large pieces is no row that somebody waits to see: fewer messages.
    is_much = piece is not None and piece.size_bytes >= _LEAST_NAMED_BYTES
    return _IDLE_POLL_S if is_much or idle_polls >= _IDLE_AFTER_POLLS else _BUSY_POLL_S


def _batch(piece: Piece, *, by_name: bool) -> run_pb2.RecordsRequest:
    """Return the message that brings frames to the agent: themselves, or where they are.

    The second costs this process next to nothing, however much it logs and prints.
    """
    if by_name and piece.size_bytes >= _LEAST_NAMED_BYTES:
        where = run_pb2.SpoolSlice(
            segment_seq=piece.segment.first_seq, offset=piece.start, length=piece.size_bytes
        )
        return run_pb2.RecordsRequest(
            first_seq=piece.first_seq, count=piece.frame_count, slice=where
        )
    frames = piece.frames()
    return run_pb2.RecordsRequest(
        first_seq=piece.first_seq, count=piece.frame_count, frames=frames, crc32=zlib.crc32(frames)
    )


def _text_of_drops(dropped: Mapping[str, int]) -> str:
    reasons = ", ".join(f"{count} {why}" for why, count in dropped.items())
    return (
        f"{sum(dropped.values())} records were dropped so far ({reasons}): free disk space, raise "
        "spool_max_bytes, or look at `trackd status`"
    )
