"""What is known of files from the last time they were logged, so that they are not read again.

A note for each folder (or large file) that was added tells the digest of every file in it, with
what the file system said of the file at that time: device, inode, size, and when its bytes and its
facts last changed. Where all of that is still so, the file is the same and is not hashed. A file
whose bytes changed just before it was read is not noted (see `hashing`).

If moreover the save of that version has ended well at the server to which the open run writes,
that server has the bytes, and a `mutable` file needs no copy: the agent asks the server, which
says so. Should it have lost them meanwhile (the version was deleted), the agent reads the file
itself and fails the save if it is not what was noted.

Format of a note, `<data directory>/artifacts/known/<hash>`: MessagePack of `_Note`. At most 256
notes of 200,000 files are kept, the latest; a damaged one counts as none.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from trackd.artifacts.hashing import FileDigest
from trackd.logs import LOGGER
from trackd_proto import layout

if TYPE_CHECKING:
    from trackd.artifacts.hashing import DigestAlgorithm
    from trackd.remote.connection import Remote

_MAX_NOTES = 256
#: A folder of more files is not noted: that takes memory of the training process.
_MAX_FILES = 200_000
#: How long an agent may take to say where a save stands.
_ANSWER_S = 2.0

#: Device, inode, size, time of the bytes and of the facts in nanoseconds.
Identity = tuple[int, int, int, int, int]


class _Note(msgspec.Struct, array_like=True):
    server: str
    client_id: str
    #: By path below the folder.
    files: dict[str, tuple[Identity, str]]


class Source(NamedTuple):
    """What is added: a folder, or one large file."""

    path: str
    algorithm: DigestAlgorithm

    def note_path(self) -> Path:
        """Return where its note is."""
        name = hashlib.sha256(f"{self.algorithm}:{Path(self.path).absolute()}".encode()).hexdigest()
        return layout.data_dir() / "artifacts" / "known" / name


class KnownFiles:
    """The files of one source: what was known, and what is learned for the next time.

    Args:
        source: what is added.
        remote: the server of the open run; None: no run is open, or it is offline.
    """

    def __init__(self, source: Source, remote: Remote | None) -> None:
        self._source = source
        self._remote = remote
        note = _read(source.note_path())
        self._before = note.files if note else {}
        self._now: dict[str, tuple[Identity, str]] = {}
        #: The server has the bytes of all that is known.
        self.is_held = note is not None and remote is not None and _is_held(note, remote)

    def __bool__(self) -> bool:
        return bool(self._before)

    def find(self, path: str, facts: os.stat_result) -> FileDigest | None:
        """Return the digest of a file that has not changed since it was noted."""
        known = self._before.get(path)
        if known is None or known[0] != identity_of(facts):
            return None
        self._now[path] = known
        return FileDigest(known[1], facts.st_size)

    def learn(self, path: str, found: FileDigest) -> None:
        """Note the digest of a file that was read."""
        if found.facts is not None:
            self._now[path] = (identity_of(found.facts), found.digest)

    def write(self, client_id: str) -> None:
        """Keep what is known, since the files were logged to the server of the run."""
        if self._remote is None or not 0 < len(self._now) <= _MAX_FILES:
            return
        note = _Note(_name_of(self._remote), client_id, self._now)
        path = self._source.note_path()
        try:
            layout.make_private(path.parent)
            part = path.with_name(f"{path.name}.{os.getpid()}")
            part.write_bytes(msgspec.msgpack.encode(note))
            part.replace(path)
            _drop_oldest(path.parent)
        except OSError as error:  # the next version takes longer, no more
            LOGGER.info("what is known of %s cannot be kept: %s", self._source.path, error)


def identity_of(facts: os.stat_result) -> Identity:
    """Return what changes with the bytes of a file."""
    return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def _read(path: Path) -> _Note | None:
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=_Note)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        LOGGER.info("the note %s is left aside: %s", path, error)
        return None


def _is_held(note: _Note, remote: Remote) -> bool:
    """Tell whether the version of a note is complete at the server."""
    if note.server != _name_of(remote) or os.getpid() != remote.pid:
        return False
    from trackd.sending.agent_link import AgentCallError
    from trackd_proto.v1 import artifact_pb2

    request = artifact_pb2.WatchSaveRequest(client_id=note.client_id)
    try:
        status = next(iter(remote.link.watch_save(request, _ANSWER_S)), None)
    except AgentCallError as error:
        LOGGER.info("whether %s was saved is not known: %s", note.client_id[:8], error)
        return False
    return status is not None and status.state == artifact_pb2.SAVE_STATE_COMMITTED


def _name_of(remote: Remote) -> str:
    return str(remote.settings.base_url or "")


def _drop_oldest(folder: Path) -> None:
    notes = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in notes[_MAX_NOTES:]:
        path.unlink(missing_ok=True)
