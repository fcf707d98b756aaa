"""The journal: what the agent holds durably of each writer, one append-only log a producer.

Owns the segment files of a journal folder (written as `trackd_proto.frames` says), their
recovery after any kind of death, readers that follow them, their release, and the checkpoints
that remember how far an upstream got. Nothing is decoded here: what a record means is the
business of the room `runs`. All calls are plain and blocking and belong to one owner thread;
only `Journal.sync` and `Checkpoints.store` may run in a worker thread.
"""

from trackd_agent.journal.checkpoints import Checkpoints, remove_remnant
from trackd_agent.journal.config import JournalConfig
from trackd_agent.journal.journal import Journal, Receipt
from trackd_agent.journal.reader import FolderReader, JournalReader, read_folder
from trackd_agent.journal.recovery import lost_in_tail

__all__ = [
    "Checkpoints",
    "FolderReader",
    "Journal",
    "JournalConfig",
    "JournalReader",
    "Receipt",
    "lost_in_tail",
    "read_folder",
    "remove_remnant",
]
