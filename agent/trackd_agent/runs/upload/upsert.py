"""Keeps what a server knows about a run (name, configuration, tags) up to date."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import anyio
import msgspec
import structlog

from trackd_agent.runs.upload.run_config import upstream_config
from trackd_agent.upstream import RequestFailed, RunPath, Wake, expect
from trackd_proto.wandb_http.operations import UPSERT_BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trackd_agent.runs.state import WriterState
    from trackd_agent.upstream import Courier

log = structlog.get_logger()


class _Named(msgspec.Struct):
    name: str


class _Project(msgspec.Struct):
    name: str
    entity: _Named


class Bucket(msgspec.Struct, rename="camel"):
    """A run as the server sees it."""

    name: str
    project: _Project
    display_name: str | None = None
    history_line_count: int | None = None


class _Upserted(msgspec.Struct):
    bucket: Bucket


class Upsert:
    """One `UpsertBucket` for all writers of a run: at once first, then debounced.

    Args:
        courier: the run's way to the server.
        run: id and project as the ranks named them; entity may be empty.
        states: returns the states of all writers by writer id, in order of attaching.
        interval_s: shortest time between two updates.
    """

    def __init__(
        self,
        courier: Courier,
        run: RunPath,
        states: Callable[[], Mapping[str, WriterState]],
        interval_s: float,
    ) -> None:
        self.ready = anyio.Event()
        self.path = run
        self.url = ""
        self.bucket: Bucket | None = None
        self.headers: dict[str, str] = {}
        self._courier = courier
        self._states = states
        self._interval_s = interval_s
        self._wake = Wake()
        self._idle = anyio.Event()
        self._wanted = 0
        self._done = 0

    def mark(self) -> None:
        """Something changed."""
        self._wanted += 1
        self._wake.set()

    async def run(self) -> None:
        """Send updates until cancelled."""
        while True:
            await self._wake.wait()
            await self._send()
            with anyio.move_on_after(self._interval_s):
                await self._courier.hurry.wait()

    async def settle(self) -> None:
        """Send what is not sent yet, now."""
        if self._done < self._wanted:
            await self._send()

    async def _send(self) -> None:
        wanted = self._wanted
        variables = self._variables()

        async def attempt() -> Bucket:
            upstream = self._courier.upstream
            data = await upstream.graphql(UPSERT_BUCKET, variables, self.headers)
            return expect(data, "upsertBucket", _Upserted).bucket

        try:
            bucket = await self._courier.deliver(attempt)
        except RequestFailed as failure:  # too large: the configuration cannot be cut
            log.warning("run_update_refused", run_id=self.path.run, problem=failure.problem)
            return
        self._done = wanted
        if self.bucket is None:
            self.bucket = bucket
            self.path = RunPath(bucket.project.entity.name, bucket.project.name, bucket.name)
            self.url = run_url(self._courier.upstream.base_url, self.path)
            self.ready.set()

    def _variables(self) -> dict[str, object]:
        states = self._states()
        first = next(iter(states.values()))
        variables: dict[str, object] = {
            "name": self.path.run,
            "project": self.path.project,
            "entity": self.path.entity or None,
            "config": json.dumps(upstream_config(states), ensure_ascii=False, default=str),
        }
        if self.bucket is None:
            variables |= {"host": first.start.host, "program": first.start.program}
        facts = first.facts
        tags = list(dict.fromkeys(tag for state in states.values() for tag in state.facts.tags))
        variables |= {
            "displayName": facts.name,
            "notes": facts.notes,
            "groupName": facts.group,
            "jobType": facts.job_type,
            "tags": tags or None,
        }
        return variables


def run_url(base_url: str, path: RunPath) -> str:
    """Return the address of a run for a browser."""
    parts = urlsplit(base_url)
    host = parts.netloc.removeprefix("api.") if parts.netloc == "api.wandb.ai" else parts.netloc
    app = f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
    entity, project, run = (quote(p, safe="") for p in (path.entity, path.project, path.run))
    return f"{app}/{entity}/{project}/runs/{run}"
