"""What this process and machine are: completes the settings, and describes the run's surroundings.

`complete` fills settings that nobody gave (program, git state, ...); `describe` returns what
goes into `wandb-metadata.json` and the configuration's `_wandb.e`. Everything here reads a few
small files: `init` waits for it.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackd import identity
from trackd.run_files.git_state import Repository

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackd.settings import Settings

_NO_PROGRAM = "<python with no main file>"
_SLURM = "SLURM_"
#: Parts of names whose values are nobody's business.
_SECRET = ("JWT", "TOKEN", "SECRET", "PASSWORD", "KEY")
_CPU_HEAD_BYTES = 4096
_NVIDIA = Path("/proc/driver/nvidia/gpus")


def complete(settings: Settings) -> None:
    """Fill the settings that were left open with what this machine and process are."""
    settings.host = settings.host or platform.node()
    settings.x_executable = settings.x_executable or sys.executable
    settings.program = settings.program or settings.notebook_name or _program()
    _complete_paths(settings)
    looks_at_git = not (settings.disable_git or settings.x_disable_machine_info)
    repository = find_repository(settings) if looks_at_git else None
    if repository is not None:
        settings.git_root = settings.git_root or str(repository.root)
        settings.git_commit = settings.git_commit or repository.commit()
        remote_url = settings.git_remote_url or repository.remote_url(settings.git_remote)
        settings.git_remote_url = remote_url


def find_repository(settings: Settings) -> Repository | None:
    """Return the repository of the run: around `git_root`, or around the working directory."""
    return Repository.find(identity.working_folder() / (settings.git_root or ""))


def describe(settings: Settings) -> dict[str, Any]:
    """Return what is worth knowing about this process and machine, without empty values.

    Sizes are texts, as the protocol writes 64-bit integers. Nothing where the settings want no
    metadata, or another process of the run writes them.
    """
    if settings.x_disable_meta or settings.x_disable_machine_info or not settings.x_primary:
        return {}
    git = {"remote": settings.git_remote_url, "commit": settings.git_commit}
    facts: dict[str, Any] = {
        "os": platform.platform(aliased=True),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "docker": settings.docker,
        "args": _arguments(),
        "program": settings.program,
        "codePath": settings.program_relpath,
        "codePathLocal": _relative(settings.program or "", identity.working_folder()),
        "git": {} if settings.disable_git else _without_empty(git),
        "email": settings.email,
        "root": str(identity.working_folder() / settings.root_dir),
        "host": settings.host,
        "username": settings.username,
        "executable": settings.x_executable,
        "colab": settings.colab_url,
        "slurm": _slurm(),
    }
    return _without_empty({**facts, **_machine(settings)})


# --- program ---------------------------------------------------------------------------------


def _program() -> str:
    """Return the script, `-m module`, or a word for neither."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return f"-m {spec.name}"
    return identity.program_path() or _NO_PROGRAM


def _arguments() -> list[str]:
    return [] if "ipykernel" in sys.modules else sys.argv[1:]


def _complete_paths(settings: Settings) -> None:
    """Find the program and its path as seen from the root of the repository."""
    program, here = settings.program or "", identity.working_folder()
    found = here / program
    if not os.path.isfile(found):  # noqa: PTH113 - `Path`'s own raises where it may not look
        return
    repository = None if settings.disable_git else Repository.find(here)
    root = here if repository is None else repository.root
    settings.program_abspath = settings.program_abspath or os.path.normpath(found)
    settings.program_relpath = settings.program_relpath or _relative(program, root)


def _relative(program: str, root: Path) -> str | None:
    """Return the path of a program below a folder; None when it lies outside or is none."""
    path = Path(os.path.normpath(identity.working_folder() / program))
    is_there = os.path.isfile(path)  # noqa: PTH113 - `Path`'s own raises where it may not look
    return str(path.relative_to(root)) if is_there and path.is_relative_to(root) else None


# --- machine ---------------------------------------------------------------------------------


def _machine(settings: Settings) -> dict[str, Any]:
    """Return what a few small files tell of the machine.

    An agent finds out more, and does what settings say in place of that; this is for processes
    that see none.
    """
    logical = os.cpu_count() or 1
    gpus = _gpus()
    return {
        "cpu_count": max(1, logical // _threads_a_core()),
        "cpu_count_logical": logical,
        "cpu": _without_empty({"model": _first_value(_head("/proc/cpuinfo"), "model name")}),
        "memory": _without_empty({"total": _memory_bytes()}),
        "disk": dict(_disks(settings.x_stats_disk_paths or ())),
        "gpu": gpus[0]["name"] if gpus else "",
        "gpu_count": len(gpus),
        "gpu_nvidia": gpus,
    }


def _threads_a_core() -> int:
    """Return how many logical processors share a core, as the first one tells."""
    siblings = _head("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list").strip()
    count = 0
    for part in siblings.split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            count += int(last or first) - int(first) + 1
    return max(1, count)


def _memory_bytes() -> str:
    """Return the memory of the machine, in bytes as text."""
    kibibytes = _first_value(_head("/proc/meminfo"), "MemTotal").partition(" ")[0]
    return str(int(kibibytes) * 1024) if kibibytes.isdigit() else ""


def _disks(paths: Iterable[str]) -> Iterable[tuple[str, dict[str, str]]]:
    for path in paths:
        try:
            space = os.statvfs(path)
        except (OSError, ValueError):  # not there; no path at all (characters that none can have)
            continue
        total, free = space.f_blocks * space.f_frsize, space.f_bfree * space.f_frsize
        yield path, {"total": str(total), "used": str(total - free)}


def _gpus() -> list[dict[str, str]]:
    """Return the NVIDIA GPUs that the kernel driver lists."""
    try:
        folders = sorted(_NVIDIA.iterdir())
    except OSError:
        return []
    texts = [_head(folder / "information") for folder in folders]
    return [
        _without_empty({"name": _first_value(t, "Model"), "uuid": _first_value(t, "GPU UUID")})
        for t in texts
        if _first_value(t, "Model")
    ]


def _slurm() -> dict[str, str]:
    """Return the job as Slurm tells it: `SLURM_JOB_ID` is `job_id`."""
    return {
        name.removeprefix(_SLURM).lower(): value
        for name, value in os.environ.items()
        if name.startswith(_SLURM) and not any(word in name for word in _SECRET)
    }


def _first_value(text: str, name: str) -> str:
    """Return the value of the first line `name: value`."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _head(path: str | Path) -> str:
    """Return the first bytes of a file; large machines take long to tell all processors."""
    try:
        with Path(path).open("rb") as file:
            return file.read(_CPU_HEAD_BYTES).decode(errors="replace")
    except OSError:
        return ""


def _without_empty(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "", {}, [], 0)}
