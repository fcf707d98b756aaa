"""What every part of the runs room needs, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from trackd_agent.artifacts.config import ArtifactsConfig
from trackd_agent.artifacts.saves import Saves
from trackd_agent.filestream import FileStreamConfig
from trackd_agent.journal import JournalConfig
from trackd_agent.transfer import TransferConfig
from trackd_agent.upstream import Wake

if TYPE_CHECKING:
    from pathlib import Path

    import anyio

    from trackd_agent.monitor import Monitor
    from trackd_agent.runs.config import RunsConfig
    from trackd_agent.upstream import UpstreamPool


@dataclass(frozen=True)
class RoomConfigs:
    """Settings of the rooms that runs use."""

    journal: JournalConfig = field(default_factory=JournalConfig)
    filestream: FileStreamConfig = field(default_factory=FileStreamConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    artifacts: ArtifactsConfig = field(default_factory=ArtifactsConfig)


@dataclass(frozen=True)
class RunsContext:
    """Settings and neighbours of a registry, handed to its runs, writers and pumps."""

    data_dir: Path
    config: RunsConfig
    rooms: RoomConfigs
    upstreams: UpstreamPool
    monitor: Monitor
    #: One slice of decoding at a time, however many pumps there are: answers to ranks come first.
    decoding: anyio.Lock
    #: Set when the watch is to look after the writers now.
    look: Wake = field(default_factory=Wake)

    @cached_property
    def saves(self) -> Saves:
        """The saves of artifacts of all runs."""
        return Saves(self.data_dir, self.rooms.artifacts)
