"""What the keys of a folder of event files begin with.

A folder that names its root has the path from there. The others share one root, which is what
the first two have in common: so one has to wait a while for the second. The only one is its own
root, and so is a folder outside of the root.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackd_proto.records import TensorboardLogs

#: How long the first folder waits for a second one, as in the reference.
ROOT_WAIT_S = 10.0


class Namespaces:
    """Names folders.

    Args:
        now_s: monotonic seconds.
    """

    def __init__(self, now_s: float) -> None:
        self._began_s = now_s
        self._root: Path | None = None

    def recall(self, logs: TensorboardLogs, namespace: str) -> None:
        """Take over what a folder was named before the agent was started anew."""
        folder = Path(logs.folder)
        depth = len(Path(namespace).parts) if namespace else 0
        if not logs.root and len(folder.parts) > depth:
            self._root = Path(*folder.parts[: len(folder.parts) - depth])

    def settle(self, folders: Iterable[TensorboardLogs], now_s: float, *, final: bool) -> None:
        """Find the common root, if it is not known and can be known."""
        free = list(dict.fromkeys(logs.folder for logs in folders if not logs.root))[:2]
        if self._root is not None or not free:
            return
        if len(free) > 1:
            self._root = Path(os.path.commonpath(free))
        elif final or now_s - self._began_s >= ROOT_WAIT_S:
            self._root = Path(free[0])

    def name(self, logs: TensorboardLogs) -> str | None:
        """Return what the keys of a folder begin with; None: not known yet."""
        root = Path(logs.root) if logs.root else self._root
        if root is None:
            return None
        folder = Path(logs.folder)
        if folder == root or not folder.is_relative_to(root):
            return ""
        return folder.relative_to(root).as_posix()
