"""The artifacts of one writer on their way to one server: from its records to saves."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread
import msgspec
import structlog

from trackd_agent.artifacts.saves import (
    Destination,
    RunSaves,
    SaveFailed,
    SaveNotes,
    SaveOrder,
    SaveState,
    remove_staged,
)
from trackd_agent.runs.state.updates import Notice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackd_agent.artifacts.saves import Save
    from trackd_agent.runs.context import RunsContext
    from trackd_agent.runs.upload.uplink import Uplink
    from trackd_agent.runs.writer import Writer
    from trackd_agent.upstream import Courier
    from trackd_proto.records import ArtifactLogged

log = structlog.get_logger()

#: Reason under which failed saves count as lost.
FAILED = "artifact_failed"
#: End of the name of an empty file: a server needs the copies of a record no more.
_MARK = ".had"


def saves_at(uplink: Uplink, courier: Courier, context: RunsContext) -> RunSaves:
    """Return what carries out the saves of a run that its server knows."""
    upsert = uplink.upsert
    destination = Destination(courier, upsert.path, upsert.headers, uplink.is_first)
    return RunSaves(context.saves, destination)


class PumpSaves:
    """What a pump does about artifacts: hand records over, remember them, tell how they ended.

    Args:
        writer: whose records.
        uplink: the run at the server.
        name: of the pump's files.
        context: settings and neighbours.
    """

    def __init__(self, writer: Writer, uplink: Uplink, name: str, context: RunsContext) -> None:
        self._writer = writer
        self._uplink = uplink
        self._notes = SaveNotes(writer.folder, name)
        # A folder of an offline run may be synced again, and files go to mirrors as well.
        self._is_offline = writer.facts.mode == "offline"
        #: Servers that get the files; the last one that has them removes the copies.
        self._servers = len({writer.facts.base_url, *context.config.mirrors})
        self._keeps_files = self._is_offline or self._servers > 1
        self._name = name
        #: Whether what an earlier pump left is under way.
        self.is_resumed = False
        self._failed = 0
        self._is_over = False

    @property
    def lost(self) -> Iterator[tuple[str, int]]:
        """How many artifacts could not be saved, by reason."""
        if self._failed:
            yield FAILED, self._failed

    async def resume(self) -> None:
        """Go on with what an earlier pump left."""
        for key, order in await anyio.to_thread.run_sync(self._notes.load):
            self._queue(key, order.record)
        self.is_resumed = True

    def add(self, logged: ArtifactLogged) -> None:
        """A record was read; read again after a death it changes nothing."""
        order = SaveOrder(logged, self._writer.facts.run_dir, keeps_files=self._keeps_files)
        if (key := self._notes.add(order)) is not None:
            self._queue(key, logged)

    def _queue(self, key: str, logged: ArtifactLogged) -> None:
        self._uplink.saves.add(key, logged, partial(self._notes.order_of, key), self._ended)

    async def keep(self) -> bool:
        """Write down what is unfinished; return whether that worked.

        Until it does, no checkpoint may pass the records.
        """
        if not self._notes.unwritten:
            return True
        try:
            await anyio.to_thread.run_sync(self._notes.keep)
        except OSError as error:
            log.warning("saves_not_noted", problem=str(error))
        return not self._notes.unwritten

    @property
    def unwritten(self) -> bool:
        """Whether unfinished saves are not written down."""
        return self._notes.unwritten

    async def forget(self) -> None:
        """A checkpoint has passed the records: what has ended leaves no trace."""
        if not self._notes.has_ended:
            return
        try:
            await anyio.to_thread.run_sync(self._notes.forget)
        except OSError as error:  # its save would be begun again, and be found done
            log.warning("saves_not_forgotten", problem=str(error))

    def let_go(self) -> None:
        """The last checkpoint is written: from here on each end is forgotten at once."""
        self._is_over = True

    async def _ended(self, save: Save) -> None:
        if save.state is SaveState.FAILED:
            self._failed += 1
            if self._uplink.is_first:
                self._writer.notices.append(Notice("error", f"not saved: {save.error}"))
            if self._is_offline:
                return  # the next sync of the folder tries again
        if self._servers > 1 and not self._is_offline:
            await anyio.to_thread.run_sync(self._let_go_of_copies, save.key)
        self._notes.end(save.key)
        if self._is_over:
            await self.forget()

    def _let_go_of_copies(self, key: str) -> None:
        """This server has a record's files, or never will: after the last one they go.

        Which servers that is true of outlives the agent, as marks beside the journal.
        """
        folder = self._writer.folder
        try:
            order = self._notes.order_of(key)
            (folder / f"{key}.{self._name}{_MARK}").touch()
            marks = list(folder.glob(f"{key}.*{_MARK}"))
        except (OSError, SaveFailed) as error:
            log.warning("copies_stay", run_dir=self._writer.facts.run_dir, problem=str(error))
            return
        if len(marks) >= self._servers:
            remove_staged(msgspec.structs.replace(order, keeps_files=False))
            for mark in marks:
                mark.unlink(missing_ok=True)
