"""Where a spool may lie: on a local disk, else not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from trackd.errors import CommError
from trackd.recording.spool import Spool
from trackd_proto import layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackd.recording.spool import SpoolLimits

#: Mapped files on these do not survive a crash of this process reliably, or lock badly.
_NETWORK_FILE_SYSTEMS = frozenset(
    {
        "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs",
        "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "panfs", "pvfs2",
        "smb3", "smbfs", "wekafs",
    }
)  # fmt: skip


def file_system_of(path: Path, mountinfo: str) -> str:
    """Return the type of the file system that holds a path, from the text of mountinfo."""
    best, kind = "", ""
    for line in mountinfo.splitlines():
        left, separator, right = line.partition(" - ")
        columns = left.split()
        if not separator or len(columns) < 5:
            continue
        mount = columns[4].replace("\\040", " ")
        if len(mount) >= len(best) and path.is_relative_to(mount):
            best, kind = mount, right.split()[0]
    return kind


def network_file_system(path: Path) -> str:
    """Return the type of the network file system that holds a path, or ''."""
    try:
        kind = file_system_of(
            Path(os.path.realpath(path)), Path("/proc/self/mountinfo").read_text()
        )
    except OSError:
        return ""
    return kind if kind in _NETWORK_FILE_SYSTEMS else ""


def _spare_root() -> Path:
    import tempfile  # only here: it loads a lot

    return Path(tempfile.gettempdir()) / f"trackd-{os.getuid()}"


def open_spool(
    data_dir: Path,
    identity: tuple[str, str, int],
    limits: SpoolLimits,
    warn: Callable[[str], None],
) -> Spool:
    """Return a new spool below the data directory, or below the temporary directory if need be.

    Args:
        data_dir: data directory of agent and server.
        identity: project, run id, producer.
        limits: bounds of the spool.
        warn: shows why another place was taken.

    Raises:
        CommError: no local place can hold a spool.
    """
    project, run_id, producer = identity
    run_hash = layout.run_hash(project, run_id)
    reasons: list[str] = []
    for root in (data_dir, None):
        root = root or _spare_root()
        folder = layout.spool_folder(root, run_id, producer)
        if kind := network_file_system(root):
            reasons.append(f"{folder.parent} is on a network file system ({kind})")
            continue
        try:
            spool = Spool(folder, producer, run_hash, limits)
        except OSError as error:
            reasons.append(f"{folder.parent}: {error.strerror or error}")
            continue
        if reasons:
            warn(
                f"{reasons[0]}: rows wait for the agent in {folder.parent}; "
                "set TRACKD_DIR to a folder on a local disk"
            )
        return spool
    raise CommError(
        f"there is no place for rows that the agent does not hold yet ({'; '.join(reasons)}): "
        "set TRACKD_DIR to a writable folder on a local disk"
    )
