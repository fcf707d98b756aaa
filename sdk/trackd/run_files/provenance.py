"""What a run was made from, as files in the run: its script, patches, and installed packages.

Written by a thread of its own: git may take seconds in a large repository, and training does
not wait for it. The end of the run does, for a while.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from trackd.errors import Error
from trackd.logs import LOGGER
from trackd.run_files import environment
from trackd_proto.records import ConfigUpdate, FileSaved, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trackd.runs.run import Run
    from trackd.settings import Settings

REQUIREMENTS_FILE = "requirements.txt"
PATCH_FILE = "diff.patch"
CODE_FOLDER = "code"
#: How long the end of a run waits for patches of a large repository.
_LONGEST_WAIT_S = 10.0
_METADATA = {".dist-info": "METADATA", ".egg-info": "PKG-INFO"}


def keep(run: Run, warn: Callable[[str], None]) -> None:
    """Put into a run what it is made from: packages, and code where the settings want it.

    Args:
        run: that begins.
        warn: tells the user something.
    """
    settings = run.settings

    def publish(path: str) -> None:
        run.backend.recorder.record(Kind.FILE, FileSaved(path, "now"))

    provenance = Provenance(Path(run.dir), settings, publish)
    provenance.start()
    run.before_finish(provenance.wait)
    if path := provenance.code_path:
        record = ConfigUpdate(set=[(["_wandb", "code_path"], path)])
        run.backend.recorder.record(Kind.CONFIG, record)
    if settings.save_code and settings.code_dir and not settings.disable_code:
        try:
            run.log_code(settings.code_dir)
        except (OSError, ValueError, Error) as error:
            warn(f"code_dir={settings.code_dir!r}: the code is not kept: {error}")


class Provenance:
    """Writes the files and announces them.

    Args:
        files: the run's files folder.
        settings: of the run, completed.
        publish: announces a file by its path in the files folder.
    """

    def __init__(self, files: Path, settings: Settings, publish: Callable[[str], None]) -> None:
        self._files = files
        self._settings = settings
        self._publish = publish
        self._thread = threading.Thread(target=self._run, name="trackd-provenance", daemon=True)

    def start(self) -> None:
        """Begin; return at once."""
        if self._settings.x_primary:
            self._thread.start()

    def wait(self) -> None:
        """Wait until the files are there, or too long."""
        if self._thread.is_alive():
            self._thread.join(_LONGEST_WAIT_S)

    def _run(self) -> None:
        for write in (self._save_code, self._save_requirements, self._save_patches):
            try:
                write()
            except Exception as error:  # noqa: BLE001 - of no consequence for the training
                LOGGER.warning("%s: %s", write.__name__, error)

    @property
    def _keeps_code(self) -> bool:
        settings = self._settings
        wanted = settings.x_primary and settings.save_code and not settings.disable_code
        return bool(wanted) and not settings.x_disable_machine_info

    @property
    def code_path(self) -> str:
        """Where the script lies in the files folder; empty where it is not kept."""
        settings = self._settings
        if not (self._keeps_code and settings.program_abspath and settings.program_relpath):
            return ""
        return f"{CODE_FOLDER}/{settings.program_relpath}"

    def _save_code(self) -> None:
        target = self._files / self.code_path
        if target.exists():  # also where no code is kept
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(Path(self._settings.program_abspath or "").read_bytes())
        self._publish(self.code_path)

    def _save_patches(self) -> None:
        settings = self._settings
        if not self._keeps_code or settings.disable_git:
            return
        repository = environment.find_repository(settings)
        if repository is None:
            return
        self._save(PATCH_FILE, repository.patch_since("HEAD"))
        published = repository.published_commit(any_branch=not settings.disable_git_fork_point)
        if published is not None:
            self._save(f"diff_{published}.patch", repository.patch_since(published))

    def _save_requirements(self) -> None:
        if self._settings.x_save_requirements:
            lines = "".join(f"{line}\n" for line in installed_packages())
            self._save(REQUIREMENTS_FILE, lines.encode())

    def _save(self, name: str, content: bytes) -> None:
        if content:
            (self._files / name).write_bytes(content)
            self._publish(name)


def installed_packages() -> list[str]:
    """Return `name==version` of each installed package, sorted.

    Reads the first lines of each package's metadata: a tenth of what `importlib.metadata` takes.
    """
    found: dict[str, str] = {}
    for folder in dict.fromkeys(sys.path):
        for name, version in _packages_in(folder or "."):
            found.setdefault(name.lower().replace("_", "-"), f"{name}=={version}")
    return [found[name] for name in sorted(found)]


def _packages_in(folder: str) -> Iterator[tuple[str, str]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:  # a zip file, or a folder that is not there
        return
    for entry in entries:
        file_name = _METADATA.get(Path(entry.name).suffix)
        if file_name is None:
            continue
        path = Path(entry.path)
        named = _name_and_version(path / file_name if entry.is_dir() else path)
        if named is not None:
            yield named


def _name_and_version(path: Path) -> tuple[str, str] | None:
    """Return what the head of a package's metadata says."""
    name = version = ""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key == "Name":
                    name = value.strip()
                elif key == "Version":
                    version = value.strip()
                if not line.strip() or (name and version):
                    break
    except OSError:
        return None
    return (name, version) if name and version else None
