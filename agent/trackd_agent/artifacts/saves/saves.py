"""All saves of this agent: what they share, who asks about them, and how they ended."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakSet

import anyio
import anyio.to_thread
import msgspec
import structlog

from trackd_agent.artifacts.config import ArtifactsConfig
from trackd_agent.artifacts.saves.given_up import GivenUp
from trackd_agent.artifacts.saves.lanes import Lanes
from trackd_agent.artifacts.saves.progress import SaveProgress, SaveState, Tally

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from trackd_agent.upstream import Upstream

log = structlog.get_logger()

#: Shortest time between two looks of a watcher, in seconds.
_LOOK_S = 0.1
#: Results are counted and cut to size once in so many.
_PRUNE_EVERY = 100
#: Code and words of a save that was given up.
CANCELLED, GONE = "CANCELLED", "the save was cancelled"
#: Saves given up before their records arrived that are remembered.
_MAX_EARLY = 1000


@dataclass(slots=True, eq=False, weakref_slot=True)
class Save:
    """One save in this process: what it was asked for, and how far it is.

    Attributes:
        key: of its record.
        client_id: of the artifact.
        name: of the collection.
        type: of the artifact.
    """

    key: str
    client_id: str
    name: str
    type: str
    state: SaveState = SaveState.QUEUED
    tally: Tally = field(default_factory=Tally)
    artifact_id: str = ""
    error_code: str = ""
    error: str = ""
    is_unchanged: bool = False
    #: Place among all saves of this process.
    number: int = 0
    #: Ends the work on it; made when the work begins.
    scope: anyio.CancelScope | None = None
    wants_cancel: bool = False
    #: Whether this process made none of the same artifact before.
    is_first: bool = True
    #: The version is there, or may be at any moment: it cannot be given up any more.
    is_decided: bool = False
    ended: anyio.Event = field(default_factory=anyio.Event)

    @property
    def progress(self) -> SaveProgress:
        """How it stands now."""
        tally = self.tally
        return SaveProgress(
            self.client_id,
            self.name,
            self.type,
            self.state,
            tally.files_done,
            tally.files_total,
            tally.bytes_done,
            tally.bytes_total,
            tally.bytes_sent,
            self.artifact_id,
            self.error_code,
            self.error,
            self.is_unchanged,
            self.key,
        )

    def give_up(self) -> None:
        """End the work on it, now or when it begins."""
        self.wants_cancel = True
        if self.scope is not None:
            self.scope.cancel()

    async def decide(self) -> None:
        """From here on it cannot be given up; who did so before ends it here."""
        if self.wants_cancel:
            await anyio.sleep_forever()  # its scope is cancelled
        self.is_decided = True

    def end(self, state: SaveState, error_code: str = "", error: str = "") -> None:
        """Note how it ended; the watchers see it."""
        self.state, self.error_code, self.error = state, error_code, error


class Saves:
    """The saves of all runs of this process.

    Args:
        data_dir: the agent's data directory.
        config: settings of the room.
    """

    def __init__(self, data_dir: Path, config: ArtifactsConfig | None = None) -> None:
        self.config = config or ArtifactsConfig()
        #: Where manifests are put together.
        self.work_dir = data_dir / "agent" / "artifacts" / "tmp"
        #: What is known of uploads in parts.
        self.uploads_dir = data_dir / "agent" / "artifacts" / "uploads"
        self._results_dir = data_dir / "agent" / "artifacts" / "results"
        #: By server, of which an agent has a handful.
        self._lanes: dict[Upstream, Lanes] = {}
        self._threads: anyio.CapacityLimiter | None = None
        #: By client id, oldest first; ended ones leave when there are too many.
        self._saves: OrderedDict[str, Save] = OrderedDict()
        #: Those of the same artifacts at mirrors, as long as somebody carries them out.
        self._at_mirrors: WeakSet[Save] = WeakSet()
        self.given_up = GivenUp(data_dir / "agent" / "artifacts" / "given_up")
        #: Client ids of those whose records did not arrive yet.
        self._early: OrderedDict[str, None] = OrderedDict()
        self._begun = 0
        self._unpruned = _PRUNE_EVERY
        self._arrived = anyio.Event()

    # -- what saves share ------------------------------------------------------------------

    def lanes_to(self, upstream: Upstream) -> Lanes:
        """Return what bounds the saves to a server."""
        if upstream not in self._lanes:
            self._lanes[upstream] = Lanes(self.config)
        return self._lanes[upstream]

    @property
    def threads(self) -> anyio.CapacityLimiter:
        """The threads that read, hash and cut."""
        self._threads = self._threads or anyio.CapacityLimiter(self.config.hashing_threads)
        return self._threads

    # -- what those who save say -----------------------------------------------------------

    def begin(self, save: Save) -> None:
        """Show a save to those who ask; a later one of the same artifact takes its place."""
        self._begun += 1
        save.number = self._begun
        self._early.pop(save.client_id, None)
        save.is_first = self._saves.pop(save.client_id, None) is None
        self._saves[save.client_id] = save
        excess = len(self._saves) - max(1, self.config.remembered_results)
        if excess >= _PRUNE_EVERY:
            ended = [id_ for id_, each in self._saves.items() if each.state.is_end]
            for client_id in ended[:excess]:
                del self._saves[client_id]
        self._tell_waiting()

    def begin_at_mirror(self, save: Save) -> None:
        """Let a save be given up with the one that people ask about."""
        self._at_mirrors.add(save)

    def _tell_waiting(self) -> None:
        arrived, self._arrived = self._arrived, anyio.Event()
        arrived.set()

    async def keep_result(self, save: Save) -> None:
        """Keep how a save ended for whoever asks late, also an agent after this one.

        Before its note goes: an agent that dies leaves the one or the other, and nobody waits for
        what is over.
        """
        try:
            await anyio.to_thread.run_sync(self._store, save.progress)
        except OSError as error:  # it is told from memory while this agent lives
            log.warning("save_result_not_kept", name=save.name, problem=str(error))
        else:
            if save.wants_cancel:
                await anyio.to_thread.run_sync(self.given_up.forget, save.client_id)

    def told_before(self, save: Save) -> SaveProgress | None:
        """Return how a save ended whose record an agent after that reads again; reads a file."""
        told = self._load(save.client_id) if save.is_first else None
        return told if told is not None and told.key == save.key else None

    # -- what people ask -------------------------------------------------------------------

    def find(self, client_id: str) -> Save | None:
        """Return a save of this process, or None."""
        return self._saves.get(client_id)

    def earlier(self, client_id: str, than: str) -> Save | None:
        """Return an unfinished save that began before another one, or None."""
        save, other = self._saves.get(client_id), self._saves.get(than)
        if save is None or other is None or save.ended.is_set() or save.number > other.number:
            return None
        return save

    def list(self) -> list[SaveProgress]:
        """Return the saves of this process, the latest first."""
        return [save.progress for save in reversed(self._saves.values())]

    async def cancel(self, client_id: str) -> bool:
        """Give a save up, also one whose record did not arrive yet, and for agents after this one.

        Returns:
            False: it had ended, or is being committed, and goes on. Else what was sent becomes no
            version, at mirrors neither unless it is one there already.
        """
        if await self._is_too_late(client_id):
            return False
        try:
            await anyio.to_thread.run_sync(self.given_up.note, client_id)
        except OSError as error:  # it is given up as long as this agent lives
            log.warning("cancel_not_kept", client_id=client_id, problem=str(error))
        save = self._saves.get(client_id)
        if save is None:
            self._early[client_id] = None
            if len(self._early) > _MAX_EARLY:
                self._early.popitem(last=False)
            self._tell_waiting()
            return True
        if save.state.is_end or save.is_decided:
            await anyio.to_thread.run_sync(self.given_up.forget, client_id)
            return False
        save.give_up()
        for each in self._at_mirrors:
            if each.client_id == client_id and not each.is_decided:
                each.give_up()
        return True

    async def _is_too_late(self, client_id: str) -> bool:
        save = self._saves.get(client_id)
        if save is not None:
            return save.state.is_end or save.is_decided
        return await anyio.to_thread.run_sync(self._load, client_id) is not None

    async def watch(self, client_id: str) -> AsyncGenerator[SaveProgress]:
        """Yield how a save stands, whenever that changed; ends with its end.

        One that is not known yet is waited for: its record may be on its way.
        """
        if client_id not in self._saves:
            stored = await anyio.to_thread.run_sync(self._load, client_id)
            if stored is not None:
                yield stored
                return
        told: SaveProgress | None = None
        while True:
            # Taken before the look: the save may begin while somebody reads what is yielded.
            arrived, save = self._arrived, self._saves.get(client_id)
            progress = save.progress if save is not None else self._unknown(client_id)
            if progress != told:
                told = progress
                yield progress
            if progress.state.is_end:
                return
            with anyio.move_on_after(_LOOK_S if save is not None else None):
                await (save.ended if save is not None else arrived).wait()

    def _unknown(self, client_id: str) -> SaveProgress:
        if client_id not in self._early:
            return SaveProgress(client_id)
        return SaveProgress(client_id, state=SaveState.CANCELLED, error_code=CANCELLED, error=GONE)

    # -- results on disk -------------------------------------------------------------------

    def _path_of(self, client_id: str) -> Path:
        return self._results_dir / hashlib.sha256(client_id.encode()).hexdigest()[:40]

    def _load(self, client_id: str) -> SaveProgress | None:
        try:
            return msgspec.msgpack.decode(self._path_of(client_id).read_bytes(), type=SaveProgress)
        except (OSError, ValueError):  # damage may also be text that is no UTF-8
            return None

    def _store(self, progress: SaveProgress) -> None:
        self._results_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path_of(progress.client_id)
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(msgspec.msgpack.encode(progress))
        unfinished.replace(path)
        self._unpruned += 1
        if self._unpruned >= _PRUNE_EVERY:
            self._unpruned = 0
            self._prune()

    def _prune(self) -> None:
        paths = sorted(self._results_dir.iterdir(), key=lambda p: p.stat().st_mtime)
        for path in paths[: -self.config.remembered_results or len(paths)]:
            path.unlink(missing_ok=True)
