"""Brings files of an artifact below a folder: the agent those on the server, we the references.

References are read in this process, with the user's credentials. One that leads into another
artifact is downloaded like a file of that one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from trackd.artifacts import crossing
from trackd.artifacts.errors import KINDS
from trackd.artifacts.manifest import ARTIFACT_SCHEME
from trackd.artifacts.notices import info, warn
from trackd.artifacts.online import fetching
from trackd.artifacts.online.progress import Progress
from trackd.artifacts.paths import logical_path
from trackd.errors import CommError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.manifest import ManifestEntry
    from trackd_proto.v1 import artifact_pb2

_VARIABLES = ("TRACKD_ARTIFACT_DIR", "WANDB_ARTIFACT_DIR")
_REFERENCE_THREADS = 32
#: Larger downloads are announced, and told of when they are done.
_MANY_FILES, _MANY_BYTES = 5_000, 50 * 1024 * 1024
_MIB = 1024 * 1024
#: The agent's code for a file in whose way something is.
_IN_THE_WAY = "PATH_CONFLICT"


class Options(NamedTuple):
    """What a download is to do.

    Attributes:
        paths: entries to download; None: all.
        prefix: text with which their paths begin.
        skip_cache: neither read nor fill the cache of this machine.
        multipart: whether files travel in ranges; None: large ones do.
        allow_missing: leave references out that lead to nothing.
        hops: artifacts that led to this one, by references.
    """

    paths: Sequence[str] | None = None
    prefix: str = ""
    skip_cache: bool = False
    multipart: bool | None = None
    allow_missing: bool = False
    hops: int = 0


def default_root(artifact: Artifact, *, with_version: bool = True) -> Path:
    """Return the folder below which an artifact is put when nobody names one.

    Raises:
        ValueError: the name that the server gave leads elsewhere.
    """
    given = next((os.environ[name] for name in _VARIABLES if os.environ.get(name)), "artifacts")
    name = artifact.source_name if with_version else artifact.source_name.partition(":")[0]
    logical_path(name.replace(":", "-"))  # a colon is no drive here
    return Path(given).absolute() / name


def download(artifact: Artifact, root: Path, options: Options) -> None:
    """Download entries of an artifact below a folder; see `Artifact.download`."""
    root.mkdir(parents=True, exist_ok=True)
    is_large = artifact.file_count > _MANY_FILES or artifact.size > _MANY_BYTES
    tells = is_large and options.paths is None
    began_s = time.monotonic()
    if tells:
        size = f"{artifact.size / _MIB:.2f} MiB"
        info(f"downloading {artifact.name}: {size} in {artifact.file_count} files ...")
    references = _download_files(artifact, root, options)
    _download_references(artifact, root, references, options)
    if tells:
        took_s = max(time.monotonic() - began_s, 1e-3)
        info(f"done in {took_s:.1f} s ({artifact.size / _MIB / took_s:.1f} MiB/s)")


def download_entry(
    artifact: Artifact,
    entry: ManifestEntry,
    root: str | os.PathLike[str] | None,
    skip_cache: bool | None,
) -> str:
    """Download one entry; return its path; see `ManifestEntry.download`."""
    base = str(root or default_root(artifact))
    options = Options(paths=[entry.path], skip_cache=bool(skip_cache))
    target = os.path.join(base, logical_path(entry.path))  # noqa: PTH118 - `./` of the root stays
    download(artifact, Path(base).absolute(), options)
    return target


# --- files of the server -------------------------------------------------------------------------


def _download_files(artifact: Artifact, root: Path, options: Options) -> list[ManifestEntry]:
    """Let the agent write files; return the references among the wanted entries."""
    link = artifact.remote.link
    from trackd.sending.agent_link import AgentCallError

    references: list[ManifestEntry] = []
    failures: list[artifact_pb2.DownloadFailure] = []
    failed = 0
    try:
        with Progress(artifact.remote.settings, f"downloading {artifact.name}") as progress:
            for step in link.download(_request(artifact, root, options)):
                references += map(fetching.entry_of, step.references)
                failures += step.failures
                failed = max(failed, step.result.files_failed)
                progress.show(
                    (step.files_done, step.files_total), (step.bytes_done, step.bytes_total)
                )
    except AgentCallError as error:
        kind = KINDS.get(error.code, CommError)
        raise kind(f"download of {artifact.name}: {error.message}") from error
    _raise_for(artifact, failures, failed)
    return references


def _request(artifact: Artifact, root: Path, options: Options) -> artifact_pb2.DownloadRequest:
    from trackd_proto.v1 import artifact_pb2

    place, listed = root.stat(), artifact.place
    return artifact_pb2.DownloadRequest(
        server=artifact.remote.server_ref(),
        artifact_id=artifact.id or "",
        listing=artifact_pb2.Listing(
            entity=listed.entity,
            project=listed.project,
            collection=listed.collection,
            version=listed.alias,
        ),
        root=str(root),
        root_device=place.st_dev,
        root_inode=place.st_ino,
        filter=artifact_pb2.EntryFilter(path_prefix=options.prefix, paths=options.paths or ()),
        skip_cache=options.skip_cache,
        multipart=options.multipart,
    )


def _raise_for(
    artifact: Artifact, failures: list[artifact_pb2.DownloadFailure], failed: int
) -> None:
    """Raise the first failure. One file of an artifact in the way of another is only told.

    Raises:
        ArtifactContentError: a file has other contents than the manifest says, or leads elsewhere.
        ArtifactWriteError: a file cannot be written, or something else lies in its place.
        CommError: a file cannot be had from the server.
    """
    others: list[artifact_pb2.DownloadFailure] = []
    for failure in failures:
        if failure.code == _IN_THE_WAY and _is_also_a_folder(artifact, failure.path):
            warn(f"download of {artifact.name}: {failure.path!r} is left out: {failure.message}")
        else:
            others.append(failure)
    if not others:
        return
    first, more = others[0], failed - 1
    kind = KINDS.get(first.code, CommError)
    rest = f" ({more} more files failed)" if more > 0 else ""
    raise kind(f"download of {artifact.name}: {first.path!r}: {first.message}{rest}")


def _is_also_a_folder(artifact: Artifact, path: str) -> bool:
    """Tell whether an entry, or one above it, is a file and a folder in the artifact itself."""
    entries = artifact.manifest.entries
    above = (str(folder) for folder in PurePosixPath(path).parents)
    return any(folder in entries for folder in above) or any(
        other.startswith(f"{path}/") for other in entries
    )


# --- references ----------------------------------------------------------------------------------


def _download_references(
    artifact: Artifact, root: Path, entries: list[ManifestEntry], options: Options
) -> None:
    """Read references in this process.

    Raises:
        FileNotFoundError: one leads to nothing, and that is not allowed.
        ValueError: one cannot be read, or has other contents than it had.
    """
    crossings = [entry for entry in entries if (entry.ref or "").startswith(ARTIFACT_SCHEME)]
    if crossings:
        _download_crossings(artifact, root, crossings, options)
    others = [entry for entry in entries if not (entry.ref or "").startswith(ARTIFACT_SCHEME)]
    if not others:
        return
    from trackd.artifacts.referring.reading import ReferenceReader  # few artifacts have references

    with ReferenceReader() as reader:

        def read(entry: ManifestEntry) -> None:
            try:
                reader.read(entry, safe_target(root, entry.path))
            except FileNotFoundError as error:
                if not options.allow_missing:
                    raise
                warn(str(error))

        pool = ThreadPoolExecutor(min(_REFERENCE_THREADS, len(others)))
        try:
            for _ in pool.map(read, others):
                pass
        except BaseException:  # Ctrl-C, too: no thread waits for a server any more
            reader.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _download_crossings(
    artifact: Artifact, root: Path, entries: Iterable[ManifestEntry], options: Options
) -> None:
    """Download entries of other artifacts, those of one artifact at once.

    Raises:
        ValueError: a reference leads out of an artifact, or through too many of them.
    """
    hops = options.hops + 1
    if hops > crossing.MAX_HOPS:
        raise ValueError(f"references of {artifact.name} lead through more than {hops} artifacts")
    for other, pairs in crossing.by_artifact(artifact.remote, entries):
        paths = list(dict.fromkeys(logical_path(path) for _, path in pairs))
        wanted = options._replace(paths=paths, prefix="", hops=hops)
        with tempfile.TemporaryDirectory(dir=root, prefix=".trackd-") as folder:
            download(other, Path(folder), wanted)
            for entry, path in pairs:
                source = Path(folder, logical_path(path))
                if source.is_file():
                    _put(source, safe_target(root, entry.path))
                elif not options.allow_missing:
                    raise FileNotFoundError(f"{entry.path!r}: {entry.ref} leads to nothing")


def _put(source: Path, target: Path) -> None:
    """Give a file another name; several entries may be the same file."""
    unfinished = target.with_name(f".{target.name}.trackd")
    unfinished.unlink(missing_ok=True)
    try:
        unfinished.hardlink_to(source)
    except OSError:  # a file system without links
        shutil.copyfile(source, unfinished)
    unfinished.replace(target)


def safe_target(root: Path, path: str) -> Path:
    """Return the place of an entry below a folder, and make the folders on the way.

    Raises:
        ValueError: the path, or a link on the way, leads out of the folder.
        NotADirectoryError: a file is in the way.
    """
    *folders, name = PurePosixPath(logical_path(path)).parts
    place = root
    for folder in folders:
        place /= folder
        if place.is_symlink():
            raise ValueError(f"{path!r}: {place} is a link, which may lead out of {root}")
        place.mkdir(exist_ok=True)
    return place / name
