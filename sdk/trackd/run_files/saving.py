"""`run.save()`: makes files part of the run."""

from __future__ import annotations

import contextlib
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
        """Save what matches, as far as the disk allows; see `Run.save`."""
        text = pattern.decode() if isinstance(pattern, bytes) else os.fspath(pattern)
        if text.startswith(_CLOUD):
            self.info(f"{text}: files in cloud storage are not copied; use an artifact reference")
            return []
        if policy not in POLICIES:
            raise ValueError(f"save: policy {policy!r} does not exist: use one of {POLICIES}")
        try:
            base_path = self._base(text, base)
            relative = _relative(text, base_path)
        except OSError as error:  # the working folder is gone
            self.warn(f"save: {text!r} is not saved: {error}")
            return []
        if glob:
            found, known = self._expand(base_path, relative)
        else:
            found, known = self._literal(base_path, relative)
        if not found and not known:
            self._say_nothing_matches(text, base_path / relative, glob=glob)
        saved = self._save_all(base_path, found, known, policy)
        return sorted(str((self.files / name).absolute()) for name in saved)

    # --- what to save ------------------------------------------------------------------------

    def _base(self, text: str, base: str | None) -> Path:
        if base is not None:
            return Path(os.path.normpath(Path(base).absolute()))
        path = Path(text)
        if not path.is_absolute():
            return Path.cwd()
        if not self._warned_base:
            self._warned_base = True
            self.warn("save: an absolute path without base_path keeps one folder level of it")
        return Path(os.path.normpath(path)).parent.parent

    def _expand(self, base: Path, relative: Path) -> tuple[set[Path], set[Path]]:
        """Return what matches below the base, and what matches in the run already."""
        matches = globbing.glob(str(relative), root_dir=base)  # noqa: PTH207 - `**` is plain here
        known = self.files.glob(str(relative))
        return set(map(Path, matches)), {path.relative_to(self.files) for path in known}

    def _literal(self, base: Path, relative: Path) -> tuple[set[Path], set[Path]]:
        def there(folder: Path) -> set[Path]:
            return {relative} if os.path.lexists(folder / relative) else set()

        return there(base), there(self.files)

    def _say_nothing_matches(self, text: str, path: Path, *, glob: bool) -> None:
        if glob and os.path.lexists(path):
            self.warn(f"save: no file found at glob {text!r}, but one of that name: use glob=False")
        elif not glob and globbing.has_magic(text):
            self.warn(f"save: there is no {text!r}, which looks like a pattern: use glob=True")
        else:
            self.warn(f"save: nothing matches {text!r}")

    # --- bringing it in ----------------------------------------------------------------------

    def _save_all(self, base: Path, found: set[Path], known: set[Path], policy: str) -> set[Path]:
        outcomes = {name: self._try_to_bring_in(base / name, name) for name in sorted(found)}
        found = {name for name in found if outcomes[name]}
        counts = {how: list(outcomes.values()).count(how) for how in ("linked", "copied")}
        if count := counts["linked"]:
            kind = "Symlinked" if self.use_symlinks else "Linked"
            self.warn(f"{kind} {_files(count)} into the run folder; save() again adds new ones")
        if count := counts["copied"]:
            live = "; later changes are not seen" if policy == "live" else ""
            self.warn(f"Copied {_files(count)} into the run folder{live}")
        for name in sorted(found | known):
            is_frozen = outcomes.get(name) == "copied" and policy == "live"
            self.publish(FileSaved(path=name.as_posix(), policy="now" if is_frozen else policy))
        return found | known

    def _try_to_bring_in(self, source: Path, name: Path) -> str:
        """Make a file available below the files folder; tell how, nothing where that fails."""
        try:
            return self._bring_in(source, name)
        except OSError as error:  # a full disk, or a file that is gone: training goes on
            self.warn(f"save: {str(source)!r} is not saved: {error}")
            return ""

    def _bring_in(self, source: Path, name: Path) -> str:
        """Make a file available below the files folder; tell how."""
        target = self.files / name
        with contextlib.suppress(OSError):
            if target.samefile(source):
                return "there"
        if target.is_dir() and source.is_dir() and not target.is_symlink():
            # Files of this folder were saved before. The worst outcome counts.
            outcomes = [self._bring_in(path, name / path.name) for path in source.iterdir()]
            return min(outcomes, default="there")
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink() or target.is_file():
            target.unlink()
        try:
            if self.use_symlinks:
                target.symlink_to(source, target_is_directory=source.is_dir())
            else:
                target.hardlink_to(source.resolve())
        except OSError:
            _copy(source, target)
            return "copied"
        return "linked"


def _relative(text: str, base: Path) -> Path:
    """Return a path or pattern as seen from the base.

    Raises:
        ValueError: it lies outside, is the base itself, or begins with any folder.
    """
    full = Path(os.path.normpath(Path(text).absolute()))
    try:
        relative = full.relative_to(base)
    except ValueError:
        raise ValueError(f"save: {text!r} is not below base_path {str(base)!r}") from None
    if not relative.parts:
        raise ValueError(f"save: {text!r} is base_path itself: name what is in it")
    if relative.parts[0] == "*":
        raise ValueError(f"save: {text!r}: the first folder below base_path may not be '*'")
    return relative


def _copy(source: Path, target: Path) -> None:
    """Copy a file or folder; a file appears whole or not at all."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
        return
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copy2(source, partial)
    partial.replace(target)


def _files(count: int) -> str:
    return f"{count} file{'s' if count != 1 else ''}"
