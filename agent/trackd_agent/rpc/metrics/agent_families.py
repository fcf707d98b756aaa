"""The agent as metric families: process, queues, servers, writers, collectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackd_agent.rpc.metrics.exposition import Family

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trackd_agent.monitor import CollectorState
    from trackd_agent.rpc.admin_service import ProcessFacts
    from trackd_agent.runs.options import RunSnapshot
    from trackd_agent.upstream import UpstreamState


def process_families(
    facts: ProcessFacts, journal_bytes: int, backlog_bytes: int
) -> Iterable[Family]:
    """Return what the process says of itself."""
    dropped = Family("trackd_agent_dropped", "counter", "What was dropped or refused, by reason.")
    for reason, count in sorted(facts.dropped.items()):
        dropped.add(count, reason=reason)
    return (
        Family("trackd_agent", "info", "The agent.").add(1, version=facts.version),
        Family("trackd_agent_uptime_seconds", "gauge", "Time since its start.", "seconds").add(
            facts.uptime_s
        ),
        Family(
            "trackd_agent_resident_memory_bytes", "gauge", "Resident memory of the agent.", "bytes"
        ).add(facts.rss_bytes),
        Family("trackd_agent_connections", "gauge", "Open connections.").add(facts.connections),
        Family("trackd_agent_journal_bytes", "gauge", "Size of all journals.", "bytes").add(
            journal_bytes
        ),
        Family(
            "trackd_agent_backlog_bytes", "gauge", "Journalled and not uploaded yet.", "bytes"
        ).add(backlog_bytes),
        dropped,
    )


def upstream_families(upstreams: Sequence[UpstreamState]) -> Iterable[Family]:
    """Return how it goes with the servers."""
    ready = Family("trackd_upstream_ready", "gauge", "1 while the server takes what is sent.")
    requests = Family("trackd_upstream_requests", "counter", "Requests, by their result.")
    sent = Family("trackd_upstream_sent_bytes", "counter", "Bytes of request bodies.", "bytes")
    for state in upstreams:
        ready.add(state.state == "ready", upstream=state.name)
        requests.add(state.requests_ok, upstream=state.name, result="ok")
        requests.add(state.requests_failed, upstream=state.name, result="failed")
        sent.add(state.bytes_sent, upstream=state.name)
    return ready, requests, sent


def writer_families(runs: Sequence[RunSnapshot]) -> Iterable[Family]:
    """Return how far the writers of the active runs are."""
    journalled = Family("trackd_writer_journalled_records", "counter", "Records in the journal.")
    uploaded = Family("trackd_writer_uploaded_records", "counter", "Records at every server.")
    backlog = Family("trackd_writer_backlog_bytes", "gauge", "Not uploaded yet.", "bytes")
    dropped = Family("trackd_writer_dropped_records", "counter", "Records lost, by reason.")
    for run in runs:
        for writer in run.writers:
            labels = {
                "entity": run.entity,
                "project": run.project,
                "run_id": run.run_id,
                "label": writer.label,
            }
            journalled.add(writer.journalled_seq, **labels)
            uploaded.add(writer.uploaded_seq, **labels)
            backlog.add(writer.backlog_bytes, **labels)
            for reason, count in sorted(writer.dropped.items()):
                dropped.add(count, **labels, reason=reason)
    return journalled, uploaded, backlog, dropped


def collector_families(collectors: Sequence[CollectorState]) -> Iterable[Family]:
    """Return how the collectors of system metrics do."""
    success = Family("trackd_collector_success", "gauge", "0: its last reading failed.")
    data = Family("trackd_collector_has_data", "gauge", "1: this machine has what it reads.")
    readings = Family("trackd_collector_readings", "counter", "Readings.")
    failures = Family("trackd_collector_failures", "counter", "Readings that failed.")
    timeouts = Family("trackd_collector_timeouts", "counter", "Readings that met the deadline.")
    last = Family(
        "trackd_collector_last_duration_seconds", "gauge", "Time of the last reading.", "seconds"
    )
    total = Family(
        "trackd_collector_duration_seconds", "counter", "Time of all readings.", "seconds"
    )
    dropped = Family(
        "trackd_collector_dropped_events", "counter", "Events of devices that were too many."
    )
    for state in collectors:
        if not state.is_on:
            continue
        dropped.add(state.dropped_events, collector=state.name)
        success.add(state.success, collector=state.name)
        data.add(state.word == "ok", collector=state.name)
        readings.add(state.ticks, collector=state.name)
        failures.add(state.failures, collector=state.name)
        timeouts.add(state.timeouts, collector=state.name)
        last.add(state.last_duration_s, collector=state.name)
        total.add(state.total_duration_s, collector=state.name)
    return success, data, readings, failures, timeouts, dropped, last, total
