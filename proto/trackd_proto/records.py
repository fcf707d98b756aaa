"""What the payload of each frame holds: MessagePack, encoded once on the caller's thread.

Every record is a `msgspec.Struct` in array form (fields by position; new ones are
only ever added at the end, with a default, so that old journals stay readable).
Times: `time_s` is seconds since 1970 (wall clock), `runtime_s` seconds since `init`
(monotonic). Numbers that MessagePack cannot hold (integers beyond 64 bits) are
floats by the time they get here; NaN and infinities are plain floats.

A journal starts with one `Start` (sequence number 1) and, after an orderly end,
closes with one `Exit`.
"""

from __future__ import annotations

import enum
from typing import Annotated, Any, cast

import msgspec

#: A JSON-like value: None, bool, int, float, str, list or dict with text keys.
Value = Any
#: A finite number of seconds that a calendar can show; `decode` refuses any other.
Seconds = Annotated[float, msgspec.Meta(ge=-1e10, le=1e11)]
#: Number of a row, and a count of records: where JSON readers still tell integers apart.
StepNumber = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
#: Deepest nesting of values in records other than rows, the path to them counted.
MAX_DEPTH = 150


class Kind(enum.IntEnum):
    """Kind byte of a frame."""

    START = 1
    ROW = 2
    CONFIG = 3
    SUMMARY = 4
    METRIC = 5
    RUN = 6
    CONSOLE = 7
    FILE = 8
    EXIT = 9
    STATS = 10
    ALERT = 11
    PREEMPTING = 12
    GAP = 13
    ARTIFACT = 14
    TENSORBOARD = 15
    FOLLOWED = 16
    GUEST = 17
    EVENT = 18
    ENVIRONMENT = 19


class Start(msgspec.Struct, array_like=True, frozen=True):
    """First record of a writer: who it is and how its run was set up.

    Written by the SDK at `init`; read by the agent, by recovery, export and sync. Holds no secret.
    """

    run_id: str
    project: str
    entity: str  # empty: the upstream's default
    label: str  # empty: unlabelled
    mode: str  # online, offline, shared
    run_dir: str
    time_s: Seconds
    pid: int
    sdk_version: str
    python_version: str
    host: str
    program: str
    name: str | None = None
    group: str | None = None
    job_type: str | None = None
    tags: list[str] = msgspec.field(default_factory=list[str])
    notes: str | None = None
    config: dict[str, Value] = msgspec.field(default_factory=dict[str, Value])
    base_url: str = ""  # empty: the agent's default upstream
    primary: bool = True  # x_primary: uploads the run's own files (config.yaml, …)
    update_finish_state: bool = True  # x_update_finish_state: may set the final state
    #: Settings that the agent acts on (x_stats_*, x_disable_stats, x_file_stream_*, …), as given.
    settings: dict[str, Value] = msgspec.field(default_factory=dict[str, Value])
    #: Producer of the process from which this one was forked; 0: not a forked child.
    parent_producer: int = 0
    #: Step of the first row (a forked child goes on where its parent was).
    first_step: StepNumber = 0
    #: What an earlier run of this id means: allow, must, never; empty: nothing was said.
    resume: str = ""
    #: `resume_from` and `fork_from`: run id and last step of what is continued.
    rewind_to: tuple[str, int] | None = None
    forked_from: tuple[str, int] | None = None
    #: What the agent cannot find out about the process: arguments, git, code, notebook, ...;
    #: goes into wandb-metadata.json.
    environment: dict[str, Value] = msgspec.field(default_factory=dict[str, Value])
    #: Summary that a continued run begins with.
    summary: dict[str, Value] = msgspec.field(default_factory=dict[str, Value])
    #: When a child joined its parent's run, in seconds since `init`.
    joined_s: Seconds = 0.0
    #: How long a continued run ran before; runtimes of records include it.
    earlier_runtime_s: Seconds = 0.0


class Row(msgspec.Struct, array_like=True):
    """One `log()` call."""

    time_s: Seconds
    runtime_s: Seconds
    data: dict[str, Value]
    step: StepNumber | None = None
    commit: bool | None = None


class ConfigUpdate(msgspec.Struct, array_like=True, frozen=True):
    """A change of the configuration: values by path, then removed paths."""

    set: list[tuple[list[str], Value]]
    remove: list[list[str]] = msgspec.field(default_factory=list[list[str]])


class SummaryUpdate(msgspec.Struct, array_like=True, frozen=True):
    """Explicit writes to `run.summary`: values by path, then removed paths."""

    set: list[tuple[list[str], Value]]
    remove: list[list[str]] = msgspec.field(default_factory=list[list[str]])


class MetricDefinition(msgspec.Struct, array_like=True, frozen=True):
    """One `define_metric()` call, as given."""

    name: str  # may end in `*`
    step_metric: str | None = None
    step_sync: bool | None = None
    hidden: bool | None = None
    summary: list[str] | None = None  # of min max mean last first none
    overwrite: bool = False


class RunUpdate(msgspec.Struct, array_like=True, frozen=True):
    """Changed facts of the run; None leaves a fact as it is."""

    name: str | None = None
    notes: str | None = None
    tags: list[str] | None = None
    add_tags: list[str] | None = None


#: Stream of `ConsoleOutput`: whole lines of `write_logs` and loggers, no terminal output.
LOG_LINES = 3


class ConsoleOutput(msgspec.Struct, array_like=True, frozen=True):
    """Text written to the terminal, raw (escape sequences and carriage returns included)."""

    time_s: Seconds
    stream: int  # 1 stdout, 2 stderr, LOG_LINES
    text: str


class FileSaved(msgspec.Struct, array_like=True, frozen=True):
    """A file of the run: `path` is relative to the run's files folder, with forward slashes."""

    path: str
    policy: str  # now, end, live


class Exit(msgspec.Struct, array_like=True, frozen=True):
    """Last record of a writer."""

    exit_code: int
    time_s: Seconds
    runtime_s: Seconds
    crashed: bool = False  # written by the agent for a writer that died without an exit record


class Stats(msgspec.Struct, array_like=True, frozen=True):
    """One sample of the system monitor for one writer; keys without `system.` and label."""

    time_s: Seconds
    values: dict[str, float]


class Event(msgspec.Struct, array_like=True, frozen=True):
    """Something that happened to the node or a device while a writer ran, as the agent saw it."""

    time_s: Seconds
    name: str  # what kind of thing: xid, oom_kill, throttled, …
    text: str  # one sentence for people
    key: str  # as in `Stats`
    value: float


class Environment(msgspec.Struct, array_like=True, frozen=True):
    """What the agent found out about a writer's machine; adds to what it found before.

    Names as in wandb-metadata.json. Stands beside what the process told of itself in `Start`.
    """

    found: dict[str, Value]


class Alert(msgspec.Struct, array_like=True, frozen=True):
    """One `run.alert()` call."""

    title: str
    text: str
    level: str  # INFO, WARN, ERROR
    wait_ms: int


class Preempting(msgspec.Struct, array_like=True, frozen=True):
    """One `run.mark_preempting()` call."""

    time_s: Seconds


class Gap(msgspec.Struct, array_like=True, frozen=True):
    """Records that were never stored: by policy, or because no space was left."""

    count: Count
    reason: str


class ArtifactEntry(msgspec.Struct, array_like=True, frozen=True):
    """One file or reference of an artifact's manifest."""

    path: str
    digest: str  # base64 of the MD5 of a file; of a reference whatever its store tells
    size: int | None = None
    ref: str | None = None
    local_path: str | None = None  # where the bytes of a file lie; relative: to the run folder
    extra: dict[str, Value] = msgspec.field(default_factory=dict[str, Value])
    skip_cache: bool = False  # no copy in the cache of the machine after the upload
    #: Id of the version that first stored these bytes; given: the server has them, without a file
    #: here.
    birth_artifact_id: str | None = None


class ArtifactLogged(msgspec.Struct, array_like=True, frozen=True):
    """One artifact that the run logged, with its whole manifest."""

    name: str
    type: str
    client_id: str  # 128 characters, of this version
    sequence_client_id: str  # of all versions of this name
    digest: str  # of the manifest
    entries: list[ArtifactEntry]
    description: str | None = None
    metadata: dict[str, Value] = msgspec.field(default_factory=dict[str, Value])
    aliases: list[str] = msgspec.field(default_factory=list[str])
    tags: list[str] = msgspec.field(default_factory=list[str])
    distributed_id: str | None = None
    finalize: bool = True  # False: more parts of a distributed artifact will come
    ttl_seconds: int | None = None  # -1 the team's, -2 no end
    use_after_commit: bool = False  # an input of the run that it did not make
    incremental: bool = False
    digest_algorithm: str = "MD5"  # or XXH128; of the manifest and its files
    storage_region: str = ""  # where the server is to keep the files; empty: where it likes
    #: Of a manifest that is too large for a frame: file with the entries (MessagePack), relative
    #: to the run folder; `entries` is empty then.
    entries_file: str = ""
    base_id: str | None = None  # of the version of which this is a changed copy
    history_step: int | None = None  # of the row that was open; None: rows have no numbers


class TensorboardLogs(msgspec.Struct, array_like=True, frozen=True):
    """A folder of TensorBoard event files that the agent is to follow."""

    folder: Annotated[str, msgspec.Meta(pattern=r"^/[^\0]*\Z")]  # absolute
    root: str = ""  # keys are named by the path from here
    save: bool = True  # upload the event files, too
    since_s: Seconds = 0.0  # leave files alone that were begun before, in seconds since 1970


class Followed(msgspec.Struct, array_like=True, frozen=True):
    """What the agent read from one event file, and how far it is with it.

    Written by the agent into its own journal of the writer. Rows and position are one record, so
    that neither an end of the agent nor a start from a checkpoint loses or doubles any.
    """

    file: str  # absolute
    offset: int  # bytes of the file that are done
    namespace: str  # what its keys begin with; the path from the root of its folder
    rows: list[Row]
    files: list[FileSaved] = msgspec.field(default_factory=list[FileSaved])
    #: Values by path, for what the configuration lacks.
    config: list[tuple[list[str], Value]] = msgspec.field(
        default_factory=list[tuple[list[str], Value]]
    )
    #: The writer's own record behind which the rows stand, whenever they are read.
    after_seq: int = 0


class GuestRecords(msgspec.Struct, array_like=True, frozen=True):
    """Records of a process that records into the run of another one, as the agent found them.

    Written by the agent into its own journal of the writer whose run it is. Records and position
    are one record, so that nothing is lost or doubled whoever dies.
    """

    producer: int  # the process: a forked child, or one that was given the run
    seq: int  # its last record that is in here or was left out
    records: list[tuple[int, bytes]]  # kind and payload
    #: The writer's own record behind which these stand, whenever they are read.
    after_seq: int = 0


RECORD_TYPES: dict[Kind, type[msgspec.Struct]] = {
    Kind.START: Start,
    Kind.ROW: Row,
    Kind.CONFIG: ConfigUpdate,
    Kind.SUMMARY: SummaryUpdate,
    Kind.METRIC: MetricDefinition,
    Kind.RUN: RunUpdate,
    Kind.CONSOLE: ConsoleOutput,
    Kind.FILE: FileSaved,
    Kind.EXIT: Exit,
    Kind.STATS: Stats,
    Kind.ALERT: Alert,
    Kind.PREEMPTING: Preempting,
    Kind.GAP: Gap,
    Kind.ARTIFACT: ArtifactLogged,
    Kind.TENSORBOARD: TensorboardLogs,
    Kind.FOLLOWED: Followed,
    Kind.GUEST: GuestRecords,
    Kind.EVENT: Event,
    Kind.ENVIRONMENT: Environment,
}


def _plain(value: object) -> object:
    """Return what is written for a value of a class that is not written as it is: texts alone."""
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"a record cannot hold a value of type {type(value).__name__}")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_plain)


def _refuse_extension(code: int, data: memoryview) -> object:
    raise ValueError(f"a value of MessagePack's extension type {code} ({len(data)} bytes)")


_DECODERS = {
    kind: msgspec.msgpack.Decoder(type_, ext_hook=_refuse_extension)
    for kind, type_ in RECORD_TYPES.items()
}

#: Decodes the payload of a ROW frame; the hot path of the agent.
decode_row = msgspec.msgpack.Decoder(Row, ext_hook=_refuse_extension).decode


def encode(record: msgspec.Struct) -> bytes:
    """Return the payload of a record.

    Raises:
        TypeError: a value is not of a JSON-like type.
        OverflowError: an integer beyond 64 bits.
        UnicodeEncodeError: a text with a lone surrogate.
    """
    return _ENCODER.encode(record)


def decode(kind: int, payload: bytes | memoryview) -> msgspec.Struct:
    """Return the record in a payload.

    Raises:
        ValueError: the kind is unknown, or the payload is not such a record
            (`msgspec.DecodeError` and `msgspec.ValidationError` are ValueErrors).
    """
    try:
        decoder = _DECODERS[Kind(kind)]
    except KeyError as error:  # pragma: no cover - Kind() raises first
        raise ValueError(f"unknown record kind {kind}") from error
    try:
        record = decoder.decode(payload)
    except RecursionError as error:
        raise ValueError("values are nested too deep") from error
    _check_values(record)
    return record


def _check_values(record: msgspec.Struct) -> None:
    """Refuse values that no JSON text holds: whoever stores them later could not."""
    match record:
        case Start():
            for values in (record.config, record.environment, record.summary):
                _check_value(values, 0)
        case ConfigUpdate() | SummaryUpdate():
            _check_pairs(record.set)
        case Followed():
            _check_pairs(record.config)
        case ArtifactLogged():
            _check_value(record.metadata, 0)
        case Environment():
            _check_value(record.found, 0)
        case _:
            pass


def _check_pairs(pairs: list[tuple[list[str], Value]]) -> None:
    for path, value in pairs:
        if not path:
            raise ValueError("a value without a key")
        _check_value(value, len(path))


def _check_value(value: Value, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"values are nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        for key, child in cast("dict[object, Value]", value).items():
            if not isinstance(key, str):
                raise ValueError(f"a key that is no text: {key!r:.100}")  # noqa: TRY004 - the data is wrong
            _check_value(child, depth + 1)
    elif isinstance(value, list | tuple):
        for child in cast("list[Value]", value):
            _check_value(child, depth + 1)
    elif value is not None and not isinstance(value, str | int | float):
        raise ValueError(f"a value of type {type(value).__name__}")
