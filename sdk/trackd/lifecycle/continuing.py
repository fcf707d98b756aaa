"""Going on with an earlier run: `resume`, `resume_from` and `fork_from`.

What the run has so far is asked for once, at `init`, and becomes the beginning of this process's
records: first step, configuration, summary, duration. From then on nothing differs from any
other run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from trackd.context import agent_settings
from trackd.errors import AuthenticationError, CommError, UsageError
from trackd.sending.agent_link import AgentCallError, AgentLink
from trackd_proto.v1 import common_pb2, run_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd.context import RunIdentity, WriterContext
    from trackd.settings import Settings

MODES = {
    "online": run_pb2.MODE_ONLINE,
    "offline": run_pb2.MODE_OFFLINE,
    "shared": run_pb2.MODE_SHARED,
}
_RESERVED = "_wandb"
_POLL_S = 0.05
#: Shortest time that one question gets, and by how much the agent's own limit lies below it.
_SHORTEST_S = 1.0
_GRACE_S = 2.0
#: How long a fork waits for the rows of its parent.
_ARRIVAL_S = 10.0


# --- resume="auto": the id of the last run, in a file ------------------------------------------


def remembered_id(settings: Settings, warn: Callable[[str], None]) -> str | None:
    """Return the id that the run gets by what it goes on with; None: by nothing.

    With `resume="auto"` it is that of the last run here that did not end well.
    """
    if settings.resume == "auto":
        previous = _read(Path(settings.resume_fname), warn)
        if previous and settings.run_id is None:
            return previous
        if previous and settings.run_id != previous:
            warn(
                f"resume='auto' ignores the last run here, {previous}: id={settings.run_id!r} "
                "was given"
            )
    if settings.run_id is None and settings.resume_from is not None:
        return settings.resume_from.run
    return settings.run_id


def remember(settings: Settings, run_id: str, warn: Callable[[str], None]) -> None:
    """Let the next `init(resume="auto")` here go on with this run unless it ends well.

    A run that resumes nothing makes an end of what was remembered.
    """
    path = Path(settings.resume_fname)
    try:
        if settings.resume == "auto":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"run_id": run_id}))
        elif not settings.resume:
            forget(settings)
    except OSError as error:
        warn(f"{path} cannot be written ({error.strerror}): resume='auto' will not find this run")


def forget(settings: Settings) -> None:
    """A run ended well: there is nothing to go on with."""
    with contextlib.suppress(OSError):  # a read-only folder: nothing was remembered there either
        Path(settings.resume_fname).unlink(missing_ok=True)


def _read(path: Path, warn: Callable[[str], None]) -> str | None:
    try:
        known: Any = json.loads(path.read_text())
        return str(known["run_id"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        warn(f"{path} does not name a run to resume (ignored)")
        return None


# --- what the run has so far -------------------------------------------------------------------


def take_up(context: WriterContext, *, can_ask: bool = True) -> None:
    """Let a run begin where it, or the run that it is forked from, was.

    Args:
        context: of the run; nothing was made of it yet.
        can_ask: False in a forked process, which cannot talk to the agent.

    Raises:
        UsageError: the run exists and must not, or the other way round.
        AuthenticationError: the server does not take the API key.
        CommError: nobody could tell what there is so far.
    """
    settings, identity = context.settings, context.identity
    back, fork = settings.resume_from, settings.fork_from
    moment = back or fork
    if moment is not None:
        identity.starting_step = int(moment.value) + 1
        branch_point = {"run_id": moment.run, "step": int(moment.value)}
        reserved = cast("dict[str, Any]", identity.config.setdefault(_RESERVED, {}))
        reserved["branch_point"] = branch_point
    if identity.mode == "offline":
        return
    if fork is not None and can_ask:
        _let_arrive(context, fork.run)
    if fork is not None or not (settings.resume or back):
        return
    if not can_ask:
        raise UsageError(
            "init(resume=...) does not work in a forked process once a run was started before the "
            "fork: start the process with multiprocessing's 'spawn', or leave out resume"
        )
    earlier = _ask(context)
    if earlier is not None:
        _begin_behind(context, earlier, is_rewound=back is not None)


def _begin_behind(context: WriterContext, earlier: run_pb2.EarlierRun, *, is_rewound: bool) -> None:
    identity = context.identity
    identity.resumed = not is_rewound
    identity.starting_step = earlier.first_step
    old: dict[str, Any] = json.loads(earlier.config_json or "{}")
    reserved = {**old.get(_RESERVED, {}), **identity.config.get(_RESERVED, {})}
    identity.config = {**old, **identity.config}
    if reserved:
        identity.config[_RESERVED] = reserved
    identity.name = identity.name or earlier.name or None
    identity.notes = identity.notes or earlier.notes or None
    identity.tags = identity.tags or tuple(earlier.tags)
    context.summary = json.loads(earlier.summary_json or "{}")
    context.earlier_runtime_s = earlier.runtime_s
    context.clock.origin_s -= earlier.runtime_s
    context.settings.update({"resumed": identity.resumed})


def _ask(context: WriterContext) -> run_pb2.EarlierRun | None:
    """Ask the agent, starting one where there is none; wait as long as `init_timeout` says.

    With `allow` a server that does not answer is no reason not to train: the run begins anew.
    """
    settings = context.settings
    deadline_s = time.monotonic() + max(_SHORTEST_S, settings.init_timeout)
    problem = "no agent answers"
    while (left_s := deadline_s - time.monotonic()) > 0:
        if not context.discovery.is_listening():
            problem = _start_agent(context) or problem
            time.sleep(_POLL_S)
            continue
        try:
            response = _call(context, context.identity, max(_SHORTEST_S, left_s))
        except AgentCallError as error:
            _raise_if_final(error)
            problem = error.message
            time.sleep(_POLL_S)
        else:
            return response.earlier if response.HasField("earlier") else None
    text = f"run {context.identity.run_id}: what it has so far is not known: {problem}"
    if settings.resume in ("allow", "auto"):
        context.terminal.warn(f"{text}; its rows are numbered from 0 on")
        return None
    raise CommError(f"{text}; try again, or leave out resume and resume_from")


def _start_agent(context: WriterContext) -> str:
    """Start an agent; return why that does not work, empty where nothing is known."""
    try:
        context.discovery.start_agent()
    except OSError as error:
        return f"cannot start an agent: {error}"
    return context.discovery.failure


def _let_arrive(context: WriterContext, run_id: str) -> None:
    """Wait a little until the server has what this node holds of the run that is forked."""
    if not context.discovery.is_listening():
        return
    parent = dataclasses.replace(context.identity, run_id=run_id)
    try:
        _call(context, parent, _ARRIVAL_S)
    except AgentCallError as error:
        context.terminal.warn(f"fork_from: rows of run {run_id} may be missing: {error.message}")


def _raise_if_final(error: AgentCallError) -> None:
    if error.is_invalid:
        raise UsageError(error.message) from None
    if error.is_unauthenticated:
        raise AuthenticationError(error.message) from None
    if error.is_refusal:
        raise CommError(f"the agent refuses this run: {error.message} ({error.code})") from None


def _call(
    context: WriterContext, identity: RunIdentity, timeout_s: float
) -> run_pb2.ContinueRunResponse:
    settings = context.settings
    request = run_pb2.ContinueRunRequest(
        run=run_ref(identity),
        mode=MODES[identity.mode],
        resume="allow" if settings.resume == "auto" else settings.resume or "",
        label=identity.label,
        base_url=settings.base_url or "",
        api_key=settings.api_key or "",
        timeout_s=timeout_s,
        settings_json=msgspec.json.encode(agent_settings(settings)),
    )
    if settings.resume_from is not None:
        request.rewind_to_step = int(settings.resume_from.value)
    link = AgentLink(context.discovery.target)
    try:
        return link.continue_run(request, timeout_s + _GRACE_S)
    finally:
        link.close()


def run_ref(identity: RunIdentity) -> common_pb2.RunRef:
    """Return the name of a run for the agent."""
    return common_pb2.RunRef(
        run_id=identity.run_id, project=identity.project, entity=identity.entity
    )
