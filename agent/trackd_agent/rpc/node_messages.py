"""Messages about the node: what it does now, and how its collectors do."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from trackd_proto.v1 import admin_pb2, common_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trackd_agent.monitor import CollectorState, NodeView
    from trackd_agent.runs.options import RunSnapshot


def response(
    view: NodeView, runs: Sequence[RunSnapshot], collectors: Sequence[CollectorState]
) -> admin_pb2.ReadNodeResponse:
    """Return what the node does now; ranks that nobody knows any more are left out."""
    return admin_pb2.ReadNodeResponse(
        time_s=view.time_s,
        host=socket.gethostname(),
        values=view.node,
        ranks=[
            admin_pb2.RankReading(
                run=common_pb2.RunRef(run_id=run.run_id, project=run.project, entity=run.entity),
                label=writer.label,
                pid=view.pids.get(writer.producer, writer.pid),
                values=view.ranks[writer.producer],
            )
            for run in runs
            for writer in run.writers
            if writer.producer in view.ranks
        ],
        collectors=[collector(each) for each in collectors],
        events=[
            admin_pb2.DeviceEvent(
                time_s=time_s, name=event.name, text=event.text, key=event.key, value=event.value
            )
            for time_s, event in view.events
        ],
    )


def collector(state: CollectorState) -> admin_pb2.CollectorStatus:
    """Return how a collector does."""
    return admin_pb2.CollectorStatus(
        name=state.name,
        state=state.word,
        reason=state.reason,
        duration_ms=state.last_duration_s * 1000,
        failures=state.failures,
        ticks=state.ticks,
        timeouts=state.timeouts,
        total_duration_ms=state.total_duration_s * 1000,
        problems=state.problems,
    )
