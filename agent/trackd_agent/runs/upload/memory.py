"""What a pump remembers across restarts of the agent, and how often it writes that down."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

import anyio.to_thread
import msgspec
import structlog

from trackd_agent.core.errors import AgentError
from trackd_agent.journal import Checkpoints
from trackd_agent.runs.console import LogPosition  # noqa: TC001 - msgspec resolves it
from trackd_proto.layout import safe_name

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger()

#: Making checkpoints may cost at most this share of the time.
_SHARE = 0.02


class PumpCheckpoint(msgspec.Struct, array_like=True):
    """All that a pump has to remember."""

    rank_seq: int
    agent_seq: int
    history: int
    events: int
    console_base: int
    console_lines: int
    state: bytes
    log: LogPosition
    #: Files that were announced and are not through, with their policies.
    files: dict[str, str]
    dropped: dict[str, int]
    is_over: bool = False
    #: Rows whose step went back and that wait for a word of the server, by number.
    late: dict[int, str] = msgspec.field(default_factory=dict[int, str])


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PumpCheckpoint).decode


class Memory:
    """The checkpoints of one pump.

    Args:
        folder: the writer's journal folder.
        name: of the server.
        interval_s: shortest time between two checkpoints.
    """

    def __init__(self, folder: Path, name: str, interval_s: float) -> None:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        #: What its files are called.
        self.name = f"{safe_name(name, 40)}-{digest}"
        self._checkpoints = Checkpoints(folder, self.name)
        self._interval_s = interval_s
        self._stored_at = float("-inf")
        self._cost_s = 0.0

    def load(self) -> PumpCheckpoint | None:
        """Return the last checkpoint; None: there is none.

        Raises:
            ValueError: a newer agent wrote it. To begin anew would put lines at wrong places.
        """
        raw = self._checkpoints.load()
        try:
            return _decode(raw) if raw else None
        except msgspec.MsgspecError as error:
            raise ValueError(f"checkpoint of another version of the agent: {error}") from error

    @property
    def is_due(self) -> bool:
        """Whether it is time; large states are written less often."""
        rest_s = max(self._interval_s, self._cost_s / _SHARE)
        return time.monotonic() - self._stored_at >= rest_s

    async def store(self, checkpoint: PumpCheckpoint, made_in_s: float) -> bool:
        """Write a checkpoint down; return whether that worked."""
        began = time.thread_time()
        data = _encode(checkpoint)
        self._cost_s = made_in_s + time.thread_time() - began
        try:
            await anyio.to_thread.run_sync(self._checkpoints.store, data)
        except AgentError as error:  # to be behind is harmless: the next one will do
            log.warning("checkpoint_not_stored", problem=error.message)
            return False
        self._stored_at = time.monotonic()
        return True
