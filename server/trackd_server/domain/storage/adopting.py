"""Taking over files of callers on this machine: whole files become packs, and no byte is copied.

A caller with the server's user id links its file into the `Inbox`, a folder that nobody else can
enter, and says what it is; the server renames the link to a blob. So no caller can name a file that
it could not have brought, and a file that is refused, or on another disk, goes the usual way. The
digest is taken as the caller says, as for files of several chunks; the `Indexer` cuts the file
later, and `fsck --verify` computes its digest.
"""

from __future__ import annotations

import os
import re
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trackd_proto.chunk_encoding import UNCUT
from trackd_server.domain.storage import chunk_rows, contents
from trackd_server.domain.storage.chunk_rows import NOTHING_FREED
from trackd_server.domain.storage.packing import require_pending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from trackd_server.domain.storage.chunk_rows import Freed
    from trackd_server.domain.storage.indexing import Indexer
    from trackd_server.domain.storage.receive import Tools

#: How long a link may lie in the inbox; it is taken within seconds, or its caller died.
FORGOTTEN_AFTER_S = 3_600.0
_NAME = re.compile(r"[0-9a-zA-Z_-]{1,100}")


class Offer(NamedTuple):
    """A file in the inbox: its content's algorithm, digest and length, and its name there."""

    content: tuple[str, bytes, int]
    file: str


class Inbox:
    """The folder for files that callers of the server's own user hand over."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder

    def accepts(self, offer: Offer) -> bool:
        """Tell whether a file is there that may become a blob: a regular one of our own.

        It becomes read-only, so that nobody who still has another name of it writes to it.
        """
        if not _NAME.fullmatch(offer.file):
            return False
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self.folder / offer.file, flags)
        except OSError:
            return False
        try:
            facts = os.fstat(descriptor)
            is_ours = stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid()
            if not is_ours or facts.st_size != offer.content[2] or not facts.st_size:
                return False
            os.fchmod(descriptor, 0o400)
        finally:
            os.close(descriptor)
        return True

    def clear(self, age_s: float = 0.0) -> None:
        """Remove what lies here for so long."""
        latest = time.time() - age_s
        for entry in os.scandir(self.folder):
            try:
                if entry.stat(follow_symlinks=False).st_ctime <= latest:
                    Path(entry.path).unlink()
            except OSError:
                continue  # its caller took it back, or it is something that nobody takes


class Adoption:
    """Makes files of the inbox contents of pending versions."""

    def __init__(self, tools: Tools, indexer: Indexer) -> None:
        self.inbox = Inbox(tools.blobs.folder.with_name("inbox"))
        self._tools = tools
        self._indexer = indexer

    def adopt(self, version_id: int, offers: Sequence[Offer]) -> list[bool]:
        """Keep files for a version; tell which were taken. Blocks.

        Raises:
            OSError: The disk fails; nothing is taken.
        """
        keys = [""] * len(offers)
        try:
            for number, offer in enumerate(offers):
                if self.inbox.accepts(offer):
                    keys[number] = self._taken(offer)
            with self._tools.database.write() as connection:
                require_pending(connection, version_id)
                ids, spared, freed = _made(connection, version_id, offers, keys)
                contents.hold(connection, version_id, ids)
        except BaseException:
            self._tools.doomed.delete(filter(None, keys))
            raise
        self._tools.doomed.delete(key for key in keys if key and key not in spared)
        for content_id in spared.values():
            self._indexer.add(content_id, version_id)
        self._tools.reclaimer.finish(freed)
        self.inbox.clear(FORGOTTEN_AFTER_S)
        return [bool(key) for key in keys]

    def _taken(self, offer: Offer) -> str:
        """Make a file of the inbox a blob and return its key; empty: that is not possible."""
        key = self._tools.doomed.new_key()
        try:
            self._tools.blobs.take(self.inbox.folder / offer.file, key)
        except OSError:  # its caller took it back, or the inbox is on another disk
            self._tools.doomed.delete([key])
            return ""
        return key


def _made(
    connection: Connection, version_id: int, offers: Sequence[Offer], keys: Sequence[str]
) -> tuple[list[int], dict[str, int], Freed]:
    """Return the contents of files, by their keys those that are new, and what they replace."""
    ids: list[int] = []
    spared: dict[str, int] = {}
    freed = NOTHING_FREED
    for offer, key in zip(offers, keys, strict=True):
        if not key:
            continue
        stored = contents.find_whole(connection, [offer.content])
        if stored:
            ids += stored.values()
            continue
        name = chunk_rows.made_up_name()
        whole = chunk_rows.Placed.plain(name, 0, offer.content[2], UNCUT)
        chunk_ids, _ = chunk_rows.adopt(connection, key, [whole])
        spared[key], former = contents.make_uncut(
            connection, offer.content, chunk_ids[name], version_id
        )
        ids.append(spared[key])
        freed += former
    return ids, spared, freed
