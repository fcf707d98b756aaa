"""HTTP client of the W&B protocol: GraphQL, file_stream, PUT of files, credentials, retry classes.

Owns connections, authentication, the rule what counts as acknowledged, and how long to wait
after which failure. Must not know what a run or a row is. Called by `transfer`, `filestream`,
`artifacts` and `runs`.
"""

from trackd_agent.upstream.asking import ask
from trackd_agent.upstream.client import RunPath, Upstream, expect
from trackd_agent.upstream.config import UpstreamConfig
from trackd_agent.upstream.credentials import Credentials
from trackd_agent.upstream.endpoint import Endpoint, StaticEndpoint
from trackd_agent.upstream.failures import RequestFailed, RetryClass
from trackd_agent.upstream.manner import Manner
from trackd_agent.upstream.patience import Courier, Patience, Wake
from trackd_agent.upstream.pool import UpstreamPool, UpstreamState

__all__ = [
    "Courier",
    "Credentials",
    "Endpoint",
    "Manner",
    "Patience",
    "RequestFailed",
    "RetryClass",
    "RunPath",
    "StaticEndpoint",
    "Upstream",
    "UpstreamConfig",
    "UpstreamPool",
    "UpstreamState",
    "Wake",
    "ask",
    "expect",
]
