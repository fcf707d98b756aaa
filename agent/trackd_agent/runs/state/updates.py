"""What a writer's state hands to whoever uploads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

# Types of fields that msgspec resolves at run time.
from trackd_proto.records import Alert, ArtifactLogged, Exit, FileSaved


class Notice(NamedTuple):
    """One message for the user's terminal."""

    level: str  # info, warning, error
    text: str


@dataclass
class Updates:
    """What changed since the last `WriterState.take`.

    Lines are JSON texts in the form of the file stream, in order; `console` goes by absolute
    line number, and a line may come again with new content.
    """

    history: list[str] = field(default_factory=list[str])
    events: list[str] = field(default_factory=list[str])
    console: dict[int, str] = field(default_factory=dict[int, str])
    #: What was printed, as it was, in order.
    console_raw: list[str] = field(default_factory=list[str])
    #: The full summary, when it changed.
    summary: str | None = None
    config_changed: bool = False
    #: The agent found out something about the machine.
    environment_changed: bool = False
    #: Name, notes or tags changed.
    facts_changed: bool = False
    files: list[FileSaved] = field(default_factory=list[FileSaved])
    artifacts: list[ArtifactLogged] = field(default_factory=list[ArtifactLogged])
    alerts: list[Alert] = field(default_factory=list[Alert])
    preempting: bool = False
    exit: Exit | None = None
    notices: list[Notice] = field(default_factory=list[Notice])
    #: Rows whose step went back, by number: their history cannot carry them.
    late: dict[int, str] = field(default_factory=dict[int, str])
    #: About the size of all lines.
    pending_bytes: int = 0
