"""What a serving agent stands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from trackd_agent.daemon.instance import AgentLock, PublicSocket
    from trackd_agent.daemon.notify import Notifier
    from trackd_agent.daemon.settings import LoadedConfig


@dataclass(frozen=True)
class Premises:
    """What the process holds before the event loop runs."""

    data: Path
    lock: AgentLock
    socket: PublicSocket
    settings: LoadedConfig
    notifier: Notifier
    version: str
