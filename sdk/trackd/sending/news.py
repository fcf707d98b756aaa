"""What a rank hears of its run besides acknowledgements: from the agent, or through it."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING

from trackd_proto.v1 import run_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd.terminal import Terminal


class News:
    """How far the upload is, what the server calls the run and where, and words for the user.

    Args:
        terminal: shows the words.

    Attributes:
        uploaded_seq: the server has everything up to this record.
        uploaded_at: when the server was last seen to take something, in local time, as users
            read it.
        url: address of the run; empty as long as it is not known.
        name: how the server calls the run; empty as long as it has not said so.
        is_named: set when it has.
        on_url: called when the address becomes known while the run goes on.
        on_stop: called once, when a server asks the run to stop.
    """

    def __init__(self, terminal: Terminal) -> None:
        self.uploaded_seq = 0
        self.uploaded_at: datetime | None = None
        self.url = self.name = ""
        self.is_named = threading.Event()
        self.on_url: Callable[[str], None] = lambda url: None
        self.on_stop: Callable[[], None] = lambda: None
        self._is_stop_told = False
        self._terminal = terminal

    def take(self, response: run_pb2.RecordsResponse) -> None:
        """Take what comes with an acknowledgement."""
        self._take_uploaded(response.uploaded_seq)
        self.take_url(response.url)
        self._take_name(response.name)  # behind the address: who waits for one has both
        if response.stop_requested and not self._is_stop_told:
            self._is_stop_told = True
            self.on_stop()
        for notice in response.notices:
            self._show(notice)

    def take_last(self, response: run_pb2.DetachResponse) -> None:
        """Take what the answer to the end brings; the last lines of the run show the address."""
        self._take_uploaded(response.uploaded_seq)
        self.url = response.url or self.url
        self._take_name(response.name)

    def take_url(self, url: str) -> None:
        """Take the address of the run; empty: it is not known yet."""
        if url and url != self.url:
            self.url = url
            self.on_url(url)

    def _take_name(self, name: str) -> None:
        if name and not self.name:
            self.name = name
            self.is_named.set()

    def _take_uploaded(self, seq: int) -> None:
        if seq > self.uploaded_seq:
            self.uploaded_seq = seq
            self.uploaded_at = datetime.now()

    def _show(self, notice: run_pb2.Notice) -> None:
        if notice.level == run_pb2.Notice.LEVEL_ERROR:
            self._terminal.error(notice.text)
        elif notice.level == run_pb2.Notice.LEVEL_WARNING:
            self._terminal.warn_once(notice.text)
        else:
            self._terminal.info(notice.text)
