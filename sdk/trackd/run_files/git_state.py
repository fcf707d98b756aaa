"""The git repository around a program: commit and remote read from its files, patches from git.

Reading files takes microseconds and runs nothing, so `init` can do it; `git` itself is only
started by threads that nobody waits for.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

#: Lead git away from the repository around the working directory.
_MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
_GIT_TIMEOUT_S = 60.0
_MAX_LINKS = 5


@dataclass(frozen=True, slots=True)
class Repository:
    """A git working tree."""

    #: Folder of the working tree.
    root: Path
    #: Where HEAD lies; differs from `common` in linked working trees.
    folder: Path
    #: Where branches and settings lie.
    common: Path

    @classmethod
    def find(cls, start: Path) -> Repository | None:
        """Return the repository that a folder lies in."""
        for root in (start, *start.parents):
            marker = root / ".git"
            folder = marker
            if os.path.isfile(marker):  # noqa: PTH113 - `Path`'s own raises where it may not look
                kind, _, path = _read(marker).partition(":")
                if kind != "gitdir":
                    continue
                folder = root / path.strip()
            if os.path.isfile(folder / "HEAD"):  # noqa: PTH113
                common = _read(folder / "commondir")
                return cls(root, folder, folder / common if common else folder)
        return None

    def commit(self) -> str | None:
        """Return the hash of the commit that is checked out; None before the first one."""
        value = _read(self.folder / "HEAD")
        for _ in range(_MAX_LINKS):
            if not value.startswith("ref:"):
                return value or None
            name = value[4:].strip()
            value = _read(self.folder / name) or _read(self.common / name) or self._packed(name)
        return None

    def _packed(self, name: str) -> str:
        lines = _read(self.common / "packed-refs").splitlines()
        return next((line.split()[0] for line in lines if line.endswith(f" {name}")), "")

    def remote_url(self, remote: str) -> str | None:
        """Return the address of a remote, without name and password."""
        url, section = "", ""
        for line in map(str.strip, _read(self.common / "config").splitlines()):
            if line.startswith("["):
                section = line
            elif section == f'[remote "{remote}"]' and line.partition("=")[0].strip() == "url":
                url = line.partition("=")[2].strip().strip('"')
        return without_credentials(url) or None

    # --- by git itself: slow, not for the thread that trains ---------------------------------

    def patch_since(self, commit: str) -> bytes:
        """Return what differs from a commit, as a patch; tracked files only.

        Raises:
            OSError: git cannot be run.
            subprocess.SubprocessError: it fails or takes too long.
        """
        return self._git("diff", "--submodule=diff", commit)

    def published_commit(self, *, any_branch: bool) -> str | None:
        """Return the newest commit that the remote has too, as far as this machine knows.

        Args:
            any_branch: without an upstream of the current branch, look at those of the others.
        """
        if not self._ask("symbolic-ref", "HEAD"):
            return None
        if upstream := self._ask("rev-parse", "--abbrev-ref", "@{upstream}"):
            branches = {upstream}
        elif any_branch:
            listed = self._ask("for-each-ref", "--format=%(upstream:short)", "refs/heads/")
            branches = set(listed.split())
        else:
            return None
        shared = [base for branch in branches if (base := self._ask("merge-base", "HEAD", branch))]
        newest = self._ask("rev-list", "--no-walk", *shared) if shared else ""
        return newest.partition("\n")[0] or None

    def _ask(self, *arguments: str) -> str:
        """Return what git answers; nothing where it has no answer."""
        try:
            return self._git(*arguments).decode(errors="replace").strip()
        except (OSError, subprocess.SubprocessError):
            return ""

    def _git(self, *arguments: str) -> bytes:
        kept = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
        done = subprocess.run(
            [os.environ.get("GIT_PYTHON_GIT_EXECUTABLE") or "git", *arguments],
            cwd=self.root,
            env={**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_TIMEOUT_S,
            check=True,
        )
        return done.stdout


def without_credentials(url: str) -> str:
    """Return an address without user name and password; what is no URL stays as it is."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host or "@" not in parts.netloc:
        return url
    return parts._replace(netloc=f"{host}:{port}" if port else host).geturl()


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
