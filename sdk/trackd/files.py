"""`run.save()`: makes files part of the run."""

from __future__ import annotations

import glob as globbing
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from trackd_proto.records import FileSaved

if TYPE_CHECKING:
    from collections.abc import Callable

POLICIES = ("live", "now", "end")
_CLOUD = ("gs://", "s3://")


@dataclass(slots=True)
class FileSaver:
    """Links files into the run's folder and announces them.

    Args:
        files: the run's files folder.
        publish: records one file.
        info: shows a line to the user.
        warn: shows a warning.
        use_symlinks: link symbolically; else hard links or copies.
    """

    files: Path
    publish: Callable[[FileSaved], None]
    info: Callable[[str], None]
    warn: Callable[[str], None]
    use_symlinks: bool = True
    _warned_base: bool = field(default=False, init=False)

    def save(
        self, pattern: str | os.PathLike[str] | bytes, base: str | None, policy: str, *, glob: bool
    ) -> list[str]:
        """Save what matches; see `Run.save`."""
        text = pattern.decode() if isinstance(pattern, bytes) else os.fspath(pattern)
        if text.startswith(_CLOUD):
            self.info(f"{text}: files in cloud storage are not copied; use an artifact reference")
            return []
        if policy not in POLICIES:
            raise ValueError(f"save: policy {policy!r} does not exist: use one of {POLICIES}")
        base_path = self._base(text, base)
        relative = self._relative(Path(text), base_path)
        if relative.parts[0] == "*":
            raise ValueError(f"save: {text!r}: the first folder below the base may not be '*'")
        full = base_path / relative
        if glob:
            found = [Path(match) for match in globbing.glob(str(full))]  # noqa: PTH207 - no `**`
            known = self._already_saved(relative)
        else:
            found, known = ([full] if full.exists() else []), set[Path]()
        if not found and not known:
            literal = "; use glob=False for a literal name" if glob and full.exists() else ""
            self.warn(f"save: nothing matches {text!r}{literal}")
        names = {match.relative_to(base_path) for match in found}
        outcomes = {name: self._bring_in(base_path / name, name) for name in names}
        copied = {name for name, outcome in outcomes.items() if outcome == "copied"}
        if linked := list(outcomes.values()).count("linked"):
            kind = "Symlinked" if self.use_symlinks else "Linked"
            self.info(f"{kind} {_files(linked)} into the run folder")
        if copied:
            self.warn(f"Copied {_files(len(copied))} into the run folder")
        for name in sorted(names | known):
            late = "now" if name in copied and policy == "live" else policy
            self.publish(FileSaved(path=name.as_posix(), policy=late))
        return sorted(str((self.files / name).absolute()) for name in names | known)

    def _base(self, text: str, base: str | None) -> Path:
        if base is not None:
            return Path(os.fspath(base)).absolute()
        path = Path(text)
        if not path.is_absolute():
            return Path.cwd()
        if not self._warned_base:
            self._warned_base = True
            self.warn("save: an absolute path without base_path keeps one folder level of it")
        return path.parent.parent

    @staticmethod
    def _relative(path: Path, base: Path) -> Path:
        full = Path(os.path.normpath(path if path.is_absolute() else Path.cwd() / path))
        try:
            relative = full.relative_to(os.path.normpath(base))
        except ValueError:
            raise ValueError(f"save: {str(path)!r} is not below base_path {str(base)!r}") from None
        if not relative.parts:
            raise ValueError(f"save: {str(path)!r} is base_path itself: name what is in it")
        return relative

    def _already_saved(self, relative: Path) -> set[Path]:
        matches = globbing.glob(str(self.files / relative))  # noqa: PTH207 - no `**`
        return {Path(match).relative_to(self.files) for match in matches}

    def _bring_in(self, source: Path, name: Path) -> str:
        """Make a file available below the files folder; tell how."""
        target = self.files / name
        if target.exists() and target.resolve() == source.resolve():
            return "there"
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink() or target.is_file():
            target.unlink()
        try:
            if self.use_symlinks:
                target.symlink_to(source.absolute(), target_is_directory=source.is_dir())
            else:
                target.hardlink_to(source.resolve())
        except OSError:
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copy2(source, target)
            return "copied"
        return "linked"


def _files(count: int) -> str:
    return f"{count} file{'s' if count != 1 else ''}"
