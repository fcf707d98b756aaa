"""What a run has so far, for a writer that goes on with it: from here, or else from the server.

What this agent still holds is newer than what the server knows, and needs no server. A rewind is
the server's business: it drops the rows behind a step, once it has everything of the run.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio
import msgspec

from trackd_agent.core.errors import (
    InvalidRequest,
    NotAuthenticated,
    UpstreamUnavailable,
)
from trackd_agent.runs import operators
from trackd_agent.runs.options import EarlierRun
from trackd_agent.runs.recovery import look_after
from trackd_agent.runs.state.config_tree import RESERVED
from trackd_agent.runs.upload.run_settings import manners_of, positive
from trackd_agent.runs.upload.upsert import rewind_variables
from trackd_agent.upstream import Courier, RequestFailed, RetryClass, RunPath, expect
from trackd_proto.wandb_http.operations import REWIND_RUN, RUN_SO_FAR

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trackd_agent.runs.context import RunsContext
    from trackd_agent.runs.options import ContinueOptions
    from trackd_agent.runs.run import Run

T = TypeVar("T")

#: Longest time that a run ran before, in seconds.
_LONGEST_S = 1e10
#: What of `_wandb` in the configuration a continued run keeps.
_KEPT_RESERVED = ("viz", "visualize", "mask/class_labels", "bounding_box/class_labels")


class _Bucket(msgspec.Struct, rename="camel"):
    """A run as the server describes it to who resumes it; texts hold JSON."""

    history_line_count: int | None = None
    history_tail: str | None = None
    events_tail: str | None = None
    summary_metrics: str | None = None
    config: str | None = None
    wandb_config: str | None = None
    display_name: str | None = None
    notes: str | None = None
    tags: list[str] | None = None


class _Model(msgspec.Struct):
    bucket: _Bucket | None = None


class _Rewound(msgspec.Struct, rename="camel"):
    rewound_run: dict[str, object] | None = None


class _Answer(msgspec.Struct):
    model: _Model | None = None


async def earlier_run(
    options: ContinueOptions, run: Run | None, context: RunsContext
) -> EarlierRun | None:
    """Return what a run has so far; None: there is no such run.

    Args:
        options: which run, and what is wanted of it: where that is nothing, only that the server
            has all of it.
        run: the run, where this agent knows it.
        context: settings and neighbours.

    Raises:
        InvalidRequest: the run is there and must not be, or the other way round.
        NotAuthenticated: the server does not take the API key.
        UpstreamUnavailable: nobody could tell in time.
    """
    courier = Courier(context.upstreams.get(options.base_url))
    courier.manner = manners_of(options.settings).calls
    if options.rewind_to_step is not None:
        return await _rewind(options, run, courier)
    if not options.resume:
        if run is not None:
            await _let_settle(run, options.timeout_s)
        return None
    earlier = await _from_here(run, options.label, context) if run else None
    if earlier is None:
        earlier = await _patiently(courier, options.timeout_s, lambda: _ask(courier, options))
    _check(options, exists=earlier is not None)
    return earlier


def _check(options: ContinueOptions, *, exists: bool) -> None:
    if options.resume == "must" and not exists:
        raise InvalidRequest(
            "RUN_MISSING",
            f"resume='must': run {options.run_id!r} of project {options.project!r} does not exist "
            "(or never began): use resume='allow' to begin it",
        )
    if options.resume == "never" and exists:
        raise InvalidRequest(
            "RUN_EXISTS",
            f"resume='never': run {options.run_id!r} of project {options.project!r} exists: "
            "give another id, or use resume='allow' to go on with it",
        )


async def _from_here(run: Run, label: str, context: RunsContext) -> EarlierRun | None:
    """Return what the last writer under this label left, as far as it is held here."""
    last = next((w for w in reversed(run.writers) if w.label == label and not w.is_guest), None)
    if last is None:
        return None
    await look_after(last)
    state = await operators.state_now(last, context)
    if state is None:
        return None
    state.close()
    facts = state.facts
    return EarlierRun(
        first_step=state.step,
        runtime_s=state.runtime_s,
        config=_kept(state.config),
        summary=state.summary,
        name=facts.name or "",
        notes=facts.notes or "",
        tags=tuple(facts.tags),
    )


async def _ask(courier: Courier, options: ContinueOptions) -> EarlierRun | None:
    """Ask the server once."""
    names = {"name": options.run_id, "project": options.project, "entity": options.entity or None}
    data = await courier.upstream.graphql(RUN_SO_FAR, names, None, courier.manner)
    answer = msgspec.convert(data, _Answer)
    bucket = answer.model.bucket if answer.model else None
    # A run counts as begun once a client told of itself.
    if bucket is None or "t" not in _object(bucket.wandb_config):
        return None
    wrapped = _object(bucket.config)
    config = {key: entry["value"] for key, entry in wrapped.items() if _is_wrapped(entry)}
    summary = _object(bucket.summary_metrics)
    tail, events = _last(bucket.history_tail), _last(bucket.events_tail)
    last_step = tail.get("_step", summary.get("_step"))
    has_rows = bool(bucket.history_line_count) and isinstance(last_step, int)
    runtimes = [positive(known.get("_runtime")) for known in (tail, events, summary)]
    return EarlierRun(
        first_step=cast("int", last_step) + 1 if has_rows else 0,
        runtime_s=min(_LONGEST_S, max(r or 0.0 for r in runtimes)),
        config=_kept(config),
        summary={key: value for key, value in summary.items() if key != RESERVED},
        name=bucket.display_name or "",
        notes=bucket.notes or "",
        tags=tuple(bucket.tags or ()),
    )


async def _rewind(options: ContinueOptions, run: Run | None, courier: Courier) -> EarlierRun:
    """Take back what came after a step; the server has to have all of the run before."""
    step = options.rewind_to_step
    assert step is not None
    if run is not None:
        await _let_settle(run, options.timeout_s)
    path = RunPath(options.entity, options.project, options.run_id)
    variables = rewind_variables(path, step)

    async def attempt() -> EarlierRun | None:
        data = await courier.upstream.graphql(REWIND_RUN, variables, None, courier.manner)
        is_there = data.get("rewindRun") and expect(data, "rewindRun", _Rewound).rewound_run
        return await _ask(courier, options) if is_there else None

    earlier = await _patiently(courier, options.timeout_s, attempt)
    if earlier is None:
        raise InvalidRequest(
            "RUN_MISSING", f"resume_from: run {options.run_id!r} does not exist at the server"
        )
    # The summary told of what was just dropped.
    return msgspec.structs.replace(earlier, first_step=step + 1, summary={})


async def _let_settle(run: Run, timeout_s: float) -> None:
    run.hurry()
    with anyio.move_on_after(timeout_s):
        while not run.is_over:
            for writer in run.writers:
                await look_after(writer)
            await anyio.sleep(0.05)
    if not run.is_over:
        raise UpstreamUnavailable(
            "RUN_NOT_UPLOADED",
            f"this node still brings records of run {run.run_id!r} to the server: try again "
            "later, see `trackd status`",
        )


async def _patiently(courier: Courier, timeout_s: float, attempt: Callable[[], Awaitable[T]]) -> T:
    """Repeat a request while that may help, for a time."""
    patience = courier.patience()
    problem = "no answer in time"
    with anyio.move_on_after(timeout_s):
        while True:
            try:
                return await attempt()
            except RequestFailed as failure:
                problem = failure.problem
                _give_up_on(failure)
                await anyio.sleep(patience.wait_s(failure))
            except msgspec.ValidationError as error:
                problem = f"unexpected answer: {error}"
                await anyio.sleep(1.0)
    server = courier.upstream.base_url or courier.upstream.name
    raise UpstreamUnavailable(
        "UPSTREAM_UNAVAILABLE", f"{server} does not tell what the run has so far ({problem})"
    )


def _give_up_on(failure: RequestFailed) -> None:
    """Raise what no repetition cures."""
    if failure.retry_class is RetryClass.CREDENTIALS:
        raise NotAuthenticated("NOT_AUTHENTICATED", failure.problem)
    if failure.retry_class is RetryClass.PARKED:
        raise InvalidRequest("UPSTREAM_REFUSED", failure.problem)


def _kept(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration without what its writers noted for themselves."""
    reserved: Any = config.get(RESERVED)
    kept = {key: value for key, value in config.items() if key != RESERVED}
    own = {key: reserved[key] for key in _KEPT_RESERVED if key in reserved} if reserved else {}
    return {**kept, RESERVED: own} if own else kept


def _object(text: str | None) -> dict[str, Any]:
    """Return the JSON object in a text; anything else counts as empty."""
    try:
        value = json.loads(text or "{}")  # Python's own parser: it knows NaN and Infinity
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _last(tail: str | None) -> dict[str, Any]:
    """Return the last line of a tail: a JSON list of JSON texts."""
    try:
        lines = msgspec.json.decode(tail or "[]", type=list[str])
    except msgspec.MsgspecError:
        return {}
    return _object(lines[-1]) if lines else {}


def _is_wrapped(entry: object) -> bool:
    return isinstance(entry, dict) and "value" in entry
