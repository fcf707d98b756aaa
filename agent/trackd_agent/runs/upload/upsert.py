"""Keeps what a server knows about a run (name, configuration, tags) up to date."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import anyio
import msgspec
import structlog

from trackd_agent.filestream import Offsets
from trackd_agent.runs.upload.run_config import upstream_config
from trackd_agent.upstream import RequestFailed, RetryClass, RunPath, Wake, expect
from trackd_proto.wandb_http.operations import REWIND_RUN, RUN_RESUME_STATUS, UPSERT_BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trackd_agent.runs.state.writer_state import WriterState
    from trackd_agent.upstream import Courier

    #: States of the writers of a run by writer id.
    States = Mapping[str, WriterState]

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
    #: Whether the request made it.
    is_new: bool = False


class _Upserted(msgspec.Struct):
    bucket: Bucket
    inserted: bool | None = None


class _Counts(msgspec.Struct, rename="camel"):
    history_line_count: int | None = None
    events_line_count: int | None = None
    log_line_count: int | None = None


class _Model(msgspec.Struct):
    bucket: _Counts | None = None


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
        states: Callable[[], States],
        interval_s: float,
    ) -> None:
        self.ready = anyio.Event()
        self.path = run
        self.url = self.name = ""
        self.bucket: Bucket | None = None
        self.headers: dict[str, str] = {}
        #: What the server has of the run behind this step goes before anything is said.
        self.rewind_to_step: int | None = None
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
        if self.rewind_to_step is not None:
            await self._rewind(self.rewind_to_step)
            self.rewind_to_step = None
        wanted = self._wanted
        variables = self._variables()
        bucket: Bucket | None = None
        while bucket is None:
            try:
                bucket = await self._courier.deliver(lambda: self._attempt(variables))
            except RequestFailed as failure:  # too large
                log.warning("run_update_refused", run_id=self.path.run, problem=failure.problem)
                if variables.pop("config", None) is None:
                    await self._courier.park(failure)
                # Rows count more than a configuration that the server does not take.
        self._done = wanted
        if self.bucket is None:
            self.bucket = bucket
            self.path = RunPath(bucket.project.entity.name, bucket.project.name, bucket.name)
            self.url = run_url(self._courier.upstream.base_url, self.path)
            self.name = bucket.display_name or bucket.name
            self.ready.set()

    async def _rewind(self, step: int) -> None:
        variables = rewind_variables(self.path, step)

        async def attempt() -> None:
            courier = self._courier
            send = courier.upstream.graphql
            await send(REWIND_RUN, variables, self.headers, courier.manner)

        await self._courier.deliver(attempt)

    async def _attempt(self, variables: Mapping[str, object]) -> Bucket:
        courier = self._courier
        send = courier.upstream.graphql
        data = await send(UPSERT_BUCKET, variables, self.headers, courier.manner)
        answer = expect(data, "upsertBucket", _Upserted)
        answer.bucket.is_new = bool(answer.inserted)
        return answer.bucket

    async def tell_crashed(self) -> None:
        """Say that the run ended because a process died, which no exit code can say.

        Tried once: a server that does not take it shows the run as failed, which is no lie.
        """
        path = self.path
        variables = {
            "name": path.run,
            "project": path.project,
            "entity": path.entity or None,
            "state": "crashed",
        }
        try:
            await self._attempt(variables)
        except RequestFailed as failure:
            log.info("crash_not_told", run_id=path.run, problem=failure.problem)

    async def line_counts(self) -> Offsets:
        """Return how many lines the server holds of the run: earlier attempts wrote them.

        A server that does not tell counts only the history, in its first answer.
        """
        history = self.bucket.history_line_count if self.bucket else None
        if not history and self.bucket and self.bucket.is_new:
            return Offsets()
        path = self.path
        variables = {"project": path.project, "entity": path.entity, "name": path.run}

        async def attempt() -> _Counts | None:
            try:
                courier = self._courier
                send = courier.upstream.graphql
                data = await send(RUN_RESUME_STATUS, variables, None, courier.manner)
            except RequestFailed as failure:
                if failure.status == HTTPStatus.OK and failure.retry_class is RetryClass.PARKED:
                    return None
                raise
            return expect(data, "model", _Model).bucket if data.get("model") else None

        counts = await self._courier.deliver(attempt)
        if counts is None:
            return Offsets(history=history or 0)
        return Offsets(
            max(history or 0, counts.history_line_count or 0),
            counts.events_line_count or 0,
            counts.log_line_count or 0,
        )

    def _variables(self) -> dict[str, object]:
        states = self._states()
        first = next(iter(states.values()))
        variables: dict[str, object] = {
            "name": self.path.run,
            "project": self.path.project,
            "entity": self.path.entity or None,
            "config": json.dumps(upstream_config(states), ensure_ascii=False, default=str),
        }
        # Naming the program begins the run anew: not where only forked children of one that is
        # over still have something to say, which nobody would end again.
        is_begun = any(
            s.start.update_finish_state or not s.start.parent_producer for s in states.values()
        )
        if self.bucket is None and is_begun:
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


def rewind_variables(path: RunPath, step: int) -> dict[str, object]:
    """Return what `REWIND_RUN` needs to drop the rows of a run behind a step."""
    return {
        "runName": path.run,
        "project": path.project,
        "entity": path.entity or None,
        "metricName": "_step",
        "metricValue": float(step),
    }


def run_url(base_url: str, path: RunPath) -> str:
    """Return the address of a run for a browser."""
    parts = urlsplit(base_url)
    host = parts.netloc.removeprefix("api.") if parts.netloc == "api.wandb.ai" else parts.netloc
    app = f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
    entity, project, run = (quote(p, safe="") for p in (path.entity, path.project, path.run))
    return f"{app}/{entity}/{project}/runs/{run}"
