"""Our own source files, for the tests that look at them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Folders that hold one import package each.
OURS = ["sdk", "agent", "server", "proto"]
GENERATED = ("_pb2.py", "_pb2_grpc.py")


def tracked_files() -> list[Path]:
    """Return all files that belong to the repository; outside of one, all that are not hidden."""
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        parts = [*OURS, "tests", "systemd", ".ci"]
        paths = [path for part in parts for path in (ROOT / part).rglob("*")]
        paths += [path for path in ROOT.iterdir() if not path.name.startswith(".")]
    return sorted(path for path in paths if path.is_file() and "__pycache__" not in path.parts)


def python_files(folders: list[str]) -> list[Path]:
    """Return the Python files that people wrote below these folders."""
    return [
        path
        for path in tracked_files()
        if path.suffix == ".py"
        and path.relative_to(ROOT).parts[0] in folders
        and not path.name.endswith(GENERATED)
    ]


def modules() -> dict[str, Path]:
    """Return our modules by import name, packages included."""
    found: dict[str, Path] = {}
    for path in python_files(OURS):
        parts = path.relative_to(ROOT).with_suffix("").parts[1:]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found
