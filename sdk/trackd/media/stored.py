"""What all media have in common: one file each, named after key, step and content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, TextIO, cast

from trackd.artifacts.hashing import hex_digest
from trackd.artifacts.member import ArtifactMember
from trackd.recording.recordable import Recordable

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from typing import Self

    from trackd.artifacts.artifact import Artifact
    from trackd.artifacts.manifest import ManifestEntry
    from trackd.artifacts.online.values import Source
    from trackd.recording.recordable import RunPlace, Slot

#: So many hexadecimal digits of a hash make the name of a file.
HASH_CHARACTERS = 20
#: `Recordable.max_batch` of media whose lists may have any length.
ANY_NUMBER = 2**31
_READ_BYTES = 1 << 20
#: What file systems take for one part of a path.
_MAX_PART_BYTES = 255


def refers_to_artifacts(place: RunPlace) -> bool:
    """Return whether rows of a run may name an artifact that holds a value, too."""
    settings = place.settings
    return settings.allow_offline_artifacts or settings.mode != "offline"


class Media(Recordable, ArtifactMember):
    """A value whose bytes lie in a file of the run.

    A constructor calls `hold` (bytes made here) or `refer` (a file of the user, copied when it is
    logged). Logging the same object again refers to the file that is there already. Several
    threads may log one object.

    Attributes:
        log_type: `_type` of the value in history.
        folder: where its files lie below the files folder, such as `media/html`.
    """

    log_type: ClassVar[str]
    folder: ClassVar[str]

    def __init_subclass__(cls) -> None:
        if "log_type" in vars(cls) and "artifact_suffix" not in vars(cls):
            cls.artifact_suffix = cls.log_type

    def __init__(self, caption: str | None = None) -> None:
        self._caption = caption
        #: Hash in hexadecimal digits and size in bytes, once the content is known.
        self._sha256 = ""
        self._size = 0
        self._extension = ""
        #: The content, or the file that holds it.
        self._content: bytes | Path = b""
        #: The entry from which it was read back.
        self._origin: ManifestEntry | None = None
        #: The files folder in which the content lies, and its path there.
        self._bound: tuple[Path, str] | None = None

    @property
    def caption(self) -> str | None:
        """Text shown with it."""
        return self._caption

    # --- content -----------------------------------------------------------------------------

    def hold(self, data: bytes, extension: str) -> None:
        """Take bytes as the content.

        Args:
            data: the content.
            extension: of the file's name, with its dot.
        """
        self._content = data
        self._sha256, self._size = hashlib.sha256(data).hexdigest(), len(data)
        self._extension = extension

    def refer(self, path: str | os.PathLike[str], extension: str | None = None) -> None:
        """Take a file of the user as the content; its hash is taken now, its bytes when logged.

        Args:
            path: of the file.
            extension: of the name to give it, with its dot; default: the file's own.

        Raises:
            OSError: the file cannot be read.
        """
        path = Path(path)
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
            self._size = file.tell()
        self._content = path
        self._sha256 = digest.hexdigest()
        self._extension = path.suffix if extension is None else extension

    def read_bytes(self) -> bytes:
        """Return the content.

        Raises:
            OSError: its file cannot be read.
        """
        content = self._content
        return content if isinstance(content, bytes) else content.read_bytes()

    # --- in a run ----------------------------------------------------------------------------

    def to_history(self, place: RunPlace, slot: Slot) -> dict[str, Any]:
        """Put the file into the run, unless it is there, and return what refers to it."""
        if not self.is_bound_to(place):
            self.bind_file(place, slot)
        return self.run_form(place)

    def is_bound_to(self, place: RunPlace) -> bool:
        """Tell whether the run holds the file."""
        return self._bound is not None and self._bound[0] == place.files_dir

    def bind_file(self, place: RunPlace, slot: Slot) -> None:
        """Put the file into the run under a name made of key, step and hash; announce it.

        Raises:
            OSError: it cannot be written.
        """
        name = file_name(slot, self._sha256[:HASH_CHARACTERS], self._extension)
        relative = f"{self.folder}/{name}"
        target = place.files_dir / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        content = self._content
        if isinstance(content, bytes):
            with _replacing(target) as unfinished:
                unfinished.write_bytes(content)
        else:
            _bring(content, target, link=_link_kind(place))
        self._content = target
        self._bound = place.files_dir, relative
        place.publish_file(relative)

    def run_form(self, place: RunPlace) -> dict[str, Any]:
        """Return what stands for it in a row of the run to which it is bound.

        Subclasses add fields of their own.
        """
        form: dict[str, Any] = {
            "_type": self.log_type,
            "sha256": self._sha256,
            "size": self._size,
            "path": "" if self._bound is None else self._bound[1],
        }
        if self._caption is not None:
            form["caption"] = self._caption
        if refers_to_artifacts(place) and (uri := self.artifact_uri()):
            form["artifact_path"] = uri
            if latest := self.latest_artifact_uri():
                form["_latest_artifact_path"] = latest
        return form

    @classmethod
    def batch_to_history(cls, items: Sequence[Any], place: RunPlace, slot: Slot) -> dict[str, Any]:
        """Put the files of a list into the run; return the one object that stands for it."""
        for item in items:
            item.bind_file(place, slot)
        return cls.batch_form(items, [item.run_form(place) for item in items])

    @classmethod
    def batch_form(cls, items: Sequence[Any], forms: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what stands for a list; `forms` are those of the single items."""
        raise NotImplementedError(f"{cls.__name__} has no list form")

    # --- in an artifact ----------------------------------------------------------------------

    def to_artifact(self, artifact: Artifact) -> dict[str, Any]:
        """Add its file to an artifact; return what stands for it in the JSON of a table there.

        Raises:
            OSError: the file cannot be read, or its copy not be written.
            ArtifactFinalizedError: nothing can be added any more.
        """
        return self.artifact_form(self.add_file_to(artifact))

    @classmethod
    def from_artifact(cls, form: dict[str, Any], source: Source) -> Self:
        """Return it from the JSON that stands for it; its file is the downloaded one.

        Raises:
            ValueError: the file cannot be read as one of this class.
            KeyError: the file is not in the artifact.
            CommError: the server does not answer.
        """
        made = cls._of_file(str(source.file(form["path"])), form, source)
        made._come_from(source.artifact.get_entry(form["path"]), form.get("caption"))  # noqa: SLF001
        return made

    def _come_from(self, origin: ManifestEntry, caption: str | None) -> None:
        self._origin, self._caption = origin, caption

    @classmethod
    def _of_file(cls, path: str, form: dict[str, Any], source: Source) -> Self:
        """Return it from its file and the JSON that stands for it."""
        del form, source
        return cast("Any", cls)(path)

    def add_file_to(self, artifact: Artifact) -> str:
        """Add its file to an artifact, named by its content; return its path there.

        One that was read from another artifact becomes a reference into that.
        """
        if self._origin is not None:
            return artifact.add_reference(self._origin, self._origin.path)[0].path
        content = self._content
        path = self._path_in(artifact)
        if isinstance(content, bytes):
            with artifact.new_file(path, "wb") as file:
                file.write(content)
            return path
        if added := artifact.get_added_local_path_name(str(content)):
            return added
        return artifact.add_file(str(content), path).path

    def artifact_form(self, path: str) -> dict[str, Any]:
        """Return what stands for it in a table whose artifact holds its file under `path`."""
        form: dict[str, Any] = {"_type": self.log_type, "path": path, "sha256": self._sha256}
        if self._caption is not None:
            form["caption"] = self._caption
        return form

    def _path_in(self, artifact: Artifact) -> str:
        """Return where its file lies in an artifact: by content, whoever adds it."""
        content = self._content
        if isinstance(content, bytes):
            digest = hex_digest(content, artifact.manifest.algorithm)
            return f"{self.folder}/{digest[:HASH_CHARACTERS]}{self._extension}"
        return f"{self.folder}/{self._sha256[:HASH_CHARACTERS]}/{content.name}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._sha256 == other._sha256

    def __hash__(self) -> int:
        return hash((type(self), self._sha256))


def file_name(slot: Slot, identity: str, extension: str) -> str:
    """Return the name of a file: slashes of the key are folders, which never lead outside.

    Names that are too long for a file system are cut; the hash still tells files apart.
    """
    *folders, last = (_UNSAFE_PARTS.get(part, part) for part in slot.key.split("/"))
    ending = f"_{slot.step}_{identity}{extension}"
    room = max(0, _MAX_PART_BYTES - len(os.fsencode(ending)))
    parts = [*(_cut(part, _MAX_PART_BYTES) for part in folders if part), _cut(last, room) + ending]
    return "/".join(parts).replace("\0", "_")


_UNSAFE_PARTS = {".": "_", "..": "__"}


def _cut(part: str, limit: int) -> str:
    return os.fsencode(part)[:limit].decode(errors="ignore")


def read_text(what: str, file: TextIO) -> str:
    """Return all of an open text file.

    Raises:
        TypeError: it holds bytes; `what` is being made of it.
    """
    if hasattr(file, "seek"):
        file.seek(0)
    text: Any = file.read()
    if not isinstance(text, str):
        raise TypeError(f"{what}: a file of {type(text).__name__}: open it as text")
    return text


def relative_to_folder(path: str, folder: str) -> str:
    """Return a path below the files folder as seen from one of its folders."""
    return str(PurePosixPath(path).relative_to(folder))


def _link_kind(place: RunPlace) -> str:
    """Return how the settings want files of the user linked; empty: copied."""
    settings = place.settings
    if not settings.allow_media_symlink:
        return ""
    return "symbolic" if settings.symlink else "hard"


@contextlib.contextmanager
def _replacing(target: Path) -> Generator[Path]:
    """Give the path of a file to make, which then becomes `target` as a whole, or not at all.

    A link that is there is replaced, not followed.
    """
    unfinished = target.with_name(f".{os.getpid()}-{threading.get_ident()}.part")
    try:
        yield unfinished
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _bring(source: Path, target: Path, *, link: str) -> None:
    """Make a file available at `target`."""
    if target.exists() and target.samefile(source):
        return
    with _replacing(target) as unfinished:
        if not link or not _link(source.resolve(), unfinished, symbolic=link == "symbolic"):
            shutil.copy(source, unfinished)


def _link(source: Path, target: Path, *, symbolic: bool) -> bool:
    """Link a file; return whether that worked."""
    try:
        if symbolic:
            target.symlink_to(source)
        else:
            target.hardlink_to(source)
    except OSError:
        return False
    return True
