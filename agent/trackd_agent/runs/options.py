"""What callers hand to the registry and what it hands back: plain frozen data, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunRef:
    """Names a run; an empty project or entity matches any."""

    run_id: str
    project: str = ""
    entity: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as the kernel says."""

    uid: int
    pid: int


@dataclass(frozen=True, slots=True)
class MonitorHints:
    """What the monitor has to know of a rank (fields as in `trackd.v1.MonitorHints`)."""

    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    scrape_headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


@dataclass(frozen=True, slots=True)
class AttachOptions:
    """One writer asks to join a run (fields as in `trackd.v1.AttachRequest`)."""

    run_id: str
    project: str
    producer: int
    run_dir: Path
    entity: str = ""
    label: str = ""
    mode: str = "online"
    spool_dir: Path | None = None
    sdk_version: str = ""
    pid: int = 0
    pid_start_ticks: int = 0
    rename_on_conflict: bool = False
    reattach: bool = False
    base_url: str = ""
    api_key: str = field(default="", repr=False)
    hints: MonitorHints = field(default_factory=MonitorHints)


@dataclass(frozen=True, slots=True)
class ContinueOptions:
    """A writer asks what a run has so far (fields as in `trackd.v1.ContinueRunRequest`)."""

    run_id: str
    project: str
    entity: str = ""
    mode: str = "online"
    resume: str = ""
    rewind_to_step: int | None = None
    label: str = ""
    base_url: str = ""
    api_key: str = field(default="", repr=False)
    timeout_s: float = 30.0
    #: As in the run's first record.
    settings: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)


class EarlierRun(msgspec.Struct, frozen=True):
    """A run up to where it is continued."""

    first_step: int
    runtime_s: float
    config: dict[str, Any]
    summary: dict[str, Any]
    name: str
    notes: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attachment:
    """The registry's answer to an attach."""

    last_seq: int
    epoch: int
    label: str
    run_dir: Path
    url: str
    reads_spool: bool
    capability: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RunChanges:
    """What an operator changes about a run from outside its ranks."""

    name: str | None = None
    notes: str | None = None
    add_tags: tuple[str, ...] = ()
    config_json: dict[str, str] = field(default_factory=dict[str, str])
    summary_json: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class WriterSnapshot:
    """State of one writer (fields as in `trackd.v1.WriterStatus`)."""

    label: str
    producer: str
    pid: int
    state: str
    received_seq: int
    journalled_seq: int
    uploaded_seq: int
    backlog_bytes: int
    dropped: dict[str, int]
    exit_code: int | None


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """State of one run (fields as in `trackd.v1.RunStatus`)."""

    run_id: str
    project: str
    entity: str
    mode: str
    state: str
    run_dir: Path
    url: str
    upload_problem: str
    started_s: float
    writers: tuple[WriterSnapshot, ...]
