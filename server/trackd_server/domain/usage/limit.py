"""The limit of what the server may store, measured as physical bytes."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trackd_server.domain.errors import TooLarge
from trackd_server.domain.usage.accounts import Accounts

if TYPE_CHECKING:
    from trackd_server.domain.storage import Storage

log = logging.getLogger(__name__)

#: Part of the limit from which on the server warns.
WARN_AT = 0.8
#: How old the figure may be that an upload is compared with.
FIGURE_AGE_S = 1.0
#: Owners that a refusal names.
NAMED_OWNERS = 3


class StorageLimitReached(TooLarge):
    """The server stores as much as it may."""

    code = "STORAGE_LIMIT_REACHED"


@dataclass(frozen=True)
class LimitState:
    """How far the limit is used."""

    bytes: int
    used: int
    warning: bool


class Limit:
    """The limit of one server; None: there is none but the disk. For any thread."""

    _PARTS: ClassVar[str] = (
        "SELECT (SELECT coalesce(sum(bytes), 0) FROM packs)"
        " + (SELECT coalesce(sum(bytes), 0) FROM files)"
    )

    def __init__(self, storage: Storage, max_bytes: int | None) -> None:
        self._storage = storage
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._used = 0
        self._used_at = 0.0
        self._warned = False

    @property
    def is_set(self) -> bool:
        """Tell whether there is a limit but the disk."""
        return self._max_bytes is not None

    def state(self) -> LimitState | None:
        """Return how far the limit is used, now."""
        if self._max_bytes is None:
            return None
        used = self._measured()
        return LimitState(self._max_bytes, used, used >= WARN_AT * self._max_bytes)

    def check(self, more_bytes: int = 0) -> None:
        """Let an upload of so many bytes begin, if there is room for it. Blocks.

        Raises:
            StorageLimitReached: There is not; the message names the largest owners.
        """
        if self._max_bytes is None:
            return
        with self._lock:
            if time.monotonic() - self._used_at > FIGURE_AGE_S:
                self._used, self._used_at = self._measured(), time.monotonic()
            used = self._used + more_bytes
            fits = used <= self._max_bytes and self._used < self._max_bytes
            if fits:
                self._used = used
        if not fits:
            raise StorageLimitReached(self._refusal(used - more_bytes))
        if used >= WARN_AT * self._max_bytes and not self._warned:
            self._warned = True
            facts = {"used": used, "limit": self._max_bytes}
            log.warning("storage_nearly_full", extra={"facts": facts})

    def _measured(self) -> int:
        with self._storage.database.read() as connection:
            stored = connection.exec_driver_sql(self._PARTS).one()[0]
        database = self._storage.database
        return int(stored) + database.size_bytes() - database.reserve.size_bytes()

    def _refusal(self, used: int) -> str:
        return (
            f"The server may store {self._max_bytes} bytes (trackd server --max-storage) and has "
            f"{used}: delete something first, or raise the limit. Largest: "
            + "; ".join(self._largest())
        )

    def _largest(self) -> list[str]:
        """Return the names of those whose deletion frees most."""
        with self._storage.database.read() as connection:
            accounts = Accounts(connection)
            projects = accounts.server(self._storage).projects
            found: list[tuple[int, str]] = []
            for project in projects[:NAMED_OWNERS]:
                inner = accounts.project(project.facts["entity"], project.facts["project"])
                for kind, parts in (("run", inner.runs), ("artifact", inner.collections)):
                    found += [
                        (part.exclusive, f"{kind} {project.name}/{part.name}")
                        for part in parts[:NAMED_OWNERS]
                    ]
        found.sort(reverse=True)
        return [f"{name} ({size} bytes)" for size, name in found[:NAMED_OWNERS]]
