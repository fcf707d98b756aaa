"""Passes on the alerts of a run, best effort: an alert must never hold up a row."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import anyio
import structlog

from trackd_agent.upstream import RequestFailed, Wake
from trackd_proto.wandb_http.operations import NOTIFY_ALERT

if TYPE_CHECKING:
    from trackd_agent.upstream import Courier, RunPath
    from trackd_proto.records import Alert

log = structlog.get_logger()

_ATTEMPTS = 3
_MAX_WAITING = 1000


class AlertSender:
    """A queue of alerts and the run's way to its server."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        #: The oldest go when a server takes none for long.
        self._queue: deque[Alert] = deque(maxlen=_MAX_WAITING)
        self._wake = Wake()

    def add(self, alert: Alert) -> None:
        """Queue one alert."""
        self._queue.append(alert)
        self._wake.set()

    async def run(self, path: RunPath) -> None:
        """Send alerts of the run at `path` until cancelled."""
        while True:
            while self._queue:
                await self._send(path, self._queue.popleft())
            await self._wake.wait()

    async def _send(self, path: RunPath, alert: Alert) -> None:
        variables = {
            "entityName": path.entity,
            "projectName": path.project,
            "runName": path.run,
            "title": alert.title,
            "text": alert.text,
            "severity": alert.level,
            "waitDuration": alert.wait_ms,
        }
        courier = self._courier
        for _ in range(_ATTEMPTS):
            try:
                await courier.upstream.graphql(NOTIFY_ALERT, variables, None, courier.manner)
            except RequestFailed as failure:
                log.warning("alert_not_sent", run_id=path.run, problem=failure.problem)
                await anyio.sleep(courier.upstream.config.retry_min_s)
            else:
                return
