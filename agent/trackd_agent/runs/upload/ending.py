"""How a run ends at a server: its own files, then its final state, then what files are left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import anyio.to_thread
import structlog

from trackd_agent.artifacts.saves import RunSaves  # noqa: TC001 - of a named tuple
from trackd_agent.core.errors import AgentError
from trackd_agent.filestream import Outgoing
from trackd_agent.runs.state import tree
from trackd_agent.runs.state.environments import environment_of
from trackd_agent.runs.state.writer_state import WriterState, encode_json
from trackd_agent.runs.upload import own_files
from trackd_agent.runs.upload.run_config import upstream_config
from trackd_agent.transfer import FileUploader  # noqa: TC001
from trackd_proto.records import Exit, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trackd_agent.runs.upload.pump import Pump
    from trackd_agent.runs.writer import Writer

log = structlog.get_logger()


def record_crash(writer: Writer, began_s: float) -> bool:
    """Close the records of a rank that could not do it; return whether that worked."""
    runtime_s = max(0.0, writer.ended_s - began_s)
    try:
        writer.record(Kind.EXIT, Exit(255, writer.ended_s, runtime_s, crashed=True))
    except AgentError as error:
        log.warning("exit_not_journalled", problem=error.message)
        return False
    return True


def own_contents(states: Mapping[str, WriterState]) -> dict[str, bytes]:
    """Return `config.yaml` and its like by name, as the primary writers make them."""
    primary = {id_: state for id_, state in states.items() if state.start.primary}
    if not primary:
        return {}
    summary: tree.Tree = {}
    for state in primary.values():
        tree.merge_all(summary, state.summary)
    return {
        own_files.CONFIG_FILE: own_files.yaml_of(upstream_config(primary)),
        own_files.SUMMARY_FILE: encode_json(summary).encode("utf-8", "replace"),
        **metadata_content(primary),
    }


def metadata_content(states: Mapping[str, WriterState]) -> dict[str, bytes]:
    """Return `wandb-metadata.json` by name, as the first primary writer tells it."""
    for id_, state in states.items():
        if told := environment_of(state, id_):
            return {own_files.METADATA_FILE: own_files.metadata_of(told)}
    return {}


async def bring_own_files(
    contents: Mapping[str, bytes], folder: Path, uploader: FileUploader
) -> None:
    """Write the run's own files into its folder and queue them."""
    for name, content in contents.items():
        try:
            await anyio.to_thread.run_sync(own_files.write_whole, folder / name, content)
        except OSError as error:
            log.warning("run_file_not_written", name=name, problem=str(error))
            continue
        uploader.add(name, "now")


def is_crashed(pumps: list[Pump]) -> bool:
    """Return whether the final state of the run comes from a process that died."""
    return any(
        pump.state is not None and pump.state.exit is not None and pump.state.exit.crashed
        for pump in _deciding(pumps)
    )


def _deciding(pumps: list[Pump]) -> list[Pump]:
    """Return the pumps whose writers say how the run ended.

    Of plain writers, which follow one another, the last: what became of an attempt that was
    resumed is past.
    """
    closing = [p for p in pumps if p.state and p.state.start.update_finish_state]
    plain = [pump for pump in closing if pump.writer.facts.is_plain]
    return [pump for pump in closing if pump not in plain[:-1]]


class Load(NamedTuple):
    """What the end of a run waits for beside its rows."""

    uploader: FileUploader
    saves: RunSaves
    #: Longest wait before the final state goes ahead, in seconds.
    grace_s: float


async def end_run(pumps: list[Pump], load: Load) -> None:
    """Send the final state when files and artifacts are through, or when they take too long.

    Args:
        pumps: of writers that are over, in order of joining.
        load: what is waited for.
    """
    uploader = load.uploader
    began_s = time.monotonic()
    await uploader.drained(load.grace_s)
    await load.saves.drained(max(0.0, began_s + load.grace_s - time.monotonic()))
    closing = _deciding(pumps)
    if closing and closing[0].stream:
        codes = [pump.exit_code or 0 for pump in closing]
        await closing[0].stream.send(
            Outgoing(
                uploaded=uploader.take_uploaded(),
                complete=True,
                exit_code=next((code for code in codes if code), 0),
            )
        )
    await uploader.drained()
    await load.saves.drained()
    names = uploader.take_uploaded()
    if names and pumps[0].stream:
        await pumps[0].stream.send(Outgoing(uploaded=names))
