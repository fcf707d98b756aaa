"""The folder that a download writes below, and nowhere else.

Every name is opened relative to the folder that holds it and never through a link, so that
nothing that is put into the folder meanwhile leads elsewhere. All methods block.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from typing import TYPE_CHECKING

from trackd_agent.artifacts.contents import close_quietly, times_each_change
from trackd_agent.artifacts.downloads import partial
from trackd_agent.core.errors import InvalidRequest

if TYPE_CHECKING:
    from types import TracebackType

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)


class Unwritable(Exception):
    """One file cannot be written, for a reason that lies in the folder.

    Args:
        code: stable upper-case name.
        message: for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Root:
    """The folder, open.

    Args:
        path: absolute path; a link is followed, as whoever named it meant.
        device: of the folder as the caller sees it.
        inode: likewise; 0: not compared.

    Raises:
        InvalidRequest: there is no such folder here, or it is another one than the caller sees.
    """

    def __init__(self, path: str, device: int, inode: int) -> None:
        if not path.startswith("/") or "\0" in path:
            raise InvalidRequest(
                "INVALID_ROOT",
                f"root={path[:200]!r} must be an absolute path",
                details={"field": "root", "value": path[:200]},
            )
        try:
            self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _not_visible(path, error.strerror or "error") from error
        facts = os.fstat(self.descriptor)
        if inode and (facts.st_dev, facts.st_ino) != (device, inode):
            self.close()
            raise _not_visible(path, "another folder has this name there")
        #: A change of a file here never leaves its times as they were when somebody looked.
        self.times_each_change = _times_each_change(self.descriptor)

    def close(self) -> None:
        """Let go of the folder."""
        close_quietly(self.descriptor)


def _times_each_change(folder: int) -> bool:
    try:
        descriptor = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return False
    try:
        return times_each_change(descriptor)
    except OSError:
        return False
    finally:
        close_quietly(descriptor)


def _not_visible(path: str, why: str) -> InvalidRequest:
    return InvalidRequest(
        "ROOT_NOT_VISIBLE",
        f"root={path[:200]!r} is not the same folder for the agent ({why}): download to a folder "
        "that both see, or start an agent where the script runs (unset TRACKD_SERVICE)",
        details={"field": "root", "value": path[:200]},
    )


class Walker:
    """Opens folders below the root one after another; holds those on the way to the last one.

    Each thread has its own. Paths in order cost one opened folder per new folder.
    """

    def __init__(self, root: Root) -> None:
        self._root = root
        self._names: list[str] = []
        self._descriptors: list[int] = []

    def __enter__(self) -> Walker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave(0)

    def folder_of(self, path: str, *, create: bool) -> tuple[int, str] | None:
        """Return the open folder that holds a path, and the name in it; None: no such folder.

        Raises:
            Unwritable: a part of the path is no folder, or a link.
        """
        *folders, name = path.split("/")
        same = 0
        for known, wanted in zip(self._names, folders, strict=False):
            if known != wanted:
                break
            same += 1
        self._leave(same)
        for index in range(same, len(folders)):
            above = self._descriptors[-1] if self._descriptors else self._root.descriptor
            opened = _enter(above, folders[index], "/".join(folders[: index + 1]), create=create)
            if opened is None:
                return None
            self._names.append(folders[index])
            self._descriptors.append(opened)
        return (self._descriptors[-1] if self._descriptors else self._root.descriptor), name

    def _leave(self, depth: int) -> None:
        while len(self._names) > depth:
            self._names.pop()
            close_quietly(self._descriptors.pop())


def _enter(above: int, name: str, shown: str, *, create: bool) -> int | None:
    try:
        return os.open(name, _FOLDER, dir_fd=above)
    except FileNotFoundError:
        if not create:
            return None
    except OSError as error:
        raise _blocked(above, name, shown, error) from error
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, dir_fd=above)
    try:
        return os.open(name, _FOLDER, dir_fd=above)
    except OSError as error:
        raise _blocked(above, name, shown, error) from error


def _blocked(above: int, name: str, shown: str, error: OSError) -> Unwritable:
    if error.errno in (errno.ENOTDIR, errno.ELOOP):
        mode = os.stat(name, dir_fd=above, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            return Unwritable(
                "LINK_IN_ROOT",
                f"{shown!r} is a symbolic link: nothing is written through links below the "
                "download folder; remove it, or download elsewhere",
            )
        return Unwritable(
            "PATH_CONFLICT", f"{shown!r} is a file, and the artifact has files below it"
        )
    return unwritable(shown, error)


def unwritable(path: str, error: OSError) -> Unwritable:
    """Return why a file cannot be written."""
    return Unwritable("NOT_WRITABLE", f"{path!r}: {error.strerror or error}")


def open_existing(folder: int, name: str) -> int | None:
    """Return a descriptor of a regular file in a folder; None: there is none (a link is none)."""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=folder)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        close_quietly(descriptor)
        return None
    return descriptor


class NewFile:
    """A file that gets its name when it is whole; before that it is gone with its descriptor.

    Where the file system has no files without a name it has one that begins with
    `.trackd-download-`.

    Args:
        walker: of the thread that opens it.
        path: where it will be.
        partial_name: its name while it is not whole, under which another agent finds it after a
            death of this one; empty: it is gone then.

    Raises:
        Unwritable: the folders on the way cannot be made or entered.
        OSError: the file cannot be made.
    """

    def __init__(self, walker: Walker, path: str, partial_name: str = "") -> None:
        found = walker.folder_of(path, create=True)
        assert found is not None
        folder, self._name = found
        self._path = path
        self._temporary = ""
        # Its own descriptor: the walker goes on to other folders meanwhile.
        self._folder = os.dup(folder)
        #: Whether it may hold what an earlier agent wrote, and outlives this one.
        self.is_partial = False
        try:
            descriptor = self._open_partial(partial_name)
            self.descriptor = self._open() if descriptor is None else descriptor
        except BaseException:
            close_quietly(self._folder)
            raise

    def _open_partial(self, name: str) -> int | None:
        if not name:
            return None
        partial.remove_abandoned(self._folder)
        descriptor = partial.open_in(self._folder, name)
        if descriptor is not None:
            self._temporary, self.is_partial = name, True
        return descriptor

    def _open(self) -> int:
        try:
            return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666, dir_fd=self._folder)
        except OSError as error:
            if error.errno not in _NO_NAMELESS:
                raise
        self._temporary = partial.PREFIX + secrets.token_hex(8)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self._temporary, flags, 0o666, dir_fd=self._folder)

    def publish(self) -> None:
        """Give the file its name, in place of a file or link that has it.

        Raises:
            Unwritable: a folder has the name, or somebody took the file away.
        """
        try:
            if self._temporary or not self._link(self._name):
                if not self._temporary:
                    self._temporary = partial.PREFIX + secrets.token_hex(8)
                    self._link(self._temporary)
                self._require_own(self._temporary)
                os.replace(
                    self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder
                )
                self._temporary = ""
        except (IsADirectoryError, NotADirectoryError) as error:
            raise Unwritable(
                "PATH_CONFLICT", f"{self._path!r} is a folder, and a file in the artifact"
            ) from error

    def _require_own(self, name: str) -> None:
        """Check that nobody put another file in the place of the one that was verified."""
        named = os.stat(name, dir_fd=self._folder, follow_symlinks=False)
        if not os.path.samestat(named, os.fstat(self.descriptor)):
            raise Unwritable(
                "NOT_WRITABLE",
                f"{self._path!r}: somebody replaced {name!r} while it was written; download again",
            )

    def _link(self, name: str) -> bool:
        try:
            os.link(
                f"/proc/self/fd/{self.descriptor}",
                name,
                dst_dir_fd=self._folder,
                follow_symlinks=True,
            )
        except FileExistsError:
            return False
        return True

    def close(self) -> None:
        """Let go of the file; without a name it is gone."""
        if self._temporary:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._folder)
        close_quietly(self.descriptor)
        close_quietly(self._folder)
