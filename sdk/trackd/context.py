"""What the writers of a run have in common, and the first record of each."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from trackd import __version__
from trackd import identity as identities
from trackd.configuration import RESERVED
from trackd.place import WriterPlace
from trackd.recording.recorder import Clock, Recorder
from trackd.recording.spool import SpoolLimits
from trackd.recording.spool_place import open_spool
from trackd.settings import FIELDS
from trackd_proto.records import Start

if TYPE_CHECKING:
    from pathlib import Path

    from trackd.recording.spool import Spool
    from trackd.sending.discovery import Discovery
    from trackd.settings import Settings
    from trackd.settings.moment import RunMoment
    from trackd.terminal import Terminal


@dataclass(slots=True)
class RunIdentity:
    """What a run is, as far as the writer tells the agent."""

    run_id: str
    project: str
    entity: str
    mode: str
    name: str | None
    group: str | None
    job_type: str | None
    notes: str | None
    tags: tuple[str, ...]
    label: str
    #: True when the user gave the label: then a conflict is an error.
    label_is_explicit: bool
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    #: Keys of the configuration that the script may not change, and who says so.
    locks: dict[str, str] = field(default_factory=dict[str, str])
    #: What is worth knowing about process and machine; see `run_files.environment`.
    environment: dict[str, Any] = field(default_factory=dict[str, Any])
    #: True when an earlier run is continued.
    resumed: bool = False
    #: Number of the first row.
    starting_step: int = 0


@dataclass(slots=True)
class WriterContext:
    """What the writers of a run in this process and in its forked children share."""

    identity: RunIdentity
    settings: Settings
    discovery: Discovery
    terminal: Terminal
    #: Folder of the run: a proposal until an agent answered.
    run_dir: Path
    clock: Clock = field(default_factory=Clock)
    #: What a continued run begins with.
    summary: dict[str, Any] = field(default_factory=dict[str, Any])
    earlier_runtime_s: float = 0.0

    def make_spool(self, producer: int) -> Spool:
        """Return a new spool for a writer of this run.

        Raises:
            CommError: no local place can hold a spool.
        """
        settings, identity = self.settings, self.identity
        limits = SpoolLimits(
            segment_bytes=settings.spool_segment_bytes,
            max_bytes=settings.spool_max_bytes,
            max_block_s=settings.log_max_block,
        )
        names = (identity.project, identity.run_id, producer)
        return open_spool(self.discovery.data_dir, names, limits, self.terminal.warn)

    def make_recorder(self, spool: Spool, first_step: int = 0) -> Recorder:
        """Return the recorder of a writer of this run."""
        strict = bool(self.settings.strict)
        warn = self.terminal.warn_once
        recorder = Recorder(spool, self.clock, warn, strict=strict, first_step=first_step)
        recorder.place = WriterPlace(self, recorder)
        return recorder


def start_record(
    context: WriterContext,
    config: dict[str, Any],
    *,
    parent_producer: int = 0,
    first_step: int = 0,
    is_guest: bool = False,
) -> Start:
    """Return the first record of a writer.

    Args:
        context: of the run.
        config: first configuration, as `config_record` gives it.
        parent_producer: not 0 for a forked child, which the agent follows through its spool.
        first_step: number of its first row.
        is_guest: a forked child in the run of its parent, which it never ends.
    """
    identity, settings = context.identity, context.settings
    return Start(
        run_id=identity.run_id,
        project=identity.project,
        entity=identity.entity,
        label=identity.label,
        mode=identity.mode,
        run_dir=str(context.run_dir.absolute()),
        time_s=context.clock.start_time_s,
        pid=os.getpid(),
        sdk_version=__version__,
        python_version=identities.python_version(),
        host=settings.host or platform.node(),
        program=settings.program or identities.program_path(),
        name=identity.name,
        group=identity.group,
        job_type=identity.job_type,
        tags=list(identity.tags),
        notes=identity.notes,
        config={k: v for k, v in config.items() if k != RESERVED or v},
        base_url=settings.base_url or "",
        primary=settings.x_primary and not is_guest,
        update_finish_state=settings.x_update_finish_state and not is_guest,
        settings=agent_settings(settings),
        parent_producer=parent_producer,
        first_step=first_step,
        environment={} if is_guest else identity.environment,
        resume=settings.resume or "",
        rewind_to=_moment(settings.resume_from),
        forked_from=_moment(settings.fork_from),
        summary=context.summary,
        earlier_runtime_s=context.earlier_runtime_s,
        joined_s=context.clock.runtime_s() if is_guest else 0.0,
    )


def _moment(moment: RunMoment | None) -> tuple[str, int] | None:
    return None if moment is None else (moment.run, int(moment.value))


def agent_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings that were given and that the agent acts on.

    Secrets only where they are of use: the journal of an offline run lies in its run folder,
    which others may read.
    """
    is_private = settings.mode != "offline"
    found = {
        name: msgspec.to_builtins(value)
        for name, value in settings.given().items()
        if FIELDS[name].for_agent and (is_private or not FIELDS[name].is_secret)
    }
    return {"console": identities.default_emulation(), **found}
