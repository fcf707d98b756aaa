"""What is known of files from the last time they were logged, so that they are not read again.

A note for each folder (or large file) that was added tells the digest of every file in it, with
what the file system said of the file at that time: device, inode, size, and when its bytes and its
facts last changed. Where all of that is still so, the file is the same and is not hashed. Not noted
is a file whose bytes changed just before it was read (see `hashing`), nor one that this process
has mapped into its memory for writing (`numpy.memmap`): such changes leave no trace in the times.
Of other processes that is not known: what they change in memory they have to flush (`msync`)
before the file is added again. Nothing is noted of file systems of other machines, whose facts may
be those of a while ago.

If moreover the server to which the open run writes has the version of a note, it has the bytes,
and a `mutable` file needs no copy: that is asked when the file is added. When the artifact is
logged elsewhere, the copy is made then. Where the version is deleted between the two, the agent
reads the file itself, and fails the save if it is not what was noted.

Format of a note, `<data directory>/artifacts/known/<hash>`: MessagePack of `_Note`. At most 256
notes of 200,000 files are kept, the latest; a damaged one counts as none.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from trackd.artifacts.hashing import FileDigest
from trackd.artifacts.known.file_systems import is_on_own_disk, mapped_files
from trackd.errors import CommError
from trackd.logs import LOGGER
from trackd.remote.answers import part
from trackd.remote.operations import operation
from trackd_proto import layout

if TYPE_CHECKING:
    from trackd.artifacts.hashing import DigestAlgorithm
    from trackd.artifacts.manifest import ManifestEntry
    from trackd.remote.connection import Remote

_MAX_NOTES = 256
#: A folder of more files is not noted: that takes memory of the training process.
_MAX_FILES = 200_000
#: How long agent and server may take to say how a version stands, and how long a server that did
#: not answer is not asked again, in seconds.
_ANSWER_S, _QUIET_S = 2.0, 60.0
#: Whether a version is still there, and the one of this client id.
_STANDS = operation(
    "ArtifactStands",
    """query ArtifactStands($id: ID!, $clientID: ID!) {
  artifact(id: $id) { state } clientIDMapping(clientID: $clientID) { serverID } }""",
)

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
        self._mapped = mapped_files() if is_on_own_disk(source.path) else None
        self._device = os.stat(source.path).st_dev  # noqa: PTH116 - also of links to elsewhere
        note = None if self._mapped is None else _read(source.note_path())
        self._before = note.files if note else {}
        self._now: dict[str, tuple[Identity, str]] = {}
        #: The server has the bytes of all that is known.
        self.is_held = note is not None and remote is not None and _is_held(note, remote)
        #: Entries of files that were left in place for that.
        self.left: list[ManifestEntry] = []

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
        if found.facts is not None and found.facts.st_dev == self._device:
            self._now[path] = (identity_of(found.facts), found.digest)

    def is_of(self, remote: Remote | None) -> bool:
        """Tell whether what was asked of a server holds for this one."""
        return bool(remote and self._remote and _name_of(remote) == _name_of(self._remote))

    def write(self, client_id: str) -> None:
        """Keep what is known, since the files were logged to the server of the run."""
        mapped = mapped_files()
        if self._remote is None or self._mapped is None or mapped is None:
            return
        mapped |= self._mapped
        files = {path: known for path, known in self._now.items() if known[0][:2] not in mapped}
        if not 0 < len(files) <= _MAX_FILES:
            return
        note = _Note(_name_of(self._remote), client_id, files)
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
    except (OSError, ValueError) as error:  # damage may also be text that is no UTF-8
        LOGGER.info("the note %s is left aside: %s", path, error)
        return None


def _is_held(note: _Note, remote: Remote) -> bool:
    """Tell whether the version of a note is complete at the server, and not deleted."""
    began_s = time.monotonic()
    if note.server != _name_of(remote) or remote.is_forked:
        return False
    if began_s < remote.quiet_until_s:
        return False
    from trackd.sending.agent_link import AgentCallError

    try:
        artifact_id = _saved_as(note.client_id, remote)
        return bool(artifact_id) and _stands(artifact_id, note.client_id, remote)
    except (AgentCallError, CommError) as error:
        LOGGER.info("whether the server has %s is not known: %s", note.client_id[:8], error)
        if time.monotonic() - began_s >= _ANSWER_S / 2:
            remote.quiet_until_s = time.monotonic() + _QUIET_S
        return False


def _saved_as(client_id: str, remote: Remote) -> str:
    """Return the id of the version that a save made; empty: it has not ended well."""
    from trackd_proto.v1 import artifact_pb2

    request = artifact_pb2.WatchSaveRequest(client_id=client_id)
    status = next(iter(remote.link.watch_save(request, _ANSWER_S)), None)
    if status is None or status.state != artifact_pb2.SAVE_STATE_COMMITTED:
        return ""
    return status.artifact_id


def _stands(artifact_id: str, client_id: str, remote: Remote) -> bool:
    """Tell whether the server still has a version, and is the server that made it."""
    variables = {"id": artifact_id, "clientID": client_id}
    found = remote.execute(_STANDS, variables, _ANSWER_S)
    is_same = part(found, "clientIDMapping", "serverID") == artifact_id
    return is_same and part(found, "artifact", "state") == "COMMITTED"


def _name_of(remote: Remote) -> str:
    return str(remote.settings.base_url or "")


def _drop_oldest(folder: Path) -> None:
    notes = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in notes[_MAX_NOTES:]:
        path.unlink(missing_ok=True)
