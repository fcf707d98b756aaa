"""The record streams: frames of ranks into their journals, acknowledgements back.

A handler only reads and journals. What the rank is told goes out by one task a stream, which
belongs to `RecordStreams` (a handler of grpcio owns nothing): it sends the latest state, so that
several batches that came in meanwhile are acknowledged by one message, and it looks once an
interval whether something else changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import anyio
import structlog

from trackd_agent.core.errors import InvalidRequest, NotAllowed, Stopping
from trackd_agent.rpc import conversion
from trackd_proto.v1 import run_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from anyio.abc import TaskGroup

    from trackd_agent.rpc.config import RpcConfig
    from trackd_agent.runs.registry import RunRegistry
    from trackd_agent.runs.writer import Writer

log = structlog.get_logger()

#: How long the last acknowledgement of an ending stream may take.
_LAST_WORDS_S = 0.5


class _Voice:
    """What one rank hears: sends the latest state whenever there is something new."""

    def __init__(self, writer: Writer, context: Any, interval_s: float) -> None:
        self._writer = writer
        self._context = context
        self._interval_s = interval_s
        self._news = anyio.Event()
        self._answer_due = False
        self._rewind = False
        self._said: tuple[object, ...] = ()
        self._ended = False
        #: Set when nothing more will be written: then the handler may end the call.
        self.silent = anyio.Event()

    def answer(self, *, rewind: bool) -> None:
        """A batch (or a ping) is dealt with: tell the rank soon."""
        self._answer_due = True
        self._rewind = self._rewind or rewind
        self._news.set()

    def end(self) -> None:
        """Say what is left to say, then be silent."""
        self._ended = True
        self._news.set()

    async def run(self) -> None:
        """Speak until the end."""
        try:
            while True:
                with anyio.move_on_after(self._interval_s):
                    await self._news.wait()
                self._news = anyio.Event()
                ended = self._ended
                message = self._message()
                if message is not None:
                    await self._context.write(message)
                if ended:
                    return
        except Exception as error:  # noqa: BLE001 - grpcio raises several kinds when a rank is gone
            log.debug("rank_not_reached", problem=repr(error))
        finally:
            self.silent.set()

    def _message(self) -> run_pb2.RecordsResponse | None:
        writer = self._writer
        notices = writer.take_notices()
        state = (writer.uploaded_seq, writer.url, writer.stop_requested)
        if not (self._answer_due or notices or state != self._said):
            return None
        rewind, self._rewind = self._rewind, False
        self._answer_due = False
        self._said = state
        return run_pb2.RecordsResponse(
            acked_seq=writer.acked_seq,
            rewind=rewind,
            stop_requested=writer.stop_requested,
            url=writer.url,
            name=writer.name,
            uploaded_seq=writer.uploaded_seq,
            notices=[conversion.notice(each.level, each.text) for each in notices],
        )


class RecordStreams:
    """Async context manager that owns the speaking side of all record streams."""

    def __init__(self, registry: RunRegistry, config: RpcConfig) -> None:
        self._registry = registry
        self._config = config
        self._voices: set[_Voice] = set()
        self._stopping = False
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        return await self._tasks.__aexit__(kind, error, trace)

    async def drain(self) -> None:
        """Take nothing more, and acknowledge what was taken."""
        self._stopping = True
        voices = list(self._voices)
        for voice in voices:
            voice.end()
        with anyio.move_on_after(_LAST_WORDS_S):
            for voice in voices:
                await voice.silent.wait()

    async def serve(self, requests: AsyncIterator[run_pb2.RecordsRequest], context: Any) -> None:
        """Serve one stream to its end.

        Raises:
            AgentError: a message is wrong, or could not be journalled.
        """
        first = await anext(aiter(requests), None)
        if first is None:
            return
        writer = self._registry.writer(first.capability)
        capability = first.capability
        voice = _Voice(writer, context, self._config.status_interval_s)
        assert self._tasks is not None
        self._voices.add(voice)
        self._tasks.start_soon(voice.run)
        try:
            self._take(writer, first, voice)
            async for request in requests:
                if writer.capability != capability:
                    if not writer.is_alive:
                        break  # it said goodbye; nothing that matters comes after
                    raise NotAllowed(
                        "CAPABILITY_OUTDATED", "this writer was attached again elsewhere"
                    )
                self._take(writer, request, voice)
        finally:
            self._voices.discard(voice)
            if writer.capability == capability:
                writer.connection_lost()
            voice.end()
            with anyio.move_on_after(_LAST_WORDS_S, shield=True):
                await voice.silent.wait()

    def _take(self, writer: Writer, request: run_pb2.RecordsRequest, voice: _Voice) -> None:
        if self._stopping:
            raise Stopping("STOPPING", "the agent is on its way out", retry_after_s=0.1)
        rewind = False
        if request.count or request.frames or request.HasField("slice"):
            receipt = writer.receive(
                request.first_seq, request.count, *self._frames_of(writer, request)
            )
            rewind = receipt.rewind
        voice.answer(rewind=rewind)

    def _frames_of(
        self, writer: Writer, request: run_pb2.RecordsRequest
    ) -> tuple[bytes, int | None]:
        """Return the frames of a batch, and their CRC where they travelled."""
        is_slice = request.HasField("slice")
        if not request.count or not request.first_seq or is_slice == bool(request.frames):
            raise InvalidRequest(
                "INVALID_BATCH",
                "count, first_seq and either frames or slice must be set together",
            )
        if not is_slice:
            return request.frames, request.crc32
        where = request.slice
        if not 0 < where.length <= self._config.max_message_bytes:
            raise InvalidRequest(
                "INVALID_BATCH",
                f"slice.length={where.length}: 1 to {self._config.max_message_bytes} bytes "
                "(Limits.max_message_bytes) go into one batch",
            )
        return writer.window.read(where.segment_seq, where.offset, where.length), None
