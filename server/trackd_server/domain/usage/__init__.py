"""Usage: who stores how much, what a deletion would free, and whether the books are right.

Owns no table: it reads what the other rooms of `domain` keep. Called by `api` only.
"""

from trackd_server.domain.usage.accounts import Accounts, Breakdown, Part, ServerUsage
from trackd_server.domain.usage.limit import Limit, LimitState
from trackd_server.domain.usage.rehearsal import Forecast, forecast

__all__ = [
    "Accounts",
    "Breakdown",
    "Forecast",
    "Limit",
    "LimitState",
    "Part",
    "ServerUsage",
    "forecast",
]
