"""Follows the writers of offline runs: what they print comes into their files while they run.

Nothing is uploaded and nothing is remembered: an agent that starts anew writes the files again
from the journal, which stays whole in the run folder.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import structlog

from trackd_agent.runs.console_files import ConsoleFiles
from trackd_agent.runs.upload.feed import Feed
from trackd_agent.upstream import Wake

if TYPE_CHECKING:
    from trackd_agent.runs.context import RunsContext
    from trackd_agent.runs.state import WriterState
    from trackd_agent.runs.writer import Writer

log = structlog.get_logger()

_TAKE_BYTES = 1024 * 1024
#: How often the files are brought up to date, in seconds.
_INTERVAL_S = 1.0


class Follower:
    """Follows one writer; takes the place of a pump among its carriers.

    Attributes:
        over: set when the writer has ended and everything of it is in its files.
        is_running: whether something may still come.
    """

    def __init__(self, writer: Writer, context: RunsContext) -> None:
        self.over = anyio.Event()
        self.is_running = True
        self.dropped: dict[str, int] = {}
        self._writer = writer
        self._context = context
        self._wake = Wake()
        self._state: WriterState | None = None

    # -- what a writer knows of its carriers -----------------------------------------------

    @property
    def acked_seq(self) -> int:
        """0: nothing is uploaded."""
        return 0

    @property
    def stored_seqs(self) -> tuple[int, int]:
        """Nothing: the journals stay whole."""
        return (0, 0)

    @property
    def backlog_bytes(self) -> int:
        """0: nothing waits for a server."""
        return 0

    @property
    def stop_requested(self) -> bool:
        """False: no server can ask for it."""
        return False

    @property
    def exit_code(self) -> int | None:
        """Exit code of the writer, once its record was read."""
        return self._state.exit.exit_code if self._state and self._state.exit else None

    def grew(self, size_bytes: int) -> None:
        """More was journalled; it is read at the next turn."""
        del size_bytes

    def hurry(self) -> None:
        """Read what there is now."""
        self._wake.set()

    def remembered(self) -> None:
        """Nothing is."""
        return

    # -- life ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the writer to its end; whatever goes wrong stays here."""
        try:
            await self._follow()
        except Exception:
            log.exception("following_failed", run_id=self._writer.facts.run_id)
        finally:
            self.is_running = False
            self.over.set()

    async def _follow(self) -> None:
        feed = Feed(self._writer, self._context, None, 0, 0)
        try:
            self._state = state = await feed.wait_for_start(self._wake)
            if state is None:
                return
            files = ConsoleFiles(Path(self._writer.facts.run_dir), state.start)
            ended = False
            while not ended:
                ended = not self._writer.is_alive  # asked before the last reading
                began_s = time.monotonic()
                await self._bring_up_to_date(feed, state, files)
                if not ended:
                    await self._wake.wait(max(0.0, began_s + _INTERVAL_S - time.monotonic()))
        finally:
            feed.close()

    async def _bring_up_to_date(self, feed: Feed, state: WriterState, files: ConsoleFiles) -> None:
        while True:
            before = feed.positions
            await feed.decode(state, _TAKE_BYTES)
            updates = state.take()
            self._writer.notices.extend(updates.notices)
            if updates.console or updates.console_raw:
                try:
                    write = files.write
                    await anyio.to_thread.run_sync(write, updates.console, updates.console_raw)
                except OSError as error:
                    lost = self.dropped.get("console_file", 0) + len(updates.console)
                    self.dropped["console_file"] = lost
                    log.warning("console_file_not_written", problem=str(error))
            if feed.positions == before:
                return
