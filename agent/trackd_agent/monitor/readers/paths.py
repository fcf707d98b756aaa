"""What file systems say about paths; one of them may hang, where its server is gone.

Paths are asked one after another in a thread. Where that stands still, the path is left to it and
the others are asked in a new one: a rank that names a dead file system takes no figures from the
others. A path that hangs is not asked again before its thread has come back.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: How long paths may keep a tick waiting, until one of them counts as hanging.
PATIENCE_S = 0.5
#: Paths that may hang at a time, with a thread each; when there are so many, no more are asked.
MAX_HANGING = 8
#: Paths that are asked in one tick, of all ranks together.
MAX_PATHS = 256


@dataclass(frozen=True, slots=True)
class PathFacts:
    """The file system of a path: its space, in bytes, as `df` counts it, and its device."""

    used_bytes: int
    available_bytes: int  # to users without privileges
    device: int  # its number, as in stat(2)


@dataclass(slots=True, eq=False)
class _Round:
    """Paths that one thread asks, and what it found so far."""

    paths: Sequence[str]
    found: dict[str, PathFacts | str] = field(default_factory=dict[str, "PathFacts | str"])
    over: threading.Event = field(default_factory=threading.Event)
    is_given_up: bool = False  # the rest is asked by another thread

    def ask(self) -> None:
        for path in self.paths:
            if self.is_given_up:
                break
            self.found[path] = _ask(path)
        self.over.set()


class PathReader:
    """Asks about paths; for one thread at a time."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._hanging: dict[str, _Round] = {}

    def read(self, paths: Iterable[str]) -> dict[str, PathFacts | str]:
        """Return what is known of each path, or a text that says why nothing is.

        Blocks for the patience with each path that begins to hang.
        """
        self._hanging = {p: each for p, each in self._hanging.items() if not each.over.is_set()}
        wanted = list(dict.fromkeys(paths))
        too_many = f"one of more than {MAX_PATHS} paths; name fewer (x_stats_disk_paths)"
        found: dict[str, PathFacts | str] = dict.fromkeys(wanted[MAX_PATHS:], too_many)
        left = [path for path in wanted[:MAX_PATHS] if path not in self._hanging]
        while left and len(self._hanging) < MAX_HANGING:
            found |= self._ask(left)
            left = [path for path in left if path not in found and path not in self._hanging]
        found |= dict.fromkeys(left, f"not asked while {MAX_HANGING} others do not answer")
        hanging = [path for path in wanted if path in self._hanging]
        return found | dict.fromkeys(hanging, "its file system does not answer")

    def _ask(self, paths: Sequence[str]) -> dict[str, PathFacts | str]:
        asking = _Round(paths)
        threading.Thread(target=asking.ask, name="disk-paths", daemon=True).start()
        if not asking.over.wait(self._patience_s):
            asking.is_given_up = True
            found = dict(asking.found)
            at = next((path for path in paths if path not in found), None)
            if at is not None:
                self._hanging[at] = asking
            return found
        return asking.found


def _ask(path: str) -> PathFacts | str:
    try:
        device = os.stat(path).st_dev  # noqa: PTH116 (raises what we want, and is hot)
        usage = psutil.disk_usage(path)
    except OSError as error:
        return error.strerror or str(error)
    except ValueError:
        return "it has characters that no path can have"
    return PathFacts(usage.used, usage.free, device)
