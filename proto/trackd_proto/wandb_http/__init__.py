"""Names of the W&B HTTP protocol that the agent (client) and the server share.

Owns names only: stream files, headers, numbers of `define_metric` entries. No behaviour, nothing
of ours is imported. The facts behind it were measured against `wandb` 0.31.0.
"""

from __future__ import annotations

from typing import Final

#: Files of a `file_stream` request. Offsets in it are line numbers.
HISTORY_FILE: Final = "wandb-history.jsonl"
EVENTS_FILE: Final = "wandb-events.jsonl"
SUMMARY_FILE: Final = "wandb-summary.json"
CONSOLE_FILE: Final = "output.log"
#: Ours: keys of those lines of `EVENTS_FILE` that say what happened to a device (an Xid, a process
#: killed for memory) instead of carrying a sample: what kind of thing, and a sentence for people.
EVENT_NAME: Final = "_event"
EVENT_TEXT: Final = "_text"
#: Begins every key of `EVENTS_FILE` that is a metric, and what separates the writer's label.
SYSTEM_PREFIX: Final = "system."
LABEL_SEPARATOR: Final = "/l:"
#: Ours: begins the file of a writer's rows whose step went back, which the history cannot carry;
#: sent to servers that have the feature only.
LATE_FILE_PREFIX: Final = "trackd-late-"
LATE_FEATURE: Final = "TRACKD_LATE_ROWS"

#: User part of Basic authorisation: `api:<key>`.
API_USER: Final = "api"
#: Shortest API key that clients accept, in characters.
MIN_API_KEY_CHARS: Final = 40

#: Client id of a shared-mode writer: GraphQL and file_stream name it differently.
GRAPHQL_CLIENT_ID_HEADER: Final = "X-WANDB-CLIENT-ID"
STREAM_CLIENT_ID_HEADER: Final = "X-WANDB-ASYNC-CLIENT-ID"
ASYNC_STREAM_HEADER: Final = "X-WANDB-USE-ASYNC-FILESTREAM"
#: Ours: the label of the writer, percent-encoded; other servers ignore it.
LABEL_HEADER: Final = "X-Trackd-Label"

#: Longest line of a stream that clients send, in bytes (10 MiB - 100 KiB).
MAX_LINE_BYTES: Final = 10 * 1024 * 1024 - 100 * 1024
#: About the largest file_stream request, in bytes.
MAX_REQUEST_BYTES: Final = 10 * 1024 * 1024

#: Files that a client writes itself at the end of a run; they repeat what the run's record says.
OWN_FILES: Final = frozenset(
    {
        "requirements.txt",
        "wandb-metadata.json",
        "wandb-summary.json",
        "config.yaml",
        "conda-environment.yaml",
    }
)

#: Keys of one entry of `config._wandb.value.m` (one `define_metric`).
METRIC_NAME: Final = "1"
METRIC_GLOB: Final = "2"
METRIC_STEP_INDEX: Final = "5"  # 1-based position of the step metric in the same list
METRIC_OPTIONS: Final = "6"
METRIC_SUMMARY: Final = "7"
METRIC_GOAL: Final = "8"

#: Members of the list under `METRIC_OPTIONS`.
OPTION_STEP_SYNC: Final = 1
OPTION_HIDDEN: Final = 2
OPTION_DEFINED: Final = 3

#: Members of the list under `METRIC_SUMMARY`.
SUMMARY_KINDS: Final = {
    1: "min",
    2: "max",
    3: "mean",
    4: "best",
    5: "last",
    6: "none",
    7: "copy",
    8: "first",
}

#: States of a run as clients know them.
RUN_STATES: Final = (
    "running",
    "finished",
    "failed",
    "crashed",
    "killed",
    "preempting",
    "preempted",
    "pending",
)
