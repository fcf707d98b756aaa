"""Who this process is: run ids, labels, project, program."""

from __future__ import annotations

import contextlib
import os
import socket
import string
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ID_ALPHABET = string.ascii_lowercase + string.digits
_ID_CHARACTERS = 8
#: Project of runs that name none and lie in no git repository.
NO_PROJECT = "uncategorized"
#: Rank of a process and number of processes, as launchers tell them, most specific first.
_RANK_VARIABLES = (
    ("RANK", "WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("LOCAL_RANK", "LOCAL_WORLD_SIZE"),
)
_STARTTIME_FIELD = 22


def default_emulation() -> str:
    """Return how the agent is to read what is printed where no setting says it.

    On a terminal programs draw with all that terminals understand; elsewhere escape sequences
    are text, as for the reference.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # replaced by whatever it may be, or closed
            if stream.isatty():
                return "wrap_emu"
    return "wrap"


def generate_id() -> str:
    """Return 8 random characters of a-z and 0-9."""
    # 256 is no multiple of 36: the bias is of no consequence, ids are no secrets.
    return "".join(_ID_ALPHABET[byte % len(_ID_ALPHABET)] for byte in os.urandom(_ID_CHARACTERS))


def generate_producer() -> int:
    """Return a random identity for a record sequence; never 0."""
    return int.from_bytes(os.urandom(8), "little") or 1


def jitter_s(shortest_s: float, longest_s: float) -> float:
    """Return a random duration between two."""
    return shortest_s + (longest_s - shortest_s) * os.urandom(1)[0] / 255


def rank_label(environ: Mapping[str, str]) -> str:
    """Return `rank<N>` for a process that a launcher started among others, else ''."""
    for rank_name, size_name in _RANK_VARIABLES:
        rank = environ.get(rank_name, "")
        if rank.isdigit():
            return "" if environ.get(size_name) == "1" else f"rank{int(rank)}"
    return ""


def shared_label() -> str:
    """Return a label for a process in shared mode that has none."""
    return f"{socket.gethostname()}-{generate_id()}"


def program_path() -> str:
    """Return the script that runs, or '' in an interactive interpreter."""
    main = sys.modules.get("__main__")
    return str(getattr(main, "__file__", None) or "")


def default_project(program: str) -> str:
    """Return the folder name of the git repository around the program, or `uncategorized`.

    Below the repository's root the sub-folder is added, as `repository-sub_folder`.
    """
    here = working_folder()
    start = (here / program).parent if program else here
    for folder in (start, *start.parents):
        if os.path.exists(folder / ".git"):  # noqa: PTH110 - `Path`'s own raises where it may not look
            parts = [folder.name, "_".join(start.relative_to(folder).parts)]
            name = "-".join(part for part in parts if part)
            cleaned = "".join("_" if c in "/\\#?%:" or ord(c) < 32 else c for c in name)
            return cleaned[:128] or NO_PROJECT
    return NO_PROJECT


def working_folder() -> Path:
    """Return the working folder; where it is gone or cannot be told, the temporary one."""
    try:
        return Path.cwd()
    except OSError:
        import tempfile  # only here: it loads a lot

        return Path(tempfile.gettempdir())


def start_ticks(pid: int) -> int:
    """Return the start time of a process in clock ticks since boot, or 0 where unknown."""
    try:
        content = Path(f"/proc/{pid}/stat").read_text()
        # The second field is the name in parentheses and may itself contain blanks.
        return int(content.rpartition(")")[2].split()[_STARTTIME_FIELD - 3])
    except (OSError, ValueError, IndexError):
        return 0


def python_version() -> str:
    """Return the interpreter's version, such as `3.11.7`."""
    return ".".join(map(str, sys.version_info[:3]))
