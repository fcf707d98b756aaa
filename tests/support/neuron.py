"""Reports of neuron-monitor, as they are written and as they are to be read."""

from __future__ import annotations

import json
from typing import Any


def runtime(pid: int, *cores: str, **memory: Any) -> dict[str, Any]:
    usage = {
        "host": {"tensors": 3},
        "neuroncore_memory_usage": {c: {"constants": 1} for c in cores},
    }
    in_use = {core: {"neuroncore_utilization": 10.0 + int(core), "flops": 5} for core in cores}
    used = {"host": pid, "neuron_device": 2, "usage_breakdown": usage} | memory
    return {
        "pid": pid,
        "report": {
            "neuroncore_counters": {"neuroncores_in_use": in_use},
            "memory_used": {"neuron_runtime_used_bytes": used},
        },
    }


def line(*runtimes: Any, **more: Any) -> str:
    return json.dumps({"neuron_runtime_data": runtimes} | more)


def keys(host: int, *cores: str) -> dict[str, float]:
    values: dict[str, float] = {
        "trn.host_total_memory_usage": host,
        "trn.neuron_device_total_memory_usage": 2,
        "trn.host_memory_usage.tensors": 3,
    }
    for core in cores:
        values[f"trn.{core}.neuroncore_utilization"] = 10 + int(core)
        values[f"trn.{core}.neuroncore_memory_usage.constants"] = 1
    return values
