"""Sends what one writer has to say to one server, strictly one request after another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import structlog

from trackd_agent.filestream.body import Request, drop_long_lines, requests_of
from trackd_agent.upstream import RequestFailed
from trackd_proto.wandb_http import (
    ASYNC_STREAM_HEADER,
    LABEL_HEADER,
    LATE_FEATURE,
    LATE_FILE_PREFIX,
    STREAM_CLIENT_ID_HEADER,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd_agent.filestream.body import FileStreamConfig, Offsets, Outgoing
    from trackd_agent.upstream import Courier, RunPath

log = structlog.get_logger()

#: How much of rows whose step went back may wait for a server that does not say whether it takes
#: them, in characters.
_MAX_LATE_CHARS = 4 * 1024 * 1024


def late_file_name(writer_id: str) -> str:
    """Return the name of the file of a writer's rows whose step went back."""
    return f"{LATE_FILE_PREFIX}{writer_id}.jsonl"


def shared_headers(client_id: str, label: str) -> dict[str, str]:
    """Return the headers of a writer that counts its own lines beside others of its run."""
    headers = {STREAM_CLIENT_ID_HEADER: client_id, ASYNC_STREAM_HEADER: "true"}
    if label:
        headers[LABEL_HEADER] = quote(label)
    return headers


class FileStream:
    """The stream of one writer.

    Args:
        courier: the run's way to the server.
        path: the run there.
        headers: what tells the server whose lines these are.
        offsets: where the next lines go; moved on by `send`.
        config: limits.
    """

    def __init__(
        self,
        courier: Courier,
        path: RunPath,
        headers: Mapping[str, str],
        offsets: Offsets,
        config: FileStreamConfig,
    ) -> None:
        self.offsets = offsets
        self.stop_requested = False
        self.dropped = 0
        #: Name of the file of rows whose step went back.
        self.late_file = ""
        #: Such rows, by number, while the server does not say whether it takes them.
        self.late: dict[int, str] = {}
        self._courier = courier
        self._path = path
        self._headers = headers
        self._config = config

    async def send(self, outgoing: Outgoing) -> None:
        """Deliver everything; return when the server has acknowledged it.

        Lines that are too long for the protocol or, alone, for the server are dropped and
        counted in `dropped`.
        """
        self.dropped += drop_long_lines(outgoing, self._config.max_line_bytes)
        self.late |= outgoing.late
        outgoing.late = await self._take_late() if self.late else {}
        limit_bytes = self._config.max_request_bytes
        for request in requests_of(outgoing, self.offsets, limit_bytes, self.late_file):
            await self._deliver(request)

    async def _take_late(self) -> dict[int, str]:
        """Return the rows whose step went back that are to be sent: servers of ours take them.

        While the server does not tell whether it does, they wait; nothing else waits for them.
        """
        try:
            features = await self._courier.upstream.features(self._courier.manner)
        except RequestFailed as failure:
            log.info("features_not_told", problem=failure.problem)
            if sum(map(len, self.late.values())) > _MAX_LATE_CHARS:
                self.late.clear()
            return {}
        late, self.late = self.late, {}
        return late if LATE_FEATURE in features else {}

    async def heartbeat(self) -> None:
        """Tell the server that the writer lives."""
        await self._deliver(Request())

    async def _deliver(self, request: Request) -> None:
        """Send one request, in halves if the server finds it too large.

        A server that refuses even a small body for its size is broken (or a proxy before it is):
        the run is parked then, and nothing is dropped.
        """
        waiting = [request]
        while waiting:
            part = waiting.pop()
            body = part.encode()

            async def attempt(body: bytes = body) -> dict[str, object]:
                courier = self._courier
                send = courier.upstream.file_stream
                return await send(self._path, body, self._headers, courier.manner)

            try:
                answer = await self._courier.deliver(attempt)
            except RequestFailed as failure:
                if part.line_count > 1:
                    first, second = part.halves()
                    waiting += [second, first]
                elif len(body) < self._config.least_refusable_bytes or not part.line_count:
                    waiting.append(part)
                    await self._courier.park(failure)
                else:
                    waiting.append(self._without_line(part, failure))
            else:
                self.stop_requested = bool(answer.get("stopped"))

    def _without_line(self, part: Request, failure: RequestFailed) -> Request:
        """Count a single line that the server refuses for its size; return what is left to say.

        Its number stays empty, so that a replay gives all other lines the same numbers.
        """
        self.dropped += part.line_count
        log.warning("line_refused_by_server", files=list(part.files), problem=failure.problem)
        return replace(part, files={})
