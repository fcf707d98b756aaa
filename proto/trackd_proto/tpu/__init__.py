"""What the runtime of Google's TPUs says over gRPC: the messages that the agent's monitor reads.

`runtime.proto` holds our own subset of the service `tpu.monitoring.runtime.RuntimeMetricService`.
Only `trackd_agent.monitor.readers.tpu_runtime` (and tests that stand in for the runtime) use it.
"""

#: Method of the service that answers `GetRuntimeMetricRequest`.
GET_RUNTIME_METRIC = "/tpu.monitoring.runtime.RuntimeMetricService/GetRuntimeMetric"
