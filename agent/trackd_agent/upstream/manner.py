"""How the requests of one run go to a server, where a run's own settings say so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd_agent.upstream.config import UpstreamConfig

#: Shorter waits between attempts would only keep both sides busy, in seconds.
_LEAST_WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class Manner:
    """What differs from the agent's own settings; None, empty: nothing does."""

    #: Longest wait for an answer, in seconds.
    timeout_s: float | None = None
    #: Bounds of the wait after a transient failure, in seconds.
    retry_min_s: float | None = None
    retry_max_s: float | None = None
    #: Further headers of requests to the server itself. May hold secrets: never shown.
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    #: Proxies by scheme of the address. May hold secrets: never shown.
    proxies: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    #: Whether the server's certificate is checked.
    verify: bool = True
    #: Key for these requests alone; empty: the one that is kept for the server. Never shown.
    api_key: str = field(default="", repr=False)
    gzip: bool | None = None

    def proxy_for(self, url: str) -> str:
        """Return the proxy for an address; empty: as the environment of the agent says."""
        return self.proxies.get(urlsplit(url).scheme, "")

    def waits(self, config: UpstreamConfig) -> tuple[float, float]:
        """Return the bounds of the wait after a transient failure, in seconds."""
        least, most = config.retry_min_s, config.retry_max_s
        if self.retry_max_s is not None:
            most = max(self.retry_max_s, _LEAST_WAIT_S)
            least = min(least, most)
        if self.retry_min_s is not None:
            least = max(self.retry_min_s, _LEAST_WAIT_S)
        return least, max(least, most)


#: As the agent's own settings say.
OWN_MANNER = Manner()
