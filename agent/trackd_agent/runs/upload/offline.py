"""Reads along with a writer of an offline run: its state for those who ask, its console as files.

What a pump does on the way to a server is done here for a run that goes to none. Nothing is
remembered: an agent started anew reads the journal from its beginning.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import structlog

from trackd_agent.runs.console import ConsoleFiles
from trackd_agent.runs.state.writer_state import WriterState
from trackd_agent.runs.upload.feed import Feed
from trackd_agent.upstream import Wake

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd_agent.runs.context import RunsContext
    from trackd_agent.runs.state.updates import Updates
    from trackd_agent.runs.writer import Writer

log = structlog.get_logger()

#: How often what was printed gets into the file, in seconds.
_INTERVAL_S = 1.0
#: Pause between two pieces of a backlog, in seconds.
_CATCH_UP_S = 0.01


class OfflineReader:
    """Reads the journals of one writer while it runs; takes the place of a pump.

    Attributes:
        over: set when it has come to the end of a writer that has ended.
    """

    #: What writers ask a pump: nothing goes anywhere.
    acked_seq = 0
    stored_seqs = (0, 0)
    backlog_bytes = 0
    stop_requested = False

    def __init__(self, writer: Writer, context: RunsContext) -> None:
        self.over = anyio.Event()
        self._writer = writer
        self._context = context
        self._wake = Wake()
        self._feed: Feed | None = None
        self._state: WriterState | None = None
        self._files_problem = ""

    @property
    def is_running(self) -> bool:
        """Whether there is or may be something to read."""
        return not self.over.is_set()

    async def run(self) -> None:
        """Read until the writer has ended; whatever goes wrong costs the files alone."""
        try:
            await self._read()
        except Exception:
            log.exception("offline_reader_failed", folder=str(self._writer.folder))
        finally:
            self.over.set()
            if self._feed is not None:
                self._feed.close()
            self._feed = None

    async def _read(self) -> None:
        writer = self._writer
        feed = self._feed = Feed(writer, self._context, None, 0, 0)
        state = self._state = await feed.wait_for_start(self._wake)
        if state is None or writer.start is None:
            return
        files = ConsoleFiles(Path(writer.facts.run_dir), writer.start)
        before = (-1, -1)
        while True:
            await writer.guests.gather()
            is_over = not writer.may_grow  # asked first: what comes behind would be missed
            await feed.decode(state, self._context.config.request_bytes)
            await self._write(files, state.take())
            if is_over and (not feed.unread_bytes or feed.positions == before):
                return
            before = feed.positions
            await self._wake.wait(_CATCH_UP_S if feed.unread_bytes else _INTERVAL_S)

    async def _write(self, files: ConsoleFiles, updates: Updates) -> None:
        if not (updates.console or updates.console_raw):
            return
        try:
            await anyio.to_thread.run_sync(files.write, updates.console, updates.console_raw)
        except OSError as error:  # the journal has it all
            if self._files_problem != str(error):
                self._files_problem = str(error)
                log.warning("console_file_not_written", problem=str(error))

    # -- what writers ask a pump -----------------------------------------------------------

    @property
    def unread_bytes(self) -> int:
        """About how much of the journals was not decoded."""
        return self._feed.unread_bytes if self._feed else 0

    @property
    def dropped(self) -> Mapping[str, int]:
        """Records that left no trace, by reason."""
        return self._state.dropped if self._state else {}

    @property
    def exit_code(self) -> int | None:
        """Exit code of the writer, once its record was read."""
        state = self._state
        return state.exit.exit_code if state and state.exit else None

    def grew(self, size_bytes: int, *, is_awaited: bool = False) -> None:
        """More was journalled; nothing waits here."""
        del is_awaited
        if self._feed is None:
            self._wake.set()
        else:
            self._feed.unread_bytes += size_bytes

    def hurry(self) -> None:
        """Look at once."""
        self._wake.set()

    def remembered(self) -> tuple[WriterState, int, int] | None:
        """Return a copy of the state and the positions of the journals."""
        feed = self._feed
        if feed is None or feed.state is None or not self.is_running:
            return None
        return (WriterState.restore(feed.state.snapshot()), *feed.positions)
