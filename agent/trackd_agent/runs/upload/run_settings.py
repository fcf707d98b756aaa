"""What the settings in a run's first record say about its way to a server.

They come from a rank as they were given there; what is no value of its kind counts as not given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from trackd_agent.upstream import Manner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackd_agent.filestream import FileStreamConfig
    from trackd_agent.transfer import TransferConfig

Settings = dict[str, Any]
_LEAST_REQUEST_BYTES = 1024
_LEAST_HEARTBEAT_S = 1.0


@dataclass(frozen=True, slots=True)
class Manners:
    """How the three kinds of requests of a run go to its server."""

    rows: Manner
    files: Manner
    calls: Manner


def manners_of(settings: Settings) -> Manners:
    """Return how the requests of a run go to its server."""
    gzip = settings.get("x_file_stream_no_gzip")
    proxies = _texts(settings.get("x_proxies"))
    proxies |= {s: p for s in ("http", "https") if (p := _text(settings.get(f"{s}_proxy")))}
    headers = _texts(settings.get("x_extra_http_headers"))
    verify = settings.get("insecure_disable_ssl") is not True

    def manner(prefix: str, *, compress: bool | None = None) -> Manner:
        return Manner(
            timeout_s=positive(settings.get(f"{prefix}_timeout_seconds")),
            retry_min_s=positive(settings.get(f"{prefix}_retry_wait_min_seconds")),
            retry_max_s=positive(settings.get(f"{prefix}_retry_wait_max_seconds")),
            headers=headers,
            proxies=proxies,
            verify=verify,
            gzip=compress,
        )

    return Manners(
        rows=manner("x_file_stream", compress=None if gzip is None else not gzip),
        files=manner("x_file_transfer"),
        calls=manner("x_graphql"),
    )


def stream_limits(config: FileStreamConfig, settings: Settings) -> FileStreamConfig:
    """Return the limits of a writer's stream."""
    changes: dict[str, float] = {}
    if (size_bytes := positive(settings.get("x_file_stream_max_bytes"))) is not None:
        changes["max_request_bytes"] = max(_LEAST_REQUEST_BYTES, int(size_bytes))
    if (silence_s := positive(settings.get("heartbeat_seconds"))) is not None:
        changes["heartbeat_s"] = max(_LEAST_HEARTBEAT_S, silence_s)
    return config.model_copy(update=changes) if changes else config


def transfer_limits(config: TransferConfig, settings: Settings) -> TransferConfig:
    """Return how files of a run travel."""
    interval_s = positive(settings.get("x_live_policy_rate_limit"))
    return (
        config if interval_s is None else config.model_copy(update={"live_interval_s": interval_s})
    )


def ignored_globs(settings: Settings) -> tuple[str, ...]:
    """Return the patterns of files that stay on this node."""
    given: object = settings.get("ignore_globs")
    if not isinstance(given, list | tuple):
        return ()
    return tuple(str(glob) for glob in cast("list[object]", given))


def positive(value: object) -> float | None:
    """Return a number above zero, or None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < float("inf") else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {str(k): str(v) for k, v in cast("Mapping[object, object]", value).items()}
