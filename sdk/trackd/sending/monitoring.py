"""What a rank and the agent's monitor have to tell each other besides records.

None of it is worth waiting for: without an agent there are no metrics to read, and none to pause.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from trackd.logs import LOGGER
from trackd.sending.agent_link import AgentCallError
from trackd_proto.v1 import run_pb2

if TYPE_CHECKING:
    from trackd.runs.status import SystemMetrics
    from trackd.sending.sender import Sender
    from trackd.settings import Settings

#: By these a launcher tells a process which one of its node it is, and which devices it has.
_VARIABLES = (
    "LOCAL_RANK",
    "RANK",
    "LOCAL_WORLD_SIZE",
    "WORLD_SIZE",
    "SLURM_LOCALID",
    "SLURM_PROCID",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "CUDA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "NEURON_RT_VISIBLE_CORES",
)
_READ_S = 1.0
_PAUSE_S = 0.2


def hints(settings: Settings) -> run_pb2.MonitorHints:
    """Return what the monitor has to know of this process, as it is now."""
    return run_pb2.MonitorHints(
        environment={name: os.environ[name] for name in _VARIABLES if name in os.environ},
        scrape_headers=settings.x_stats_open_metrics_http_headers,
    )


def pause(sender: Sender, *, paused: bool) -> None:
    """Have no system metrics sampled for a while, or go on; nothing happens without an agent."""
    if (connection := sender.connection) is None:
        return
    link, proof = connection
    try:
        link.pause_sampling(proof, _PAUSE_S, paused=paused)
    except AgentCallError as error:
        LOGGER.info("system metrics could not be paused: %s", error)


def last_metrics(sender: Sender) -> SystemMetrics:
    """Return the last values of each system metric that the agent keeps for this process.

    Empty where it keeps none (`x_stats_buffer_size`) or does not answer within a second.
    """
    if (connection := sender.connection) is None:
        return {}
    link, proof = connection
    try:
        answer = link.read_system_metrics(proof, _READ_S)
    except AgentCallError as error:
        LOGGER.info("system metrics could not be read: %s", error)
        return {}
    return {
        each.key: [
            (datetime.fromtimestamp(time_s, UTC), value)
            for time_s, value in zip(each.time_s, each.values, strict=True)
        ]
        for each in answer.series
    }
