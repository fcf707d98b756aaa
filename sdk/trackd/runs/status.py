"""`run.status()`: how much of a run the server has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    #: Times (UTC) and values by key.
    SystemMetrics = dict[str, list[tuple[datetime, float]]]


@dataclass(frozen=True, slots=True)
class RunStatus:
    """Progress of a run's upload; zeros for runs that are not uploaded."""

    #: Records of this process that are to be uploaded.
    sync_items_total: int = 0
    #: Those of them that the server does not have yet.
    sync_items_pending: int = 0
    #: When the server last took something; None when it did not yet.
    sync_time: datetime | None = None
