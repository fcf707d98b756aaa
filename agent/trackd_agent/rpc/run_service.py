"""`trackd.v1.RunService`: thin translations between messages and the registry of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackd_agent.core.errors import InvalidRequest
from trackd_agent.rpc import conversion
from trackd_agent.rpc.callers import caller_of
from trackd_proto.v1 import run_pb2, run_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trackd_agent.rpc.config import RpcConfig
    from trackd_agent.rpc.record_streams import RecordStreams
    from trackd_agent.runs.registry import RunRegistry

#: A message is at most this much larger than the frames in it.
_ENVELOPE_BYTES = 1024


class RunService(run_pb2_grpc.RunServiceServicer):
    """Serves the calls of ranks and operators about runs."""

    def __init__(self, registry: RunRegistry, streams: RecordStreams, config: RpcConfig) -> None:
        self._registry = registry
        self._streams = streams
        self._limits = run_pb2.Limits(
            max_message_bytes=config.max_message_bytes,
            max_frame_bytes=config.max_message_bytes - _ENVELOPE_BYTES,
            window_bytes=config.window_bytes,
            window_frames=config.window_frames,
        )

    async def ContinueRun(
        self, request: run_pb2.ContinueRunRequest, context: Any
    ) -> run_pb2.ContinueRunResponse:
        """Tell what a run has so far."""
        del context
        earlier = await self._registry.earlier_run(conversion.continue_options(request))
        return conversion.continue_response(earlier)

    async def Attach(self, request: run_pb2.AttachRequest, context: Any) -> run_pb2.AttachResponse:
        """Join a run."""
        options = conversion.attach_options(request)
        attachment = await self._registry.attach(options, caller_of(context))
        return run_pb2.AttachResponse(
            last_seq=attachment.last_seq,
            agent_epoch=attachment.epoch,
            label=attachment.label,
            run_dir=str(attachment.run_dir),
            url=attachment.url,
            limits=self._limits,
            capability=attachment.capability,
            reads_spool=attachment.reads_spool,
        )

    # A coroutine that writes to the context: grpcio takes it as well as a generator.
    async def Records(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request_iterator: AsyncIterator[run_pb2.RecordsRequest], context: Any
    ) -> None:
        """Take records in; the answers are written by `RecordStreams`."""
        await self._streams.serve(request_iterator, context)

    async def Detach(self, request: run_pb2.DetachRequest, context: Any) -> run_pb2.DetachResponse:
        """Leave on purpose."""
        del context
        writer = self._registry.writer(request.capability)
        acked_seq, uploaded_seq = await writer.detach(request.last_seq)
        return run_pb2.DetachResponse(
            acked_seq=acked_seq,
            uploaded_seq=uploaded_seq,
            takes_rest=writer.is_leaving,
            url=writer.url,
            name=writer.name,
        )

    async def UpdateRun(
        self, request: run_pb2.UpdateRunRequest, context: Any
    ) -> run_pb2.UpdateRunResponse:
        """Change a run from outside."""
        del context
        await self._registry.update(
            conversion.run_ref(request.run), conversion.run_changes(request)
        )
        return run_pb2.UpdateRunResponse()

    async def FinishRun(
        self, request: run_pb2.FinishRunRequest, context: Any
    ) -> run_pb2.FinishRunResponse:
        """End a run whose writers are gone."""
        del context
        if not 0 <= request.exit_code <= 255:
            raise InvalidRequest(
                "INVALID_EXIT_CODE",
                f"exit_code={request.exit_code} must be 0 to 255",
                details={"field": "exit_code", "value": str(request.exit_code)},
            )
        living = await self._registry.finish(conversion.run_ref(request.run), request.exit_code)
        return run_pb2.FinishRunResponse(living_labels=living)

    async def GetRunStatus(
        self, request: run_pb2.GetRunStatusRequest, context: Any
    ) -> run_pb2.GetRunStatusResponse:
        """Describe a run."""
        del context
        snapshot = self._registry.status(conversion.run_ref(request.run))
        return run_pb2.GetRunStatusResponse(run=conversion.run_status(snapshot))

    async def ReadSummary(
        self, request: run_pb2.ReadSummaryRequest, context: Any
    ) -> run_pb2.ReadSummaryResponse:
        """Read the summary of a run."""
        del context
        text, step = await self._registry.read_summary(
            conversion.run_ref(request.run), request.label, all_writers=request.all_writers
        )
        return run_pb2.ReadSummaryResponse(summary_json=text, step=step)

    async def PauseSampling(
        self, request: run_pb2.PauseSamplingRequest, context: Any
    ) -> run_pb2.PauseSamplingResponse:
        """Stop or resume the sampling of system metrics."""
        del context
        self._registry.writer(request.capability).sampling.pause(paused=request.paused)
        return run_pb2.PauseSamplingResponse()

    async def ReadSystemMetrics(
        self, request: run_pb2.ReadSystemMetricsRequest, context: Any
    ) -> run_pb2.ReadSystemMetricsResponse:
        """Read what the buffer of a writer holds."""
        del context
        found = self._registry.writer(request.capability).sampling.buffered()
        series = [
            run_pb2.MetricSeries(key=key, time_s=times, values=values)
            for key, (times, values) in found.items()
        ]
        return run_pb2.ReadSystemMetricsResponse(series=series)

    async def ReadDigest(
        self, request: run_pb2.ReadDigestRequest, context: Any
    ) -> run_pb2.ReadDigestResponse:
        """Read what a rank shows when it ends."""
        del context
        found = await self._registry.read_digest(conversion.run_ref(request.run), request.label)
        if found is None:
            return run_pb2.ReadDigestResponse(is_behind=True)
        return run_pb2.ReadDigestResponse(summary_json=found[0], history_json=found[1])
